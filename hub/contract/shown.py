"""Where the APIs show a field of an entity: addresses and members of REST, fields of GraphQL types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from graphene.utils.str_converters import to_camel_case

from catalog.entities import Entity, Reference, derived_fields, entities, related, value_fields
from catalog.explain import DEPTH
from hub.graphql.types import type_name
from hub.usage.uses import Field, fields_behind

PREFIX = "/api/v1/"


@dataclass(frozen=True, slots=True, order=True)
class Shown:
    """A member of an answer, `variants[].gtin`, or a parameter, `?gtin`, of an address."""

    address: str
    member: str


def in_rest(field: Field) -> list[Shown]:
    """Members and parameters by which REST shows a field."""
    return sorted(_rest().get(field, ()))


def in_graphql(field: Field) -> list[str]:
    """Fields of types and of filters: `Variant.gtin`, `VariantFilter.gtin`."""
    return sorted(_graphql().get(field, ()))


def owners_of(name: str) -> list[str]:
    """The entities whose records hold records of this one as parts, at any depth; itself first."""
    found = [name]
    for owner in found:
        for cls in entities().values():
            parts = [related(cls, part).declaration.name for part in cls.declaration.parts]
            if owner in parts and cls.declaration.name not in found:
                found.append(cls.declaration.name)
    return found


@lru_cache(maxsize=1)
def _rest() -> dict[Field, set[Shown]]:
    found: dict[Field, set[Shown]] = {}
    for cls in entities().values():
        declared = cls.declaration
        page = f"{PREFIX}{declared.plural}"
        for field, member in _members(cls, DEPTH):
            found.setdefault(field, set()).add(Shown(f"{page}/{{{declared.key}}}", member))
            found[field].add(Shown(page, f"items[].{member}"))
        for name, field in _filters(cls):
            found.setdefault(field, set()).add(Shown(page, f"?{name}"))
    return found


@lru_cache(maxsize=1)
def _graphql() -> dict[Field, set[str]]:
    found: dict[Field, set[str]] = {}
    for cls in entities().values():
        declared, kind = cls.declaration, type_name(cls)
        own = [field.name for field in (*value_fields(cls), *derived_fields(cls))]
        for name in (declared.key, *own, *declared.parts):
            for field in _ends(cls, name):
                found.setdefault(field, set()).add(f"{kind}.{to_camel_case(name)}")
        for part, measured in declared.summaries.items():
            summed = (related(cls, part).declaration.name, measured)
            found.setdefault(summed, set()).add(f"{kind}{part.capitalize()}.average")
        for name, field in _filters(cls):
            found.setdefault(field, set()).add(f"{kind}Filter.{to_camel_case(name)}")
    return found


def _ends(cls: type[Entity], name: str) -> set[Field]:
    """A field, and the one that it is derived from."""
    behind = list(fields_behind(cls, name))
    return {behind[0], behind[-1]}


def _filters(cls: type[Entity]) -> Iterator[tuple[str, Field]]:
    """(filter, a field that it compares)."""
    declared = cls.declaration
    for name in declared.filters:
        yield from ((name, field) for field in _ends(cls, name))


def _members(cls: type[Entity], depth: int, prefix: str = "") -> Iterator[tuple[Field, str]]:
    """As `hub.rest.represent` shows a record."""
    declared = cls.declaration
    yield (declared.name, declared.key), prefix + declared.key
    for field in value_fields(cls):
        yield (declared.name, field.name), prefix + field.name
        if isinstance(field, Reference) and related(cls, field.name).declaration.tree:
            tree = related(cls, field.name)
            yield from _step(tree, f"{prefix}{field.name}.")
            yield from _step(tree, f"{prefix}{field.name}.path[].")
    for derived in derived_fields(cls):
        yield from ((end, prefix + derived.name) for end in _ends(cls, derived.name))
    if declared.tree:
        yield from _step(cls, f"{prefix}path[].")
    for part in declared.parts if depth else ():
        child, inside = related(cls, part), f"{prefix}{part}[]."
        if part in declared.summaries:
            inside = f"{prefix}{part}.nodes[]."
            summed = (child.declaration.name, declared.summaries[part])
            yield summed, f"{prefix}{part}.average"
        yield (declared.name, part), prefix + part
        yield from _members(child, depth - 1, inside)


def _step(cls: type[Entity], prefix: str) -> Iterator[tuple[Field, str]]:
    declared = cls.declaration
    yield (declared.name, declared.key), prefix + declared.key
    for field in value_fields(cls):
        if not isinstance(field, Reference):
            yield (declared.name, field.name), prefix + field.name
