"""The GraphQL types, generated from the entities' declarations.

An entity gives: its natural key under the declared name, its values, its references as objects,
its parts as lists (or as a summary), a tree's path, `provenance`, and `explain`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import graphene
from django.db import models
from graphene.types.generic import GenericScalar

from catalog.entities import (
    Entity,
    LocalizedField,
    Reference,
    entities,
    related,
    spelled,
    value_fields,
)
from hub import locales, tracing

SCALARS: tuple[tuple[type[models.Field[Any, Any]], Any], ...] = (
    (models.DecimalField, graphene.Decimal),
    (models.SmallIntegerField, graphene.Int),
    (models.IntegerField, graphene.Int),
    (models.FloatField, graphene.Float),
    (models.BooleanField, graphene.Boolean),
    (models.DateTimeField, graphene.DateTime),
    (models.DateField, graphene.Date),
    (LocalizedField, graphene.String),
    (models.JSONField, GenericScalar),
    (models.TextField, graphene.String),
)


class Provenance(graphene.ObjectType):  # type: ignore[misc]
    """Which system said so: one entry for each served field, parts by their path."""

    field = graphene.NonNull(graphene.String)
    system = graphene.NonNull(graphene.String)
    stream = graphene.NonNull(graphene.String)
    record = graphene.NonNull(graphene.String)
    observed_at = graphene.NonNull(graphene.DateTime)
    age_seconds = graphene.NonNull(graphene.Float)
    stale = graphene.NonNull(graphene.Boolean)
    event = graphene.String()
    run = graphene.String()
    correlation_id = graphene.String()


class PageInfo(graphene.ObjectType):  # type: ignore[misc]
    """Where the page ends, and whether another follows."""

    has_next_page = graphene.NonNull(graphene.Boolean)
    end_cursor = graphene.String()


def type_name(cls: type[Entity]) -> str:
    """`order_line` as `OrderLine`."""
    return "".join(word.capitalize() for word in cls.declaration.name.split("_"))


def scalar(field: models.Field[Any, Any]) -> Any:
    """The GraphQL scalar of a column."""
    return next((kind for column, kind in SCALARS if isinstance(field, column)), graphene.String)


def live(rows: Any) -> list[Any]:
    """The rows that are not buried, in order of key; prefetched or not."""
    return sorted((r for r in rows.all() if r.deleted_at is None), key=lambda r: r.key)


class Types:
    """All object types of one schema, by entity name."""

    def __init__(self) -> None:
        self.objects: dict[str, type[graphene.ObjectType]] = {}
        self.connections: dict[str, type[graphene.ObjectType]] = {}
        for name, cls in entities().items():
            self.objects[name] = type(type_name(cls), (graphene.ObjectType,), self._members(cls))
        for name, cls in entities().items():
            self.connections[name] = self._connection(cls)

    def _members(self, cls: type[Entity]) -> dict[str, Any]:
        declared = cls.declaration
        members: dict[str, Any] = {
            "__doc__": (cls.__doc__ or "").strip(),
            declared.key: graphene.Field(
                graphene.NonNull(graphene.String), resolver=lambda row, _info: row.key
            ),
            "changed_at": graphene.NonNull(graphene.DateTime),
            "provenance": graphene.Field(
                graphene.NonNull(graphene.List(graphene.NonNull(Provenance))),
                resolver=lambda row, _info: tracing.provenance(row),
            ),
            "explain": graphene.Field(
                GenericScalar,
                field=graphene.Argument(graphene.NonNull(graphene.String)),
                resolver=lambda row, _info, field: tracing.explained(row, field),
            ),
        }
        for field in value_fields(cls):
            members[field.name] = self._value(cls, field)
        for part in declared.parts:
            members[part] = self._part(cls, part)
        if declared.tree:
            members["path"] = graphene.Field(
                lambda: graphene.NonNull(
                    graphene.List(graphene.NonNull(self.objects[declared.name]))
                ),
                resolver=_ancestors(declared.tree),
            )
        return members

    def _value(self, cls: type[Entity], field: models.Field[Any, Any]) -> graphene.Field:
        help_text = str(field.help_text) or None
        if isinstance(field, Reference):
            target = related(cls, field.name).declaration.name
            return graphene.Field(
                lambda: self.objects[target],
                description=help_text,
                resolver=_referenced(field.name, str(field.attname)),
            )
        if isinstance(field, LocalizedField):
            return graphene.Field(
                graphene.String, description=help_text, resolver=_localized(field.name)
            )
        if isinstance(field, models.DecimalField):
            return graphene.Field(scalar(field), description=help_text, resolver=_decimal(field))
        return graphene.Field(scalar(field), description=help_text)

    def _part(self, cls: type[Entity], part: str) -> graphene.Field:
        child = related(cls, part)
        summary = cls.declaration.summaries.get(part)

        def rows(row: Entity, _info: Any) -> list[Any]:
            return live(getattr(row, part))

        if summary is None:
            return graphene.Field(
                lambda: graphene.NonNull(
                    graphene.List(graphene.NonNull(self.objects[child.declaration.name]))
                ),
                resolver=rows,
            )
        name = f"{type_name(cls)}{part.capitalize()}"
        members = {
            "__doc__": f"How many {part}, and the average {summary}.",
            "count": graphene.Field(
                graphene.NonNull(graphene.Int), resolver=lambda found, _info: len(found)
            ),
            "average": graphene.Field(graphene.Float, resolver=_average(summary)),
            "nodes": graphene.Field(
                lambda: graphene.NonNull(
                    graphene.List(graphene.NonNull(self.objects[child.declaration.name]))
                ),
                resolver=lambda found, _info: found,
            ),
        }
        return graphene.Field(
            graphene.NonNull(type(name, (graphene.ObjectType,), members)), resolver=rows
        )

    def _connection(self, cls: type[Entity]) -> type[graphene.ObjectType]:
        name, node = type_name(cls), self.objects[cls.declaration.name]
        edge = type(
            f"{name}Edge",
            (graphene.ObjectType,),
            {"cursor": graphene.NonNull(graphene.String), "node": graphene.NonNull(node)},
        )
        members = {
            "edges": graphene.NonNull(graphene.List(graphene.NonNull(edge))),
            "nodes": graphene.NonNull(graphene.List(graphene.NonNull(node))),
            "page_info": graphene.NonNull(PageInfo),
        }
        return type(f"{name}Connection", (graphene.ObjectType,), members)


def _localized(name: str) -> Callable[..., str | None]:
    return lambda row, info: locales.text(getattr(row, name), info.context["locales"])


def _decimal(field: models.Field[Any, Any]) -> Callable[..., Decimal | None]:
    def resolve(row: Any, _info: Any) -> Decimal | None:
        value = getattr(row, field.name)
        return None if value is None else Decimal(spelled(value, field))

    return resolve


def _referenced(name: str, attname: str) -> Callable[..., Any]:
    def resolve(row: Any, _info: Any) -> Any:
        if getattr(row, attname) is None:
            return None
        try:
            target = getattr(row, name)
        except models.ObjectDoesNotExist:
            # References are not enforced: the other system may not have announced it yet.
            return None
        return target if target.deleted_at is None else None

    return resolve


def _ancestors(reference: str) -> Callable[..., list[Any]]:
    def resolve(row: Any, info: Any) -> list[Any]:
        found, follow = [row], _referenced(reference, f"{reference}_id")
        while (above := follow(found[-1], info)) is not None and above not in found:
            found.append(above)
        return found[::-1]

    return resolve


def _average(name: str) -> Callable[..., float | None]:
    def resolve(found: list[Any], _info: Any) -> float | None:
        said = [getattr(row, name) for row in found if getattr(row, name) is not None]
        return round(sum(said) / len(said), 2) if said else None

    return resolve
