"""Selections on entities: a row as a JSON object, its references, parts, summaries and way.

Every function gives the SQL of one JSON value, read from a row whose alias is in scope.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphene.utils.str_converters import to_camel_case, to_snake_case
from graphql import FieldNode, GraphQLObjectType

from catalog.entities import Entity, related
from hub.reads import sql
from hub.reads.build import Build
from hub.reads.compile_provenance import provenance
from hub.reads.members import Kind, Member, members, texts
from hub.reads.reasons import NotCompiledError

TYPENAME = "__typename"
Selected = dict[str, list[FieldNode]]


def row(
    build: Build, cls: type[Entity], kind: GraphQLObjectType, selected: Selected, alias: str
) -> str:
    """A row with what is selected of it: `{"sku": …, "category": {…}}`."""
    return sql.json_object(
        {name: member(build, cls, kind, nodes, alias) for name, nodes in selected.items()}
    )


def member(
    build: Build,
    cls: type[Entity],
    kind: GraphQLObjectType,
    nodes: Sequence[FieldNode],
    alias: str,
) -> str:
    """One field of a row."""
    called = nodes[0].name.value
    if called == TYPENAME:
        return f"'{kind.name}'"
    known = members(cls).get(called)
    if known is None or known.kind is Kind.OTHER:
        raise NotCompiledError(f"{kind.name}.{called}")
    if known.kind in _SEEN and not build.visibility.sees(cls, known.name):
        return "NULL"
    if known.kind in _NESTED:
        below = build.below(kind, nodes)
        return _NESTED[known.kind](build, cls, known, below, alias)
    return _value(build, cls, known, alias)


def _value(build: Build, cls: type[Entity], known: Member, alias: str) -> str:
    value = sql.column(cls, alias, known.name)
    build.noting.read_field(cls, known.name)
    if known.kind is Kind.MOMENT:
        return sql.moment(value)
    if known.kind is Kind.DECIMAL:
        return sql.decimal(cls, alias, known.name)
    if known.kind is Kind.TEXT:
        return sql.text(value, build.order)
    return value


Below = tuple[GraphQLObjectType, Selected]


def _reference(build: Build, cls: type[Entity], known: Member, below: Below, alias: str) -> str:
    target, there = related(cls, known.name), build.alias()
    build.noting.read_field(cls, known.name)
    with build.noting.elsewhere(target):
        document = row(build, target, *below, there)
    return (
        f"(SELECT {document} FROM {sql.table(target)} {there}"
        f" WHERE {there}.key = {sql.column(cls, alias, known.name)} AND {sql.live(there)})"
    )


def _part(build: Build, cls: type[Entity], known: Member, below: Below, alias: str) -> str:
    child, there = related(cls, known.name), build.alias()
    offered = build.offered(child, there)
    return sql.json_list(
        f"SELECT {row(build, child, *below, there)} FROM {build.table(child, part=True)} {there}"
        f" WHERE {sql.of_owner(cls, known.name, alias, there)}{offered} ORDER BY {there}.key"
    )


def _summary(build: Build, cls: type[Entity], known: Member, below: Below, alias: str) -> str:
    """`{"count": …, "average": …, "nodes": […]}`: the two numbers are one look at the children."""
    kind, selected = below
    child, there = related(cls, known.name), build.alias()
    measured = cls.declaration.summaries[known.name]
    counted = {"count": "count(*)"}
    if build.visibility.sees(child, measured):
        build.noting.read_field(child, measured)
        counted["average"] = sql.average(child, there, measured)
    found: dict[str, str] = {}
    for name, nodes in selected.items():
        called = nodes[0].name.value
        if called == TYPENAME:
            found[name] = f"'{kind.name}'"
        elif called in ("count", "average"):
            found[name] = counted.get(called, "NULL")
        else:
            found[name] = _part(build, cls, known, build.below(kind, nodes), alias)
    # Without an aggregate there would be one object for each child.
    if not counted.keys() & {nodes[0].name.value for nodes in selected.values()}:
        return sql.json_object(found)
    return (
        f"(SELECT {sql.json_object(found)} FROM {build.table(child, part=True)} {there}"
        f" WHERE {sql.of_owner(cls, known.name, alias, there)}{build.offered(child, there)})"
    )


def _lowest(build: Build, cls: type[Entity], known: Member, below: Below, alias: str) -> str:
    """The entries that the merge keeps in the row: `[{"currency": …, "amount": …}]`."""
    kind, selected = below
    build.noting.read_field(cls, known.name)
    kept = sql.column(cls, alias, known.name)
    field: Any = cls._meta.get_field(known.name)
    if [(n, s[0].name.value) for n, s in selected.items()] == [
        (to_camel_case(m.name),) * 2 for m in field.members
    ]:
        return kept
    entry = {}
    for name, nodes in selected.items():
        called = to_snake_case(nodes[0].name.value)
        entry[name] = f"'{kind.name}'" if called == TYPENAME else f"e -> '{called}'"
    return sql.json_list(f"SELECT {sql.json_object(entry)} FROM json_array_elements({kept}) e")


def _way(build: Build, cls: type[Entity], known: Member, below: Below, alias: str) -> str:
    del known
    there = build.alias()
    with build.noting.elsewhere(cls):
        step = row(build, cls, *below, there)
    return sql.json_list(
        f"SELECT {step} FROM ({sql.way(cls, alias)}) {there} ORDER BY {there}.way_length DESC"
    )


def _locales(build: Build, cls: type[Entity], known: Member, below: Below, alias: str) -> str:
    del known
    kind, selected = below
    spoken = []
    for text in texts(cls):
        build.noting.read_field(cls, text)
        said: dict[str, str] = {}
        for name, nodes in selected.items():
            called = nodes[0].name.value
            if called == "locale" and not build.visibility.sees(cls, text):
                said[name] = "NULL"
            elif called == "locale":
                said[name] = sql.locale_of(sql.column(cls, alias, text), build.order)
            else:
                said[name] = f"'{kind.name}'" if called == TYPENAME else f"'{text}'"
        spoken.append(sql.json_object(said))
    return f"json_build_array({', '.join(spoken)})"


def _provenance(build: Build, cls: type[Entity], known: Member, below: Below, alias: str) -> str:
    del known
    kind, selected = below
    return provenance(build, cls, {n: s[0].name.value for n, s in selected.items()}, kind, alias)


#: Kinds that are values of the row's own, which a reader may not be shown.
_SEEN = frozenset(
    {Kind.MOMENT, Kind.DATE, Kind.DECIMAL, Kind.PLAIN, Kind.TEXT, Kind.REFERENCE, Kind.LOWEST}
)
_NESTED = {
    Kind.REFERENCE: _reference,
    Kind.PART: _part,
    Kind.SUMMARY: _summary,
    Kind.LOWEST: _lowest,
    Kind.WAY: _way,
    Kind.LOCALES: _locales,
    Kind.PROVENANCE: _provenance,
}
