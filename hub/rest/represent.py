"""An entity row as REST shows it, and the serializers that describe it to OpenAPI.

Both are generated from the declaration: the natural key under its declared name, values,
references by key (a tree's with their path), parts nested, summaries as count and average.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from decimal import Decimal
from functools import cache
from typing import Any

from django.db import models
from rest_framework import serializers

from catalog.entities import Entity, LocalizedField, Reference, related, spelled, value_fields
from hub import locales, tracing
from hub.graphql.types import type_name
from hub.rows import live

PARTS_DEPTH = 2
TREE_DEPTH = 4

FIELDS: tuple[
    tuple[type[models.Field[Any, Any]], type[serializers.Field[Any, Any, Any, Any]]], ...
] = (
    (models.DecimalField, serializers.DecimalField),
    (models.SmallIntegerField, serializers.IntegerField),
    (models.IntegerField, serializers.IntegerField),
    (models.FloatField, serializers.FloatField),
    (models.BooleanField, serializers.BooleanField),
    (models.DateTimeField, serializers.DateTimeField),
    (models.DateField, serializers.DateField),
    (LocalizedField, serializers.CharField),
    (models.JSONField, serializers.JSONField),
)


def represent(
    row: Entity, order: Sequence[str], *, parts: int = 0, trace: bool = False
) -> dict[str, Any]:
    """The row as JSON types. `order`: locales to try; `parts`: how deep parts are nested."""
    declared = row.declaration
    shown: dict[str, Any] = {declared.key: row.key}
    spoken: dict[str, str | None] = {}
    for field in value_fields(type(row)):
        value = getattr(row, str(field.attname))
        if isinstance(field, LocalizedField):
            spoken[field.name] = locales.locale_of(value, order)
            value = locales.text(value, order)
        elif isinstance(value, Decimal):
            value = spelled(value, field)
        elif isinstance(field, Reference) and related(type(row), field.name).declaration.tree:
            value = _node(row, field, order)
        shown[field.name] = value
    if spoken:
        shown["locales"] = spoken
    if parts:
        for part in declared.parts:
            shown[part] = _part(row, part, order, parts)
    shown["changed_at"] = row.changed_at
    if trace:
        shown["provenance"] = [asdict(p) for p in tracing.provenance(row)]
    return shown


def _part(row: Entity, part: str, order: Sequence[str], depth: int) -> Any:
    rows = live(getattr(row, part))
    measured = row.declaration.summaries.get(part)
    if measured is None:
        return [represent(child, order, parts=depth - 1) for child in rows]
    said = [v for child in rows if (v := getattr(child, measured)) is not None]
    return {"count": len(rows), "average": round(sum(said) / len(said), 2) if said else None}


def _node(row: Entity, field: Reference, order: Sequence[str]) -> dict[str, Any] | None:
    """A node of a tree with the way to it from the root."""
    path: list[Any] = []
    at: Any = _target(row, field)
    while at is not None and at not in path:
        path.append(at)
        at = _target(at, type(at)._meta.get_field(at.declaration.tree))
    if not path:
        return None
    steps = [represent(node, order) for node in reversed(path)]
    tree = path[0].declaration
    kept = [
        {k: v for k, v in s.items() if k not in (tree.tree, "locales", "changed_at")} for s in steps
    ]
    return {**kept[-1], "path": kept}


def _target(row: Any, field: Any) -> Any:
    if getattr(row, field.attname) is None:
        return None
    try:
        found = getattr(row, field.name)
    except models.ObjectDoesNotExist:
        return None
    return found if found.deleted_at is None else None


def needed(cls: type[Entity], parts: int) -> Iterator[str]:
    """The `prefetch_related` lookups of a representation."""
    for field in value_fields(cls):
        if isinstance(field, Reference) and related(cls, field.name).declaration.tree:
            up = related(cls, field.name).declaration.tree
            yield field.name
            yield from ("__".join([field.name, *[up] * d]) for d in range(1, TREE_DEPTH))
    if parts:
        for part in cls.declaration.parts:
            yield part
            child = related(cls, part)
            yield from (f"{part}__{below}" for below in needed(child, parts - 1))


class ProvenanceSerializer(serializers.Serializer[Any]):
    """Which source record stands behind one field."""

    field = serializers.CharField()
    system = serializers.CharField()
    stream = serializers.CharField()
    record = serializers.CharField()
    source_record_id = serializers.IntegerField()
    observed_at = serializers.DateTimeField()
    age_seconds = serializers.FloatField()
    stale = serializers.BooleanField()
    event = serializers.IntegerField(allow_null=True)
    run = serializers.IntegerField(allow_null=True)
    correlation_id = serializers.CharField(allow_blank=True)


@cache
def serializer(
    cls: type[Entity], parts: int, *, trace: bool = True
) -> type[serializers.Serializer[Any]]:
    """The serializer that describes `represent` of an entity, for OpenAPI."""
    declared = cls.declaration
    members: dict[str, Any] = {"__doc__": (cls.__doc__ or "").strip()}
    # "field" and "fields" are attributes of serializers; none of ours is called so.
    members[declared.key] = serializers.CharField(help_text="Natural key.")
    localized = False
    for field in value_fields(cls):
        help_text = str(field.help_text)
        if isinstance(field, Reference):
            target = related(cls, field.name)
            members[field.name] = (
                _node_serializer(target)(allow_null=True)
                if target.declaration.tree
                else serializers.CharField(allow_null=True, help_text="Natural key of the record.")
            )
            continue
        localized = localized or isinstance(field, LocalizedField)
        members[field.name] = _described(field, help_text)
    if localized:
        members["locales"] = serializers.DictField(
            child=serializers.CharField(allow_null=True), help_text="Which locale each text is in."
        )
    if parts:
        for part in declared.parts:
            child = related(cls, part)
            summary = part in declared.summaries
            members[part] = (
                _summary(cls, part)()
                if summary
                else serializer(child, parts - 1, trace=False)(many=True)
            )
    members["changed_at"] = serializers.DateTimeField()
    if trace:
        members["provenance"] = ProvenanceSerializer(
            many=True, required=False, help_text="With include=provenance."
        )
    suffix = "Detail" if parts and trace else ("Part" * (not trace)) + (str(parts) if parts else "")
    return type(f"{type_name(cls)}{suffix}Serializer", (serializers.Serializer,), members)


def _described(field: models.Field[Any, Any], help_text: str) -> Any:
    options: dict[str, Any] = {"allow_null": True, "help_text": help_text}
    if isinstance(field, models.DecimalField):
        options |= {"max_digits": field.max_digits, "decimal_places": field.decimal_places}
    kind = next((s for f, s in FIELDS if isinstance(field, f)), serializers.CharField)
    return kind(**options)


@cache
def _node_serializer(cls: type[Entity]) -> type[serializers.Serializer[Any]]:
    declared = cls.declaration
    members: dict[str, Any] = {declared.key: serializers.CharField()}
    for field in value_fields(cls):
        if field.name != declared.tree:
            members[field.name] = _described(field, "")
    step = type(f"{type_name(cls)}StepSerializer", (serializers.Serializer,), dict(members))
    members["path"] = step(many=True, help_text="From the root to this node.")
    return type(f"{type_name(cls)}NodeSerializer", (serializers.Serializer,), members)


@cache
def _summary(cls: type[Entity], part: str) -> type[serializers.Serializer[Any]]:
    members = {
        "count": serializers.IntegerField(),
        "average": serializers.FloatField(allow_null=True),
    }
    name = f"{type_name(cls)}{part.capitalize()}SummarySerializer"
    return type(name, (serializers.Serializer,), members)
