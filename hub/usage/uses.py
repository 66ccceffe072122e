"""What an operation reads of our contract: the fields of entities by their API's names.

A GraphQL document counts whole: a field that it names anywhere, be it under `@skip`, is one that it
cannot do without, because without it the document is invalid. A filter counts as its field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from graphene.utils.str_converters import to_camel_case
from graphql import (
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    InlineFragmentNode,
    NamedTypeNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    Visitor,
    get_named_type,
    print_ast,
    type_from_ast,
    visit,
)

from catalog.entities import Entity, Reference, derived_fields, entities, related, value_fields
from catalog.explain import DEPTH
from hub import listing, sparse
from hub.contract.sunset import headers
from hub.graphql.documents import schema
from hub.graphql.types import type_name
from hub.reads.members import members, roots
from hub.sparse import EVERYTHING, Fields, chosen

#: An entity and a field of it, by the API's names: ("product", "sku").
Field = tuple[str, str]
#: Stands for a value in a document as it is kept: values may be somebody's name or address.
HIDDEN = EnumValueNode(value="_")
LIFTED = "_lifted"
LONGEST = 4000


class Operation:
    """A GraphQL document or an address of REST, as it is kept: without values.

    Made in the hottest path, told in the background: so its text is made when it is wanted. A long
    document's is made at once: it waits to be counted, and takes a hundred times its length till then.
    """

    def __init__(self, name: str, source: DocumentNode | str) -> None:
        self.name, self._source = name, source
        if isinstance(source, DocumentNode) and (source.loc is None or source.loc.end > LONGEST):
            self._source = _printed(source)

    @cached_property
    def text(self) -> str:
        """What was asked for."""
        return self._source if isinstance(self._source, str) else _printed(self._source)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text, which names it."""
        return hashlib.sha256(self.text.encode(errors="replace")).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Uses:
    """What one operation reads; compared by identity, because it is a key in the hottest path.

    `headers` go with every answer: they say what of it is deprecated.
    """

    operation: Operation
    fields: frozenset[Field]
    headers: tuple[tuple[str, str], ...]

    def filtered(self, cls: type[Entity], filters: Iterable[str]) -> Uses:
        """The same with filters that came in variables."""
        more = self.fields | set(filter_fields(cls, filters))
        return self if more == self.fields else replace(self, fields=more, headers=headers(more))


@lru_cache(maxsize=512)
def of_rest(
    cls: type[Entity],
    *,
    many: bool,
    parts: bool,
    provenance: bool,
    filters: tuple[str, ...] = (),
    fields: Fields = EVERYTHING,
) -> Uses:
    """What a list or a record of REST shows: every field, or those that are chosen, and filters."""
    address = f"GET /api/v1/{cls.declaration.plural}"
    name = address if many else f"{address}/{{{cls.declaration.key}}}"
    wanted = [w for w, on in (("parts", many and parts), ("provenance", provenance)) if on]
    asked = {"include": ",".join(wanted), "fields": ",".join(sparse.paths(fields))}
    query = "&".join(f"{parameter}={value}" for parameter, value in asked.items() if value)
    text = f"{name}?{query}" if query else name
    depth = DEPTH if parts or sparse.with_parts(cls, fields) else 0
    read = {*_shown(cls, depth, fields), *filter_fields(cls, filters)}
    if provenance:
        read.add((cls.declaration.name, "provenance"))
    found = frozenset(read)
    return Uses(Operation(name, text), found, headers(found))


def of_document(document: DocumentNode, operation: OperationDefinitionNode | None) -> Uses:
    """What a valid GraphQL document reads."""
    called = operation.name.value if operation and operation.name else "(unnamed)"
    fields = fields_of(document)
    return Uses(Operation(f"GraphQL {called}", document), fields, headers(fields))


def fields_of(document: DocumentNode) -> frozenset[Field]:
    """The fields that a valid GraphQL document names."""
    found: set[Field] = set()
    for node in document.definitions:
        if isinstance(node, FragmentDefinitionNode):
            kind = schema().type_map[node.type_condition.name.value]
            found.update(_selected(kind, node.selection_set))
        elif isinstance(node, OperationDefinitionNode):
            found.update(_selected(schema().get_root_type(node.operation), node.selection_set))
            for variable in node.variable_definitions:
                if variable.default_value is not None:
                    taken = type_from_ast(schema(), variable.type)
                    found.update(_filtering(taken, variable.default_value))
    return frozenset(found)


def filter_fields(cls: type[Entity], filters: Iterable[str]) -> Iterator[Field]:
    """The fields that filters of a list read."""
    declared = cls.declaration
    for name in filters:
        if name == listing.CHANGED_SINCE:
            yield declared.name, "changed_at"
        else:
            yield from fields_behind(cls, name)


def filters_in(
    operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> Iterator[tuple[type[Entity], tuple[str, ...]]]:
    """The filters that a request sends in variables: (entity, its filters)."""
    for node in operation.variable_definitions:
        kind = get_named_type(type_from_ast(schema(), node.type))
        known = _filters().get(getattr(kind, "name", ""))
        sent = variables.get(node.variable.name.value)
        if known and isinstance(sent, dict):
            cls, names = known
            yield cls, tuple(names[n] for n, v in sent.items() if n in names and v is not None)


def fields_behind(cls: type[Entity], name: str) -> Iterator[Field]:
    """A member's own field; for a derived one also those on the way to what it is derived from."""
    yield cls.declaration.name, name
    for field in derived_fields(cls):
        if field.name == name:
            yield from _along(cls, field.of)


def _along(cls: type[Entity], path: str) -> Iterator[Field]:
    *parts, field = path.split(".")
    for part in parts:
        yield cls.declaration.name, part
        cls = related(cls, part)
    yield cls.declaration.name, field


def _shown(cls: type[Entity], depth: int, fields: Fields) -> Iterator[Field]:
    """As `hub.rest.represent` shows a record, or what is chosen of it."""
    declared = cls.declaration
    for name in sparse.members(cls, depth):
        below = chosen(fields, name)
        if below is None:
            continue
        yield from fields_behind(cls, name)
        if name in declared.parts:
            yield from _shown_part(cls, name, depth, below)
        elif name in {f.name for f in value_fields(cls) if isinstance(f, Reference)}:
            yield from _shown_node(related(cls, name), below)


def _shown_part(cls: type[Entity], part: str, depth: int, below: Fields) -> Iterator[Field]:
    child, nodes = related(cls, part), chosen(below, "nodes")
    if part not in cls.declaration.summaries:
        nodes = below
    elif chosen(below, "average") is not None:
        yield child.declaration.name, cls.declaration.summaries[part]
    if nodes is not None:
        yield from _shown(child, depth - 1, nodes)


def _shown_node(cls: type[Entity], below: Fields) -> Iterator[Field]:
    """What is shown of the record that a reference into a tree names."""
    if cls.declaration.tree:
        plain = [f.name for f in value_fields(cls) if not isinstance(f, Reference)]
        shown = (cls.declaration.key, "path", *plain)
        yield from ((cls.declaration.name, n) for n in shown if chosen(below, n) is not None)


def _selected(kind: Any, selection: SelectionSetNode | None) -> Iterator[Field]:
    """What a selection on a type reads; fragments that it spreads are definitions of their own."""
    for node in selection.selections if selection else ():
        if isinstance(node, InlineFragmentNode):
            condition: NamedTypeNode | None = node.type_condition
            inner = schema().type_map[condition.name.value] if condition is not None else kind
            yield from _selected(inner, node.selection_set)
        elif isinstance(node, FieldNode) and (declared := kind.fields.get(node.name.value)):
            yield from _of_member(kind.name, node.name.value)
            for argument in node.arguments:
                yield from _filtering(declared.args[argument.name.value].type, argument.value)
            if node.selection_set:
                yield from _selected(get_named_type(declared.type), node.selection_set)


def _of_member(owner: str, called: str) -> Iterator[Field]:
    if owner == "Query" and called in roots():
        cls, many = roots()[called]
        if not many:
            yield cls.declaration.name, cls.declaration.key
    elif owner in _objects():
        cls = _objects()[owner]
        if member := members(cls).get(called):
            name = cls.declaration.key if member.name == "key" else member.name
            yield from fields_behind(cls, name)
    elif owner in _summaries() and called == "average":
        yield _summaries()[owner]


def _filtering(kind: Any, value: ValueNode) -> Iterator[Field]:
    """Filters that are written into the document."""
    known = _filters().get(getattr(get_named_type(kind), "name", ""))
    if known and isinstance(value, ObjectValueNode):
        cls, names = known
        yield from filter_fields(cls, [names[node.name.value] for node in value.fields])


def _printed(document: DocumentNode) -> str:
    return print_ast(visit(document, _Hiding()))[:LONGEST]


class _Hiding(Visitor):
    """Takes the values out of a document, lifted or not: what is left is the same for all."""

    def enter_string_value(self, *_: Any) -> EnumValueNode:
        return HIDDEN

    enter_int_value = enter_float_value = enter_string_value

    def enter_variable(self, node: VariableNode, *_: Any) -> EnumValueNode | None:
        return HIDDEN if node.name.value.startswith(LIFTED) else None


@lru_cache(maxsize=1)
def _objects() -> dict[str, type[Entity]]:
    return {type_name(cls): cls for cls in entities().values()}


@lru_cache(maxsize=1)
def _summaries() -> dict[str, Field]:
    """{GraphQL type of a summary: the field that is averaged}."""
    return {
        f"{type_name(cls)}{part.capitalize()}": (related(cls, part).declaration.name, field)
        for cls in entities().values()
        for part, field in cls.declaration.summaries.items()
    }


@lru_cache(maxsize=1)
def _filters() -> dict[str, tuple[type[Entity], dict[str, str]]]:
    """{GraphQL input type: (entity, {name there: filter})}."""
    return {
        f"{type_name(cls)}Filter": (cls, {to_camel_case(n): n for n in listing.filters_of(cls)})
        for cls in entities().values()
    }
