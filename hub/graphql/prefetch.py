"""From the selection to the rows that it needs: one statement a table, however deep the query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.models import prefetch_related_objects
from graphene.utils.str_converters import to_snake_case
from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode

from catalog.entities import Entity, related
from catalog.explain import DEPTH
from hub import tracing
from hub.rows import live, referenced, references

#: What a connection or a summary wraps around the rows.
WRAPPERS = frozenset({"edges", "node", "nodes"})
TREE_DEPTH = 4
#: Where a row keeps the provenance that was looked up with that of the other rows.
TRACED = "_traced"


def prefetch(rows: Sequence[Any], cls: type[Entity], info: Any) -> None:
    """Fetch what the selection below this field will read from the rows."""
    if not rows:
        return
    found = _Found()
    found.walk(cls, [node.selection_set for node in info.field_nodes], info, "")
    lookups = sorted(found.lookups, key=lambda lookup: (lookup.count("__"), lookup))
    prefetch_related_objects(rows, *lookups)
    sees = info.context["visibility"].sees
    for path in found.traced:
        asked = [row for root in rows for row in _at(root, path.split("__") if path else [])]
        for row, provenance in zip(asked, tracing.provenances(asked, sees), strict=True):
            setattr(row, TRACED, provenance)


def tree_lookups(cls: type[Entity], prefix: str) -> Iterator[str]:
    """The way up from a node of a tree."""
    for depth in range(1, TREE_DEPTH + 1):
        yield prefix + "__".join([cls.declaration.tree] * depth)


def traced_lookups(cls: type[Entity], prefix: str = "", depth: int = DEPTH) -> Iterator[str]:
    """What provenance reads: parts at every depth, references at the top."""
    if depth == DEPTH:
        for name in references(cls):
            yield prefix + name
            if related(cls, name).declaration.tree:
                yield from tree_lookups(related(cls, name), f"{prefix}{name}__")
        if cls.declaration.tree:
            yield from tree_lookups(cls, prefix)
    if depth:
        for part in cls.declaration.parts:
            yield prefix + part
            yield from traced_lookups(related(cls, part), f"{prefix}{part}__", depth - 1)


class _Found:
    """What a selection reads: lookups of related rows, and the paths whose rows are traced."""

    def __init__(self) -> None:
        self.lookups: set[str] = set()
        self.traced: set[str] = set()

    def walk(
        self,
        cls: type[Entity],
        selections: Iterable[SelectionSetNode | None],
        info: Any,
        prefix: str,
    ) -> None:
        """Follow a selection. Fields of one name are followed together, whatever their alias."""
        below: dict[str, list[SelectionSetNode | None]] = {}
        for node in _fields(selections, info, set()):
            below.setdefault(to_snake_case(node.name.value), []).append(node.selection_set)
        wrapped = [below.pop(name) for name in WRAPPERS if name in below]
        for nested in wrapped:
            self.walk(cls, nested, info, prefix)
        named = {*references(cls), *cls.declaration.parts}
        for name, nested in below.items():
            if name in ("provenance", "explain"):
                self.lookups.update(traced_lookups(cls, prefix))
                if name == "provenance":
                    self.traced.add(prefix.removesuffix("__"))
            elif name == "path" and cls.declaration.tree:
                self.lookups.update(tree_lookups(cls, prefix))
            elif name in named:
                self.lookups.add(prefix + name)
                self.walk(related(cls, name), nested, info, f"{prefix}{name}__")


def _at(row: Any, steps: Sequence[str]) -> Iterator[Any]:
    """The live rows at the end of a path of references and parts, all prefetched."""
    if not steps:
        yield row
        return
    if steps[0] in row.declaration.parts:
        following = live(getattr(row, steps[0]))
    else:
        target = referenced(row, steps[0])
        following = [] if target is None else [target]
    for child in following:
        yield from _at(child, steps[1:])


def _fields(
    selections: Iterable[SelectionSetNode | None], info: Any, opened: set[str]
) -> Iterator[FieldNode]:
    """The fields of a selection, fragments opened, each once."""
    for selection_set in selections:
        for node in selection_set.selections if selection_set else ():
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from _fields([node.selection_set], info, opened)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in opened:
                opened.add(node.name.value)
                yield from _fields([info.fragments[node.name.value].selection_set], info, opened)
