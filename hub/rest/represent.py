"""An entity row as REST shows it; `hub.rest.components` describes the same to OpenAPI.

The natural key under its declared name, values, references by key (a tree's as a node with the way
to it), parts nested, and a summarised part as count, average and nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.db.models import prefetch_related_objects

from catalog.entities import (
    Entity,
    LocalizedField,
    Reference,
    derived_fields,
    related,
    spelled,
    value_fields,
)
from catalog.explain import DEPTH
from hub import locales, tracing
from hub.auth.rights import Visibility
from hub.graphql.prefetch import traced_lookups, tree_lookups
from hub.rows import average, live, offered, referenced, references, way_to
from hub.sparse import EVERYTHING, Fields, pruned, with_parts


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a record is asked for, and by whom: the locales to try, its parts, its provenance."""

    locales: Sequence[str]
    parts: bool
    provenance: bool
    market: str | None
    visibility: Visibility
    fields: Fields = EVERYTHING


def represented(cls: type[Entity], rows: Sequence[Any], wanted: Wanted) -> list[dict[str, Any]]:
    """The rows as JSON types. Statements depend on the entity, not on the number of rows."""
    if not rows:
        return []
    depth = DEPTH if wanted.parts or with_parts(cls, wanted.fields) else 0
    lookups = set(_needed(cls, depth))
    if wanted.provenance:
        lookups.update(traced_lookups(cls) if wanted.parts else traced_lookups(cls, depth=0))
    prefetch_related_objects(rows, *sorted(lookups, key=lambda name: (name.count("__"), name)))
    shown = [pruned(_record(row, wanted, depth), wanted.fields) for row in rows]
    if wanted.provenance:
        sees = wanted.visibility.sees
        traced = tracing.provenances(rows, sees, DEPTH if wanted.parts else 0)
        for document, found in zip(shown, traced, strict=True):
            document["provenance"] = [asdict(p) for p in found]
    return shown


def _record(row: Entity, wanted: Wanted, parts: int) -> dict[str, Any]:
    cls, declared, order = type(row), row.declaration, wanted.locales
    shown: dict[str, Any] = {declared.key: row.key}
    spoken: dict[str, str | None] = {}
    for field in value_fields(cls):
        value = getattr(row, str(field.attname))
        if not wanted.visibility.sees(cls, field.name):
            value = None
        if isinstance(field, LocalizedField):
            spoken[field.name] = locales.locale_of(value, order)
            value = locales.text(value, order)
        elif isinstance(field, Reference) and related(cls, field.name).declaration.tree:
            target = None if value is None else referenced(row, field.name)
            value = None if target is None else _node(target, wanted)
        elif isinstance(value, Decimal):
            value = spelled(value, field)
        shown[field.name] = value
    shown |= dict(_derived(row, wanted))
    if declared.tree:
        shown["path"] = [_step(step, wanted) for step in way_to(row)]
    if spoken:
        shown["locales"] = spoken
    if parts:
        for part in declared.parts:
            shown[part] = _part(row, part, wanted, parts)
    shown["changed_at"] = row.changed_at
    return shown


def _derived(row: Entity, wanted: Wanted) -> Iterator[tuple[str, Any]]:
    for field in derived_fields(type(row)):
        seen = wanted.visibility.sees(type(row), field.name)
        yield field.name, getattr(row, field.name) if seen else None


def _part(row: Entity, part: str, wanted: Wanted, depth: int) -> Any:
    child = related(type(row), part)
    rows = offered(live(getattr(row, part)), child, wanted.market)
    nodes = [_record(one, wanted, depth - 1) for one in rows]
    measured = row.declaration.summaries.get(part)
    if measured is None:
        return nodes
    mean = average(rows, measured) if wanted.visibility.sees(child, measured) else None
    return {"count": len(rows), "average": mean, "nodes": nodes}


def _node(node: Entity, wanted: Wanted) -> dict[str, Any]:
    """A node of a tree with the way to it from the root."""
    steps = [_step(step, wanted) for step in way_to(node)]
    return {**steps[-1], "path": steps}


def _step(node: Entity, wanted: Wanted) -> dict[str, Any]:
    """A node's key and its own values."""
    shown: dict[str, Any] = {node.declaration.key: node.key}
    for field in value_fields(type(node)):
        if not isinstance(field, Reference):
            seen = wanted.visibility.sees(type(node), field.name)
            value = getattr(node, field.name) if seen else None
            texts = isinstance(field, LocalizedField)
            shown[field.name] = locales.text(value, wanted.locales) if texts else value
    return shown


def _needed(cls: type[Entity], parts: int) -> Iterator[str]:
    """The `prefetch_related` lookups of a representation."""
    for name in references(cls):
        if related(cls, name).declaration.tree:
            yield name
            yield from tree_lookups(related(cls, name), f"{name}__")
    if parts:
        for part in cls.declaration.parts:
            yield part
            below = _needed(related(cls, part), parts - 1)
            yield from (f"{part}__{lookup}" for lookup in below)
