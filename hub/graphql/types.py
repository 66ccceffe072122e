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

from catalog.entities import (
    Entity,
    LocalizedField,
    Lowest,
    Reference,
    derived_fields,
    entities,
    related,
    spelled,
    value_fields,
)
from hub import locales, tracing
from hub.graphql.lineage import JSON, Explanation, Provenance, TextLocale, listed
from hub.graphql.prefetch import TRACED
from hub.negotiation import Wishes
from hub.rows import average, live, offered, referenced, way_to

SCALARS: tuple[tuple[type[models.Field[Any, Any]], Any], ...] = (
    (models.DecimalField, graphene.Decimal),
    (models.SmallIntegerField, graphene.Int),
    (models.IntegerField, graphene.Int),
    (models.FloatField, graphene.Float),
    (models.BooleanField, graphene.Boolean),
    (models.DateTimeField, graphene.DateTime),
    (models.DateField, graphene.Date),
    (LocalizedField, graphene.String),
    (models.JSONField, JSON),
    (models.TextField, graphene.String),
)


class PageInfo(graphene.ObjectType):  # type: ignore[misc]
    """Where the page begins and ends, and whether another follows. Pages go forward only."""

    has_next_page = graphene.NonNull(graphene.Boolean)
    has_previous_page = graphene.NonNull(graphene.Boolean)
    start_cursor = graphene.String()
    end_cursor = graphene.String()


def type_name(cls: type[Entity]) -> str:
    """`order_line` as `OrderLine`."""
    return "".join(word.capitalize() for word in cls.declaration.name.split("_"))


def entry_name(cls: type[Entity], field: models.Field[Any, Any]) -> str:
    """`min_price` of a product as `ProductMinPrice`."""
    return type_name(cls) + "".join(word.capitalize() for word in field.name.split("_"))


def scalar(field: models.Field[Any, Any]) -> Any:
    """The GraphQL scalar of a column."""
    return next((kind for column, kind in SCALARS if isinstance(field, column)), graphene.String)


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
                listed(Provenance),
                # traced with all rows of the operation at once, where the selection was foreseen
                resolver=_traced,
            ),
            "explain": graphene.Field(
                Explanation,
                field=graphene.Argument(
                    graphene.NonNull(graphene.String), description="A path as in provenance."
                ),
                resolver=lambda row, info, field: tracing.explained(
                    row, field, info.context["visibility"]
                ),
            ),
        }
        texts = [f.name for f in value_fields(cls) if isinstance(f, LocalizedField)]
        if texts:
            members["locales"] = graphene.Field(listed(TextLocale), resolver=_spoken(cls, texts))
        for field in value_fields(cls):
            members[field.name] = self._value(cls, field)
        for field in derived_fields(cls):
            members[field.name] = _derived(cls, field)
        for part in declared.parts:
            members[part] = self._part(cls, part)
        if declared.tree:
            members["path"] = graphene.Field(
                lambda: listed(self.objects[declared.name]),
                description="From the root to this one.",
                resolver=lambda row, _info: way_to(row),
            )
        return members

    def _value(self, cls: type[Entity], field: models.Field[Any, Any]) -> graphene.Field:
        marked = cls.declaration.deprecated.get(field.name)
        said: dict[str, Any] = {
            "description": described(cls, field) or None,
            "deprecation_reason": marked.reason if marked else None,
        }
        if isinstance(field, Reference):
            target = related(cls, field.name).declaration.name
            return graphene.Field(
                lambda: self.objects[target], resolver=_seen(cls, field, _referenced), **said
            )
        if isinstance(field, LocalizedField):
            return graphene.Field(graphene.String, resolver=_seen(cls, field, _localized), **said)
        if isinstance(field, models.DecimalField):
            return graphene.Field(scalar(field), resolver=_seen(cls, field, _decimal), **said)
        return graphene.Field(scalar(field), resolver=_seen(cls, field, _plain), **said)

    def _part(self, cls: type[Entity], part: str) -> graphene.Field:
        child = related(cls, part)
        summary = cls.declaration.summaries.get(part)

        def rows(row: Entity, info: Any) -> list[Any]:
            return offered(live(getattr(row, part)), child, of_root(info).market)

        def mean(found: list[Any], info: Any) -> float | None:
            seen = info.context["visibility"].sees(child, summary)
            return average(found, summary) if seen and summary else None

        if summary is None:
            return graphene.Field(
                lambda: listed(self.objects[child.declaration.name]), resolver=rows
            )
        name = f"{type_name(cls)}{part.capitalize()}"
        members = {
            "__doc__": f"How many {part}, and the average {summary}.",
            "count": graphene.Field(
                graphene.NonNull(graphene.Int), resolver=lambda found, _info: len(found)
            ),
            "average": graphene.Field(graphene.Float, resolver=mean),
            "nodes": graphene.Field(
                lambda: listed(self.objects[child.declaration.name]),
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
            "edges": graphene.Field(listed(edge)),
            "nodes": graphene.Field(listed(node)),
            "page_info": graphene.NonNull(PageInfo),
        }
        return type(f"{name}Connection", (graphene.ObjectType,), members)


def described(cls: type[Entity], field: models.Field[Any, Any]) -> str:
    """What the schemas say about a field: its help, and who is shown it."""
    guarded, said = cls.declaration.guarded.get(field.name), str(field.help_text)
    if guarded is None:
        return said
    otherwise = "whoever names it is refused" if guarded.refused else "null"
    return f"{said} Shown with class:{guarded.field_class}; without, {otherwise}.".strip()


def _derived(cls: type[Entity], field: Any) -> graphene.Field:
    # null is for whoever may not see what it is derived from
    resolver, said = _seen(cls, field, _plain), str(field.help_text) or None
    if not isinstance(field, Lowest):
        return graphene.Field(scalar(field), resolver=resolver, description=said)
    members: dict[str, Any] = {"__doc__": said or ""}
    members |= {member.name: graphene.Field(scalar(member)) for member in field.members}
    entry = type(entry_name(cls, field), (graphene.ObjectType,), members)
    entries = graphene.List(graphene.NonNull(entry))
    return graphene.Field(entries, resolver=resolver, description=said)


Field = models.Field[Any, Any]
Resolver = Callable[..., Any]


def _seen(cls: type[Entity], field: Field, made: Callable[[Field], Resolver]) -> Resolver:
    """A resolver that gives null to whoever may not see the value."""
    resolve, name = made(field), field.name

    def guarded(row: Any, info: Any) -> Any:
        return resolve(row, info) if info.context["visibility"].sees(cls, name) else None

    return guarded


def _plain(field: Field) -> Resolver:
    return lambda row, _info: getattr(row, field.name)


def _traced(row: Any, info: Any) -> Any:
    # traced with all rows of the operation at once, where the selection was foreseen
    found = getattr(row, TRACED, None)
    return found or tracing.provenance(row, info.context["visibility"].sees)


def _localized(field: Field) -> Resolver:
    return lambda row, info: locales.text(getattr(row, field.name), of_root(info).order)


def _spoken(cls: type[Entity], names: list[str]) -> Resolver:
    def resolve(row: Any, info: Any) -> list[dict[str, str | None]]:
        order, sees = of_root(info).order, info.context["visibility"].sees
        spoken = {n: locales.locale_of(getattr(row, n), order) for n in names if sees(cls, n)}
        return [{"field": n, "locale": spoken.get(n)} for n in names]

    return resolve


def _decimal(field: Field) -> Resolver:
    def resolve(row: Any, _info: Any) -> Decimal | None:
        value = getattr(row, field.name)
        return None if value is None else Decimal(spelled(value, field))

    return resolve


def _referenced(field: Field) -> Resolver:
    return lambda row, _info: referenced(row, field.name)


def root_of(info: Any) -> Any:
    """The response name of the root field under which a resolver runs."""
    path = info.path
    while path.prev is not None:
        path = path.prev
    return path.key


def of_root(info: Any) -> Wishes:
    """The locales to try and the market, as the root field of this branch was asked."""
    asked: Wishes = info.context["asked"][root_of(info)]
    return asked
