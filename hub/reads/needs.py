"""What a request reads, from its text and the declarations alone: `hub.auth.rights.Needs`.

What @skip or a condition may leave out counts too: a document either may be asked or may not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
)

from catalog.entities import Entity, entities, related
from catalog.explain import DEPTH
from hub.auth.rights import CLASS, INTROSPECT, READ, TRACE, Needs
from hub.graphql import mutations
from hub.graphql.types import type_name
from hub.reads.members import Kind, members
from hub.rows import references
from hub.sparse import EVERYTHING, Fields, chosen, with_parts

#: Fields of an entity's type that tell where its values come from.
TRACES = frozenset({"provenance", "explain"})


def of_operation(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
) -> Needs:
    """The needs of a valid operation."""
    walk = _Walk(fragments)
    root = schema.get_root_type(operation.operation)
    if root is not None:
        walk.follow(root, operation.selection_set)
    return Needs(tuple(sorted(walk.scopes)))


@lru_cache(maxsize=256)
def of_records(
    cls: type[Entity], *, parts: bool, provenance: bool, fields: Fields = EVERYTHING
) -> Needs:
    """The needs of REST's representation of an entity, or of what is chosen of it."""
    scopes = set(_shown(cls, DEPTH if parts or with_parts(cls, fields) else 0, fields))
    if provenance:
        scopes |= _traced(cls, DEPTH if parts else 0)
    return Needs(tuple(sorted(scopes)))


@lru_cache(maxsize=64)
def of_lineage(cls: type[Entity]) -> Needs:
    """The needs of an explanation: its path may lead to any part and reference."""
    return Needs(tuple(sorted({f"{READ}:{cls.declaration.name}", *_traced(cls, DEPTH)})))


@lru_cache(maxsize=64)
def of_history(cls: type[Entity]) -> Needs:
    """The needs of a record's own history."""
    name = cls.declaration.name
    return Needs((f"{READ}:{name}", f"{TRACE}:{name}"))


def _shown(cls: type[Entity], depth: int, fields: Fields) -> Iterator[str]:
    """The scopes of what REST shows: the entity, its parts, and the trees that are referred to."""
    yield f"{READ}:{cls.declaration.name}"
    yield from _refused(cls, fields)
    for name in references(cls):
        target, below = related(cls, name), chosen(fields, name)
        if target.declaration.tree and below is not None:
            yield f"{READ}:{target.declaration.name}"
            yield from (*_refused(target, below), *_refused(target, chosen(below, "path") or ()))
    for part in cls.declaration.parts if depth else ():
        inside = chosen(fields, part)
        if part in cls.declaration.summaries and inside is not None:
            # The numbers of a summary are the entity's own.
            inside = chosen(inside, "nodes")
        if inside is not None:
            yield from _shown(related(cls, part), depth - 1, inside)


def _refused(cls: type[Entity], fields: Fields) -> Iterator[str]:
    """The scopes of fields that whoever may not see them may not name either."""
    for name, _ in fields:
        guarded = cls.declaration.guarded.get(name)
        if guarded is not None and guarded.refused:
            yield f"{CLASS}:{guarded.field_class}"


@lru_cache(maxsize=256)
def _traced(cls: type[Entity], depth: int) -> frozenset[str]:
    """The scopes of provenance: the row, its parts at every depth, and what it refers to."""
    reached = {related(cls, name) for name in references(cls)}
    level = {cls}
    for _ in range(depth + 1):
        reached |= level
        level = {related(row, part) for row in level for part in row.declaration.parts}
    return frozenset(f"{TRACE}:{row.declaration.name}" for row in reached)


@lru_cache(maxsize=1)
def _by_type() -> dict[str, type[Entity]]:
    return {type_name(cls): cls for cls in entities().values()}


class _Walk:
    """Follows selections, each fragment once for a type."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self.scopes: set[str] = set()
        self._fragments = fragments
        self._opened: set[tuple[str, str]] = set()

    def follow(self, kind: GraphQLObjectType, selection_set: SelectionSetNode | None) -> None:
        """What a selection on a type reads."""
        cls = _by_type().get(kind.name)
        if cls is not None:
            self.scopes.add(f"{READ}:{cls.declaration.name}")
        for node in selection_set.selections if selection_set else ():
            if isinstance(node, FieldNode):
                self._field(kind, cls, node)
            elif isinstance(node, InlineFragmentNode):
                self.follow(kind, node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                opened = (node.name.value, kind.name)
                if opened not in self._opened:
                    self._opened.add(opened)
                    self.follow(kind, self._fragments[node.name.value].selection_set)

    def _field(self, kind: GraphQLObjectType, cls: type[Entity] | None, node: FieldNode) -> None:
        name = node.name.value
        if name in ("__schema", "__type"):
            self.scopes.add(INTROSPECT)
            return
        if cls is not None:
            self._of_entity(cls, name)
        if name in kind.fields:
            if kind.name == mutations.ROOT:
                self.scopes.add(mutations.scope_of(name))
            target = get_named_type(kind.fields[name].type)
            if isinstance(target, GraphQLObjectType):
                self.follow(target, node.selection_set)

    def _of_entity(self, cls: type[Entity], name: str) -> None:
        if name in TRACES:
            self.scopes |= _traced(cls, DEPTH)
        member = members(cls).get(name)
        if member is None or member.kind in (Kind.PART, Kind.SUMMARY):
            return
        self.scopes.update(_refused(cls, ((member.name, EVERYTHING),)))
