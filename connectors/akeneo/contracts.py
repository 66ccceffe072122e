"""What Akeneo's REST API promises (api.akeneo.com, "Product model", "Product", "Category")."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime

from connectors.runtime.declare import Contract


class Value(Contract):
    """One value of an attribute, for a locale and a channel (scope) or for all."""

    data: Any
    locale: str | None = None
    scope: str | None = None


class ModelValues(Contract):
    """Akeneo leaves an attribute without a value out; a name is what every model must have."""

    name: list[Value]
    description: list[Value] = []
    brand: list[Value] = []
    slug: list[Value] = []


class ProductModel(Contract):
    code: str
    categories: list[str]
    values: ModelValues
    updated: AwareDatetime


class ProductValues(Contract):
    ean: list[Value] = []
    color: list[Value] = []
    size: list[Value] = []


class Product(Contract):
    identifier: str
    parent: str | None
    values: ProductValues
    updated: AwareDatetime


class Category(Contract):
    code: str
    parent: str | None
    labels: dict[str, str]
    updated: AwareDatetime | None = None
