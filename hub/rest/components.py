"""The OpenAPI components of the entities: what `hub.rest.represent` shows, as serializers.

They describe and are never run: a record goes out as it was represented.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import models
from rest_framework import serializers

from catalog.entities import (
    Entity,
    LocalizedField,
    Lowest,
    Reference,
    derived_fields,
    related,
    value_fields,
)
from catalog.explain import DEPTH
from hub.graphql.types import described, entry_name, type_name

Described = type[serializers.Serializer[Any]]

FIELDS: tuple[
    tuple[type[models.Field[Any, Any]], type[serializers.Field[Any, Any, Any, Any]]], ...
] = (
    (models.DecimalField, serializers.DecimalField),
    (models.IntegerField, serializers.IntegerField),
    (models.FloatField, serializers.FloatField),
    (models.BooleanField, serializers.BooleanField),
    (models.DateTimeField, serializers.DateTimeField),
    (models.DateField, serializers.DateField),
    (LocalizedField, serializers.CharField),
    (models.JSONField, serializers.JSONField),
)


class ProvenanceSerializer(serializers.Serializer[Any]):
    """Which source record stands behind one field; of a computed one the oldest that does."""

    field = serializers.CharField(help_text="Path of the field: `variants.P-000001-01.gtin`.")
    system = serializers.CharField()
    stream = serializers.CharField()
    record = serializers.CharField(help_text="The upstream's identifier of the record.")
    source_record_id = serializers.IntegerField()
    observed_at = serializers.DateTimeField(help_text="When the hub read it.")
    age_seconds = serializers.FloatField()
    stale = serializers.BooleanField(help_text="Older than its stream's freshness objective.")
    reason = serializers.CharField(
        allow_null=True,
        help_text="Why it may be older than promised: its system is down. Null while all is well.",
    )
    event = serializers.IntegerField(allow_null=True)
    run = serializers.IntegerField(allow_null=True)
    correlation_id = serializers.CharField(allow_blank=True)


@cache
def record(cls: type[Entity]) -> Described:
    """One record with its parts."""
    return _component(type_name(cls), _members(cls, DEPTH) | _traced())


@cache
def item(cls: type[Entity]) -> Described:
    """One record on a list; its parts come with `include=parts`."""
    return _component(f"{type_name(cls)}Item", _members(cls, DEPTH, required=False) | _traced())


@cache
def page(cls: type[Entity]) -> Described:
    """One page of a list."""
    next_page = serializers.CharField(allow_null=True, help_text="`cursor` of the next page.")
    return _component(f"{type_name(cls)}Page", {"items": item(cls)(many=True), "next": next_page})


@cache
def _part(cls: type[Entity], depth: int) -> Described:
    return _component(f"{type_name(cls)}Part", _members(cls, depth))


def _height(cls: type[Entity], limit: int = DEPTH) -> int:
    """How deep the entity's own parts go: below that a part is the same wherever it hangs."""
    parts = cls.declaration.parts if limit else ()
    return max((1 + _height(related(cls, part), limit - 1) for part in parts), default=0)


@cache
def _node(cls: type[Entity]) -> Described:
    way = _step(cls)(many=True, help_text="From the root to this node.")
    return _component(f"{type_name(cls)}Node", _own(cls) | {"path": way})


@cache
def _step(cls: type[Entity]) -> Described:
    return _component(f"{type_name(cls)}Step", _own(cls))


@cache
def _summary(cls: type[Entity], part: str, depth: int) -> Described:
    members = {
        "count": serializers.IntegerField(),
        "average": serializers.FloatField(
            allow_null=True, help_text=f"Of `{cls.declaration.summaries[part]}`."
        ),
        "nodes": _part(related(cls, part), depth)(many=True),
    }
    return _component(f"{type_name(cls)}{part.capitalize()}", members)


def _members(cls: type[Entity], depth: int, *, required: bool = True) -> dict[str, Any]:
    declared = cls.declaration
    members: dict[str, Any] = {declared.key: serializers.CharField(help_text="Natural key.")}
    texts = False
    for field in value_fields(cls):
        texts = texts or isinstance(field, LocalizedField)
        if not isinstance(field, Reference):
            members[field.name] = _described(cls, field)
        elif related(cls, field.name).declaration.tree:
            members[field.name] = _node(related(cls, field.name))(allow_null=True)
        else:
            target = related(cls, field.name).declaration
            members[field.name] = serializers.CharField(
                allow_null=True, help_text=f"`{target.key}` of the {target.name}."
            )
    for field in derived_fields(cls):
        members[field.name] = _derived(cls, field)
    if declared.tree:
        members["path"] = _step(cls)(many=True, help_text="From the root to this one.")
    if texts:
        members["locales"] = serializers.DictField(
            child=serializers.CharField(allow_null=True), help_text="Which locale each text is in."
        )
    for part in declared.parts if depth else ():
        below = min(depth - 1, _height(related(cls, part)))
        if part in declared.summaries:
            members[part] = _summary(cls, part, below)(required=required)
        else:
            members[part] = _part(related(cls, part), below)(many=True, required=required)
    members["changed_at"] = serializers.DateTimeField(help_text="When a value last changed here.")
    return members


def _own(cls: type[Entity]) -> dict[str, Any]:
    members: dict[str, Any] = {cls.declaration.key: serializers.CharField()}
    for field in value_fields(cls):
        if not isinstance(field, Reference):
            members[field.name] = _described(cls, field)
    return members


def _traced() -> dict[str, Any]:
    return {
        "provenance": ProvenanceSerializer(
            many=True, required=False, help_text="With `include=provenance`."
        )
    }


def _described(cls: type[Entity], field: models.Field[Any, Any]) -> Any:
    options: dict[str, Any] = {"allow_null": True, "help_text": described(cls, field)}
    if isinstance(field, models.DecimalField):
        options |= {"max_digits": field.max_digits, "decimal_places": field.decimal_places}
    kind = next((s for f, s in FIELDS if isinstance(field, f)), serializers.CharField)
    return kind(**options)


@cache
def _entry(cls: type[Entity], field: Lowest) -> Described:
    last: Any = field.measured.model
    return _component(entry_name(cls, field), {m.name: _described(last, m) for m in field.members})


def _derived(cls: type[Entity], field: Any) -> Any:
    # null is for whoever may not see what it is derived from
    options: dict[str, Any] = {"allow_null": True, "help_text": str(field.help_text)}
    if isinstance(field, Lowest):
        return _entry(cls, field)(many=True, **options)
    return serializers.BooleanField(**options)


def _component(name: str, members: dict[str, Any]) -> Described:
    return type(f"{name}Serializer", (serializers.Serializer,), members)
