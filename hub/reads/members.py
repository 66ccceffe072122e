"""What the fields of an entity's GraphQL type stand for, derived from its declaration.

The order of precedence is that of `hub.graphql.types.Types`, which makes the types.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Any

from django.db import models
from graphene.utils.str_converters import to_camel_case

from catalog.entities import (
    Entity,
    LocalizedField,
    Lowest,
    Reference,
    derived_fields,
    entities,
    value_fields,
)


class Kind(Enum):
    """How a field is compiled."""

    KEY = auto()
    MOMENT = auto()
    DATE = auto()
    DECIMAL = auto()
    PLAIN = auto()
    TEXT = auto()
    LOCALES = auto()
    REFERENCE = auto()
    PART = auto()
    SUMMARY = auto()
    LOWEST = auto()
    WAY = auto()
    PROVENANCE = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Member:
    """A field: its kind and the name of the attribute behind it."""

    kind: Kind
    name: str


#: Columns by type, the nearest first. What is not listed is left to Graphene.
COLUMNS: tuple[tuple[type[models.Field[Any, Any]], Kind], ...] = (
    (Reference, Kind.REFERENCE),
    (LocalizedField, Kind.TEXT),
    (models.DecimalField, Kind.DECIMAL),
    # An integer of 64 bits may exceed GraphQL's, which is an error for each value.
    (models.BigIntegerField, Kind.OTHER),
    (models.IntegerField, Kind.PLAIN),
    (models.BooleanField, Kind.PLAIN),
    (models.DateTimeField, Kind.MOMENT),
    (models.DateField, Kind.DATE),
    (models.JSONField, Kind.PLAIN),
    (models.TextField, Kind.PLAIN),
    (models.CharField, Kind.PLAIN),
)
#: More decimals than this Python writes with an exponent, where the number is small.
MOST_DECIMALS = 6


@lru_cache(maxsize=64)
def members(cls: type[Entity]) -> dict[str, Member]:
    """The fields of the entity's type by their GraphQL names."""
    declared = cls.declaration
    found = {
        declared.key: Member(Kind.KEY, "key"),
        "changed_at": Member(Kind.MOMENT, "changed_at"),
        "provenance": Member(Kind.PROVENANCE, "provenance"),
        "explain": Member(Kind.OTHER, "explain"),
    }
    if texts(cls):
        found["locales"] = Member(Kind.LOCALES, "locales")
    for field in value_fields(cls):
        found[field.name] = Member(kind_of(field), field.name)
    for field in derived_fields(cls):
        kind = Kind.LOWEST if isinstance(field, Lowest) else kind_of(field)
        found[field.name] = Member(kind, field.name)
    for part in declared.parts:
        kind = Kind.SUMMARY if part in declared.summaries else Kind.PART
        found[part] = Member(kind, part)
    if declared.tree:
        found["path"] = Member(Kind.WAY, "path")
    return {to_camel_case(name): member for name, member in found.items()}


def texts(cls: type[Entity]) -> list[str]:
    """The localized fields of an entity."""
    return [field.name for field in value_fields(cls) if isinstance(field, LocalizedField)]


@lru_cache(maxsize=1)
def roots() -> dict[str, tuple[type[Entity], bool]]:
    """The fields of the query root: {GraphQL name: (entity, whether it is a list)}."""
    found: dict[str, tuple[type[Entity], bool]] = {}
    for name, cls in sorted(entities().items()):
        found[to_camel_case(name)] = (cls, False)
        found[to_camel_case(cls.declaration.plural)] = (cls, True)
    return found


def kind_of(field: models.Field[Any, Any]) -> Kind:
    """How a column is compiled."""
    kind = next((kind for column, kind in COLUMNS if isinstance(field, column)), Kind.OTHER)
    if kind is Kind.DECIMAL and (getattr(field, "decimal_places", None) or 0) > MOST_DECIMALS:
        return Kind.OTHER
    return kind
