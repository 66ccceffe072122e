"""Akeneo's streams: the assortment and its texts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import timedelta

from connectors.akeneo import contracts as c
from connectors.runtime.declare import From, StreamSpec


def per_locale(values: Sequence[c.Value]) -> dict[str, str] | None:
    """Text by locale; a locale without text is left out."""
    return {v.locale: text for v in values if v.locale and (text := worded(v))} or None


def plain(values: Sequence[c.Value]) -> str | None:
    """The value of an attribute that has neither locale nor channel."""
    return next((text for v in values if (text := worded(v))), None)


def worded(value: c.Value) -> str | None:
    """The text of a value. Raises ValueError for data that is no text: its attribute changed."""
    if value.data is None or isinstance(value.data, str):
        return value.data
    raise ValueError(f"the data of a text attribute is {str(value.data)[:80]!r}, not a text")


def slug(labels: dict[str, str]) -> str | None:
    """A URL segment from the English label, or from the first there is."""
    label = labels.get("en_US") or next(iter(labels.values()), "")
    ascii_only = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-") or None


def first(codes: Sequence[str]) -> str | None:
    """A product hangs in one category here; Akeneo allows several and lists the main one first."""
    return codes[0] if codes else None


CATEGORIES = StreamSpec(
    slug="categories",
    entity="category",
    contract=c.Category,
    record_key=("code",),
    entity_key=lambda r: r.code,
    fields={"name": "labels", "slug": From("labels", slug), "parent": "parent"},
    version=From("updated"),
    incremental=False,  # Akeneo has no `updated` filter on categories in search_after mode
    page_size=100,
    interval=timedelta(seconds=600),
    objective=timedelta(seconds=3600),
    options={"path": "categories", "search_after": False},
)

PRODUCTS = StreamSpec(
    slug="products",
    entity="product",
    contract=c.ProductModel,
    record_key=("code",),
    entity_key=lambda r: r.code,
    fields={
        "slug": From("values.slug", plain),
        "name": From("values.name", per_locale),
        "description": From("values.description", per_locale),
        "brand": From("values.brand", plain),
        "category": From("categories", first),
    },
    version=From("updated"),
    page_size=100,
    lookback=timedelta(seconds=5),
    options={"path": "product-models", "search_after": True},
)

VARIANTS = StreamSpec(
    slug="variants",
    entity="variant",
    contract=c.Product,
    record_key=("identifier",),
    entity_key=lambda r: r.identifier,
    fields={
        "product": "parent",
        "gtin": From("values.ean", plain),
        "colour": From("values.color", plain),
        "size": From("values.size", plain),
    },
    version=From("updated"),
    page_size=100,
    options={"path": "products", "search_after": True},
)
