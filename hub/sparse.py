"""Sparse records in REST: `fields=sku,name,variants.sku` shows these members alone.

A path names a member of the record; one that has members of its own is shown with all of them, or
with those that are named. Members keep their order, whatever the order in which they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

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
from hub.listing import shown
from hub.problems import BadInputError

#: Chosen members with what is chosen below each: `(("sku", ()), ("variants", (("sku", ()),)))`.
#: Empty: all there are.
Fields = tuple[tuple[str, Any], ...]
Tree = dict[str, Any]
EVERYTHING: Fields = ()


def chosen(fields: Fields, name: str) -> Fields | None:
    """What is chosen below a member; None where it is not chosen."""
    return EVERYTHING if not fields else dict(fields).get(name)


def paths(fields: Fields) -> Iterator[str]:
    """The chosen, as a parameter names them."""
    for name, below in fields:
        yield from (f"{name}.{path}" for path in paths(below)) if below else [name]


def with_parts(cls: type[Entity], fields: Fields) -> bool:
    """Whether a part of the record is among the chosen."""
    return any(name in cls.declaration.parts for name, _ in fields)


def pruned(document: Any, fields: Fields) -> Any:
    """The chosen members of a record, or of each in a list."""
    if isinstance(document, list):
        return [pruned(item, fields) for item in document]
    if not fields or not isinstance(document, dict):
        return document
    below = dict(fields)
    return {n: pruned(value, below[n]) for n, value in document.items() if n in below}


@lru_cache(maxsize=512)
def fields_of(cls: type[Entity], text: str) -> Fields:
    """What a parameter chooses. Raises BadInputError that names the unknown and what is known."""
    found: Tree = {}
    for path in text.split(","):
        known, place = members(cls), found
        *above, last = path.split(".")
        for step in above:
            known, place = _known(path, step, known), place.setdefault(step, {})
        _known(path, last, known)
        # The whole member was asked for: what is named below it is in that.
        place.setdefault(last, {})[""] = None
    return _frozen(found)


def _known(path: str, step: str, known: Mapping[str, Any]) -> Any:
    if step not in known:
        listed = f"known are {', '.join(known)}" if known else "it has no members"
        raise BadInputError(f"unknown field {shown(path)}; {listed}", parameter="fields")
    return known[step]


def _frozen(tree: Tree) -> Fields:
    return tuple((n, EVERYTHING if "" in tree[n] else _frozen(tree[n])) for n in sorted(tree))


@lru_cache(maxsize=256)
def members(cls: type[Entity], depth: int = DEPTH) -> Tree:
    """The members of a record with those below each, as `hub.rest.represent` makes them."""
    declared = cls.declaration
    found: Tree = {declared.key: {}}
    for field in value_fields(cls):
        target = related(cls, field.name) if isinstance(field, Reference) else None
        found[field.name] = _node(target) if target and target.declaration.tree else {}
    for field in derived_fields(cls):
        found[field.name] = {m.name: {} for m in field.members} if isinstance(field, Lowest) else {}
    if declared.tree:
        found["path"] = _step(cls)
    texts = [f.name for f in value_fields(cls) if isinstance(f, LocalizedField)]
    if texts:
        found["locales"] = {key: {} for key in texts}
    for part in declared.parts if depth else ():
        below = members(related(cls, part), depth - 1)
        summed = {"count": {}, "average": {}, "nodes": below}
        found[part] = summed if part in declared.summaries else below
    found["changed_at"] = {}
    return found


def _node(cls: type[Entity]) -> Tree:
    return {**_step(cls), "path": _step(cls)}


def _step(cls: type[Entity]) -> Tree:
    own = [f.name for f in value_fields(cls) if not isinstance(f, Reference)]
    return {key: {} for key in [cls.declaration.key, *own]}
