"""Our contract without the fields that no system fills any more.

A field that every mapping has lost (`connectors.contracts.supply`) goes, and with it what stands on
it: filters, the list that a reference hangs in, averages, the way through a tree. The hub goes on
serving its last values to those who hold an older SDK; see decision 12.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from graphene.utils.str_converters import to_camel_case
from graphql import REMOVE, DocumentNode, Visitor, parse, print_ast, visit

from catalog.entities import Entity, Reference, derived_fields, entities, entity, related
from connectors.contracts.supply import Filled
from hub.contract.outward import COMPONENTS
from hub.graphql.types import type_name

#: A type or component and a member of it, in the spelling of the entities' declarations.
Member = tuple[str, str]


def narrowed(documents: Mapping[str, str], lost: Collection[Filled]) -> dict[str, str]:
    """Both documents by file name, as given where nothing is lost."""
    if not lost:
        return dict(documents)
    members = {one for name, field in lost for one in _members(entity(name), field)}
    filters = {one for name, field in lost for one in _filters(name, field)}
    return {
        "openapi.json": _openapi(documents["openapi.json"], members, filters),
        "schema.graphql": _sdl(documents["schema.graphql"], members, filters),
    }


def _members(cls: type[Entity], field: str) -> Iterator[Member]:
    """The members that show a field, or stand on it."""
    yield type_name(cls), field
    if field == cls.declaration.tree:
        yield type_name(cls), "path"
    owner = _owner(cls, field)
    if owner:
        yield type_name(owner[0]), owner[1]
    for name, derived in _derived(cls, field):
        yield type_name(entity(name)), derived
    for holder in entities().values():
        for part, measured in holder.declaration.summaries.items():
            if related(holder, part) is cls and measured == field:
                yield f"{type_name(holder)}{part.capitalize()}", "average"


def _owner(cls: type[Entity], field: str) -> tuple[type[Entity], str] | None:
    """The record that a reference hangs its own into, and the part that they are listed under."""
    found: Any = cls._meta.get_field(field)
    if not isinstance(found, Reference):
        return None
    holder, part = related(cls, field), str(found.remote_field.related_name)
    return (holder, part) if part in holder.declaration.parts else None


def _filters(name: str, field: str) -> Iterator[Member]:
    """The filters of lists that read a field: (entity, filter)."""
    yield name, field
    yield from _derived(entity(name), field)


def _derived(cls: type[Entity], field: str) -> Iterator[Member]:
    """The fields that are derived from a field, or by way of the reference that it is."""
    owner = _owner(cls, field)
    for name, holder in entities().items():
        for derived in derived_fields(holder):
            at, steps = holder, derived.of.split(".")
            ways = []
            for step in steps[:-1]:
                ways.append((at, step))
                at = related(at, step)
            if owner in ways or (at, steps[-1]) == (cls, field):
                yield name, derived.name


def _openapi(text: str, members: set[Member], filters: set[Member]) -> str:
    document = json.loads(text)
    gone = {(f"{owner}{end}", member) for owner, member in members for end in COMPONENTS}
    for name, schema in document["components"]["schemas"].items():
        for member in [m for m in schema.get("properties", ()) if (name, m) in gone]:
            del schema["properties"][member]
            schema["required"] = [one for one in schema.get("required", ()) if one != member]
            if not schema["required"]:
                del schema["required"]  # an empty list is no valid JSON Schema draft 4
    lists = {f"list_{entity(name).declaration.plural}": name for name, _ in filters}
    for operation in (one for methods in document["paths"].values() for one in methods.values()):
        if name := lists.get(operation["operationId"]):
            told = operation["parameters"]
            operation["parameters"] = [p for p in told if (name, p["name"]) not in filters]
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _sdl(text: str, members: set[Member], filters: set[Member]) -> str:
    gone = {(owner, to_camel_case(member)) for owner, member in members}
    gone |= {(f"{type_name(entity(n))}Filter", to_camel_case(field)) for n, field in filters}

    class Narrow(Visitor):
        def enter(self, node: Any, _key: Any, _parent: Any, _path: Any, above: list[Any]) -> Any:
            if node.kind in {"field_definition", "input_value_definition"}:
                owner = next((n for n in reversed(above) if hasattr(n, "fields")), None)
                if owner is not None and (owner.name.value, node.name.value) in gone:
                    return REMOVE
            return None

    kept: DocumentNode = visit(parse(text), Narrow())
    return print_ast(kept) + "\n"
