"""A record as REST shows it, in SQL: what `hub.rest.represent` makes in Python, member by member."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import models

from catalog.entities import (
    Entity,
    LocalizedField,
    Reference,
    derived_fields,
    related,
    value_fields,
)
from catalog.explain import DEPTH
from hub.auth.rights import Visibility
from hub.graphql.documents import schema
from hub.reads import sql
from hub.reads.arguments import Asked
from hub.reads.build import Build
from hub.reads.compile_provenance import entries
from hub.reads.compile_roots import selected_page
from hub.reads.members import Kind, kind_of
from hub.reads.reasons import NotCompiledError
from hub.reads.statement import Statement, statement_of
from hub.sparse import EVERYTHING, Fields, chosen, with_parts
from hub.usage.uses import of_rest
from hub.versions import version_sql


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a record is asked for beside its values."""

    parts: bool
    provenance: bool
    fields: Fields = EVERYTHING

    @property
    def depth(self) -> int:
        """How deep parts are followed."""
        return DEPTH if self.parts else 0


def compiled(
    cls: type[Entity], asked: Asked, wanted: Wanted, visibility: Visibility, *, many: bool
) -> Statement:
    """The statement of a list's page, `{"items": […], "next": …}`, or of one record."""
    uses = of_rest(
        cls, many=many, parts=wanted.parts, provenance=wanted.provenance,
        filters=tuple(asked.filters), fields=wanted.fields,
    )  # fmt: skip
    build = Build(schema(), {}, {}, uses, visibility, in_market=bool(asked.market))
    alias = build.alias()
    if not many:
        key = build.parameter("text", lambda asked: asked.key)
        with build.noting.record(cls, len(build.parameters) - 1):
            document = _document(build, cls, alias, wanted)
        one = (
            f"SELECT {document}, {version_sql(alias)} FROM {sql.table(cls)} {alias}"
            f" WHERE {alias}.key = {key} AND {sql.live(alias)}"
        )
        return statement_of([one], build, versioned=True)
    size = build.parameter("int", lambda asked: str(asked.size))
    items = sql.json_list(
        f"SELECT {_document(build, cls, alias, wanted)} FROM page {alias}"
        f" ORDER BY {alias}.key LIMIT {size}"
    )
    last = f"(SELECT key FROM page ORDER BY key LIMIT {size}) shown"
    following = (
        f"CASE WHEN (SELECT count(*) FROM page) > {size}"
        f" THEN (SELECT {sql.cursor('max(key)')} FROM {last}) END"
    )
    shown = sql.json_object({"items": items, "next": following})
    page = selected_page(build, cls, asked, size)
    return statement_of([f"WITH page AS MATERIALIZED ({page}) SELECT {shown}"], build)


def _document(build: Build, cls: type[Entity], alias: str, wanted: Wanted) -> str:
    """The record of an address."""
    depth = DEPTH if with_parts(cls, wanted.fields) else wanted.depth
    members = _record(build, cls, alias, depth, wanted.fields)
    if wanted.provenance:
        members["provenance"] = entries(build, cls, alias, wanted.depth)
    return sql.json_object(members)


def _record(
    build: Build, cls: type[Entity], alias: str, depth: int, fields: Fields
) -> dict[str, str]:
    """{member: SQL}, in the order of `hub.rest.represent`; of what is not chosen none is made."""
    return {
        name: make(below)
        for name, make in _members(build, cls, alias, depth)
        if (below := chosen(fields, name)) is not None
    }


def _members(
    build: Build, cls: type[Entity], alias: str, depth: int
) -> Iterator[tuple[str, Callable[[Fields], str]]]:
    declared = cls.declaration
    yield declared.key, lambda _: f"{alias}.key"
    texts = []
    for field in value_fields(cls):
        if isinstance(field, LocalizedField):
            texts.append(field.name)
        if not build.visibility.sees(cls, field.name):
            yield field.name, _hidden
        elif isinstance(field, Reference) and related(cls, field.name).declaration.tree:
            column, target = sql.column(cls, alias, field.name), related(cls, field.name)
            yield field.name, partial(_node, build, target, column)
        else:
            yield field.name, partial(_plain, build, cls, alias, field)
    for field in derived_fields(cls):
        seen = build.visibility.sees(cls, field.name)
        yield field.name, partial(_derived, build, cls, alias, field) if seen else _hidden
    if declared.tree:
        yield "path", partial(_way, build, cls, alias)
    if texts:
        yield "locales", partial(_locales, build, cls, alias, texts)
    for part in declared.parts if depth else ():
        yield part, partial(_part, build, (cls, alias), part, depth)
    yield "changed_at", lambda _: sql.moment(f"{alias}.changed_at", zone="Z")


def _hidden(_: Fields) -> str:
    """What the reader may not see."""
    return "NULL"


def _plain(
    build: Build, cls: type[Entity], alias: str, field: models.Field[str, str], _: Fields
) -> str:
    return _value(build, cls, alias, field)


def _derived(build: Build, cls: type[Entity], alias: str, field: Any, fields: Fields) -> str:
    build.noting.read_field(cls, field.name)
    column = sql.column(cls, alias, field.name)
    if not fields:
        return column
    names = [m.name for m in field.members if chosen(fields, m.name) is not None]
    entry = sql.json_object({name: f"e -> '{name}'" for name in names})
    return sql.json_list(f"SELECT {entry} FROM json_array_elements({column}) e")


def _locales(
    build: Build, cls: type[Entity], alias: str, texts: Sequence[str], fields: Fields
) -> str:
    spoken = {
        name: sql.locale_of(sql.column(cls, alias, name), build.order)
        if build.visibility.sees(cls, name)
        else "NULL"
        for name in texts
        if chosen(fields, name) is not None
    }
    return sql.json_object(spoken)


def _value(build: Build, cls: type[Entity], alias: str, field: models.Field[str, str]) -> str:
    value, kind = sql.column(cls, alias, field.name), kind_of(field)
    build.noting.read_field(cls, field.name)
    if kind is Kind.OTHER:
        raise NotCompiledError(f"{cls.declaration.name}.{field.name}")
    if kind is Kind.TEXT:
        return sql.text(value, build.order)
    if kind is Kind.DECIMAL:
        return sql.decimal(cls, alias, field.name)
    return sql.moment(value, zone="Z") if kind is Kind.MOMENT else value


def _part(
    build: Build, owner: tuple[type[Entity], str], part: str, depth: int, fields: Fields
) -> str:
    cls, alias = owner
    child, there = related(cls, part), build.alias()
    owned = sql.of_owner(cls, part, alias, there)
    source = (
        f"FROM {build.table(child, part=True)} {there} WHERE {owned}{build.offered(child, there)}"
    )
    measured = cls.declaration.summaries.get(part)
    below = fields if measured is None else chosen(fields, "nodes")
    nodes = "NULL"
    if below is not None:
        inside = sql.json_object(_record(build, child, there, depth - 1, below))
        nodes = sql.json_list(f"SELECT {inside} {source} ORDER BY {there}.key")
    if measured is None:
        return nodes
    counted = {"count": "count(*)"}
    if build.visibility.sees(child, measured):
        build.noting.read_field(child, measured)
        counted["average"] = sql.average(child, there, measured)
    numbers = {"average": "NULL", "nodes": nodes} | counted
    wanted = [n for n in ("count", "average", "nodes") if chosen(fields, n) is not None]
    shown = {name: numbers[name] for name in wanted}
    # Without an aggregate there would be one object for each child.
    if not counted.keys() & shown.keys():
        return sql.json_object(shown)
    return f"(SELECT {sql.json_object(shown)} {source})"


def _node(build: Build, cls: type[Entity], key: str, fields: Fields) -> str:
    """A node of a tree with the way to it from the root."""
    there = build.alias()
    below = chosen(fields, "path")
    with build.noting.elsewhere(cls):
        shown = _step(build, cls, there, fields)
        if below is not None:
            shown["path"] = _way(build, cls, there, below)
    return (
        f"(SELECT {sql.json_object(shown)} FROM {sql.table(cls)} {there}"
        f" WHERE {there}.key = {key} AND {sql.live(there)})"
    )


def _way(build: Build, cls: type[Entity], alias: str, fields: Fields) -> str:
    there = build.alias()
    with build.noting.elsewhere(cls):
        step = sql.json_object(_step(build, cls, there, fields))
    return sql.json_list(
        f"SELECT {step} FROM ({sql.way(cls, alias)}) {there} ORDER BY {there}.way_length DESC"
    )


def _step(build: Build, cls: type[Entity], alias: str, fields: Fields) -> dict[str, str]:
    """A node's key and its own values."""
    shown = {}
    if chosen(fields, cls.declaration.key) is not None:
        shown[cls.declaration.key] = f"{alias}.key"
    for field in value_fields(cls):
        if isinstance(field, Reference) or chosen(fields, field.name) is None:
            continue
        if not build.visibility.sees(cls, field.name):
            shown[field.name] = "NULL"
            continue
        if kind_of(field) is Kind.DECIMAL:
            # `represent` shows a step's decimals as they are stored.
            raise NotCompiledError(f"{cls.declaration.name}.{field.name} in a way")
        shown[field.name] = _value(build, cls, alias, field)
    return shown
