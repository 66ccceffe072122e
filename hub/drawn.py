"""What an answer is made of: which fields of which entities, and which systems may stand behind them.

Nobody asks while all systems are well and no use has a limit, so nothing here is for the hot path.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
)
from graphql.execution.collect_fields import collect_fields, collect_sub_fields

from catalog.entities import Entity, entities, related, value_fields
from catalog.explain import DEPTH
from catalog.ownership import OwnershipRule, survivorship
from catalog.source import Source
from connectors.models import Connection
from connectors.runtime.declare import Child
from connectors.runtime.lineage import declared_in
from hub.reads.members import Kind, members
from hub.rows import references

#: (entity, field) of every value that an answer may hold.
Drawn = frozenset[tuple[str, str]]
#: (system, stream).
Stream = tuple[str, str]

KNOWN_SECONDS = 10.0


@lru_cache(maxsize=256)
def of_record(cls: type[Entity], *, parts: bool, traced: bool = False) -> Drawn:
    """What REST shows of a record: its values, the nodes that it refers to, its parts; with
    provenance (`traced`), which speaks of all that the record refers to, the values of those too.
    """
    targets = [related(cls, name) for name in references(cls)] if traced else []
    return frozenset(_shown(cls, DEPTH if parts else 0)).union(*map(_values, targets))


def of_operation(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> Drawn:
    """What a GraphQL operation selects; @include and @skip as these variables decide."""
    fragments = {
        d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)
    }
    query = schema.query_type
    if query is None:
        return frozenset()
    selected = collect_fields(schema, fragments, dict(variables), query, operation.selection_set)
    walk = _Walk(schema, fragments, dict(variables))
    return frozenset(walk.below(query, selected))


def operation_name(operation: OperationDefinitionNode) -> str:
    """What an operation is called by: its name, or its root fields."""
    if operation.name is not None:
        return f"GraphQL {operation.name.value}"
    nodes = operation.selection_set.selections
    roots = sorted({node.name.value for node in nodes if isinstance(node, FieldNode)})
    return f"GraphQL {{ {' '.join(roots)} }}"


def field_of(cls: type[Entity], called: str) -> str:
    """The name of the attribute behind a field of the entity's GraphQL type; empty for others."""
    known = members(cls).get(called)
    return known.name if known else ""


def _values(cls: type[Entity]) -> set[tuple[str, str]]:
    return {(cls.declaration.name, field.name) for field in value_fields(cls)}


def _shown(cls: type[Entity], depth: int) -> Iterator[tuple[str, str]]:
    yield from _values(cls)
    for name in references(cls):
        if related(cls, name).declaration.tree:
            yield from _values(related(cls, name))
    for part in cls.declaration.parts if depth else ():
        yield from _shown(related(cls, part), depth - 1)


@lru_cache(maxsize=1)
def _by_type() -> dict[str, type[Entity]]:
    return {
        "".join(word.capitalize() for word in name.split("_")): cls
        for name, cls in entities().items()
    }


class _Walk:
    def __init__(
        self, schema: GraphQLSchema, fragments: dict[str, Any], values: dict[str, Any]
    ) -> None:
        self._schema, self._fragments, self._values = schema, fragments, values

    def below(
        self, kind: GraphQLObjectType, selected: Mapping[str, Sequence[FieldNode]]
    ) -> Iterator[tuple[str, str]]:
        cls = _by_type().get(kind.name)
        for nodes in selected.values():
            called = nodes[0].name.value
            if cls is not None:
                yield from self._of_entity(cls, called)
            field = kind.fields.get(called)
            below = get_named_type(field.type) if field else None
            if isinstance(below, GraphQLObjectType):
                inside = collect_sub_fields(
                    self._schema, self._fragments, self._values, below, list(nodes)
                )
                yield from self.below(below, inside)

    def _of_entity(self, cls: type[Entity], called: str) -> Iterator[tuple[str, str]]:
        known, declared = members(cls).get(called), cls.declaration
        if known is None or known.kind is Kind.KEY:
            return
        if known.kind is Kind.PROVENANCE or known.name == "explain":
            yield from of_record(cls, parts=True, traced=True)
        elif known.kind is Kind.WAY:
            yield declared.name, declared.tree
        elif known.kind is Kind.SUMMARY:
            yield related(cls, known.name).declaration.name, declared.summaries[known.name]
        elif known.name in {field.name for field in value_fields(cls)}:
            yield declared.name, known.name


# --- who may stand behind a field -------------------------------------------------------------

Supply = Mapping[tuple[str, str], frozenset[Stream]]
_supply: Supply = {}
_supplied_at = float("-inf")


def supply() -> Supply:
    """The streams that tell a field and that its ownership rule admits, {(entity, field): streams}.

    Three statements, and none within ten seconds.
    """
    global _supply, _supplied_at
    if time.monotonic() - _supplied_at > KNOWN_SECONDS:
        _supply, _supplied_at = _supply_now(), time.monotonic()
    return _supply


def forget() -> None:
    """Look again."""
    global _supplied_at  # noqa: PLW0603 (one a process)
    _supplied_at = float("-inf")


def streams(drawn: Drawn) -> set[Stream]:
    """The streams that may stand behind an answer."""
    known = supply()
    return {stream for pair in drawn for stream in known.get(pair, ())}


def _supply_now() -> Supply:
    rules, known = list(OwnershipRule.objects.all()), entities()
    connectors = dict(Connection.objects.values_list("slug", "connector"))
    admitted = {name: survivorship(name, rules).order for name in known}
    found: dict[tuple[str, str], set[Stream]] = defaultdict(set)
    for source in Source.objects.all():
        for field in _told(source, connectors.get(source.system, "")):
            order = admitted.get(source.entity, {}).get(field)
            if order is None or source.system in order:
                found[source.entity, field].add((source.system, source.stream))
    return {pair: frozenset(streams) for pair, streams in found.items()}


def _told(source: Source, connector: str) -> Sequence[str]:
    """The fields that a source speaks about; all where its declaration is gone."""
    declared = declared_in(connector, source.stream, source.entity)
    if declared is None:
        cls = entities().get(source.entity)
        return [] if cls is None else [field.name for field in value_fields(cls)]
    parent = declared.parent_fields if isinstance(declared, Child) else {}
    return [*declared.fields, *parent]
