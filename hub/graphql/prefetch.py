"""From the selection to the rows that it needs: one statement a table, however deep the query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from graphene.utils.str_converters import to_snake_case
from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode

from catalog.entities import Entity, Reference, related, value_fields

#: What a connection or a summary wraps around the rows.
WRAPPERS = frozenset({"edges", "node", "nodes"})
TREE_DEPTH = 4
PARTS_DEPTH = 3


def lookups(
    cls: type[Entity], selections: Iterable[SelectionSetNode | None], info: Any
) -> list[str]:
    """The `prefetch_related` lookups of a selection, shortest first."""
    found = set(_walk(cls, list(selections), info, ""))
    return sorted(found, key=lambda lookup: (lookup.count("__"), lookup))


def _walk(
    cls: type[Entity], selections: list[SelectionSetNode | None], info: Any, prefix: str
) -> Iterator[str]:
    references = {f.name: f for f in value_fields(cls) if isinstance(f, Reference)}
    declared = cls.declaration
    for node in _fields(selections, info):
        name = to_snake_case(node.name.value)
        if name in WRAPPERS:
            yield from _walk(cls, [node.selection_set], info, prefix)
        elif name in ("provenance", "explain"):
            yield from _parts(cls, prefix, PARTS_DEPTH)
        elif name == "path" and declared.tree:
            yield from (
                prefix + "__".join([declared.tree] * depth) for depth in range(1, TREE_DEPTH + 1)
            )
        elif name in references or name in declared.parts:
            target = related(cls, name)
            yield prefix + name
            yield from _walk(target, [node.selection_set], info, f"{prefix}{name}__")


def _parts(cls: type[Entity], prefix: str, depth: int) -> Iterator[str]:
    if depth:
        for part in cls.declaration.parts:
            yield prefix + part
            child = related(cls, part)
            yield from _parts(child, f"{prefix}{part}__", depth - 1)


def _fields(selections: Iterable[SelectionSetNode | None], info: Any) -> Iterator[FieldNode]:
    """The fields of a selection, fragments opened. Validation has excluded cycles."""
    for selection_set in selections:
        for node in selection_set.selections if selection_set else ():
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from _fields([node.selection_set], info)
            elif isinstance(node, FragmentSpreadNode):
                yield from _fields([info.fragments[node.name.value].selection_set], info)
