"""A record as REST shows it, in SQL: what `hub.rest.represent` makes in Python, member by member."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import models

from catalog.entities import Entity, LocalizedField, Reference, related, value_fields
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a record is asked for beside its values."""

    parts: bool
    provenance: bool

    @property
    def depth(self) -> int:
        """How deep parts are followed."""
        return DEPTH if self.parts else 0


def compiled(
    cls: type[Entity], asked: Asked, wanted: Wanted, visibility: Visibility, *, many: bool
) -> Statement:
    """The statement of a list's page, `{"items": […], "next": …}`, or of one record."""
    build = Build(schema(), {}, {}, visibility, in_market=bool(asked.market))
    alias = build.alias()
    if not many:
        key = build.parameter("text", lambda asked: asked.key)
        with build.noting.record(cls, len(build.parameters) - 1):
            document = _document(build, cls, alias, wanted)
        one = (
            f"SELECT {document} FROM {sql.table(cls)} {alias}"
            f" WHERE {alias}.key = {key} AND {sql.live(alias)}"
        )
        return statement_of([one], build)
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
    members = _record(build, cls, alias, wanted.depth)
    if wanted.provenance:
        members["provenance"] = entries(build, cls, alias, wanted.depth)
    return sql.json_object(members)


def _record(build: Build, cls: type[Entity], alias: str, depth: int) -> dict[str, str]:
    declared = cls.declaration
    shown, spoken = {declared.key: f"{alias}.key"}, {}
    for field in value_fields(cls):
        value = sql.column(cls, alias, field.name)
        if not build.visibility.sees(cls, field.name):
            shown[field.name] = "NULL"
            if isinstance(field, LocalizedField):
                spoken[field.name] = "NULL"
            continue
        if isinstance(field, LocalizedField):
            spoken[field.name] = sql.locale_of(value, build.order)
        if isinstance(field, Reference) and related(cls, field.name).declaration.tree:
            shown[field.name] = _node(build, related(cls, field.name), value)
        else:
            shown[field.name] = _value(build, cls, alias, field)
    if declared.tree:
        shown["path"] = _way(build, cls, alias)
    if spoken:
        shown["locales"] = sql.json_object(spoken)
    for part in declared.parts if depth else ():
        shown[part] = _part(build, cls, alias, part, depth)
    shown["changed_at"] = sql.moment(f"{alias}.changed_at", zone="Z")
    return shown


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


def _part(build: Build, cls: type[Entity], alias: str, part: str, depth: int) -> str:
    child, there = related(cls, part), build.alias()
    source = (
        f"FROM {build.table(child, part=True)} {there}"
        f" WHERE {sql.of_owner(cls, part, alias, there)}{build.offered(child, there)}"
    )
    inside = sql.json_object(_record(build, child, there, depth - 1))
    nodes = sql.json_list(f"SELECT {inside} {source} ORDER BY {there}.key")
    measured = cls.declaration.summaries.get(part)
    if measured is None:
        return nodes
    seen = build.visibility.sees(child, measured)
    average = sql.average(child, there, measured) if seen else "NULL"
    numbers = {"count": "count(*)", "average": average, "nodes": nodes}
    return f"(SELECT {sql.json_object(numbers)} {source})"


def _node(build: Build, cls: type[Entity], key: str) -> str:
    """A node of a tree with the way to it from the root."""
    there = build.alias()
    with build.noting.elsewhere(cls):
        shown = {**_step(build, cls, there), "path": _way(build, cls, there)}
    return (
        f"(SELECT {sql.json_object(shown)} FROM {sql.table(cls)} {there}"
        f" WHERE {there}.key = {key} AND {sql.live(there)})"
    )


def _way(build: Build, cls: type[Entity], alias: str) -> str:
    there = build.alias()
    with build.noting.elsewhere(cls):
        step = sql.json_object(_step(build, cls, there))
    return sql.json_list(
        f"SELECT {step} FROM ({sql.way(cls, alias)}) {there} ORDER BY {there}.way_length DESC"
    )


def _step(build: Build, cls: type[Entity], alias: str) -> dict[str, str]:
    """A node's key and its own values."""
    shown = {cls.declaration.key: f"{alias}.key"}
    for field in value_fields(cls):
        if isinstance(field, Reference):
            continue
        if not build.visibility.sees(cls, field.name):
            shown[field.name] = "NULL"
            continue
        if kind_of(field) is Kind.DECIMAL:
            # `represent` shows a step's decimals as they are stored.
            raise NotCompiledError(f"{cls.declaration.name}.{field.name} in a way")
        shown[field.name] = _value(build, cls, alias, field)
    return shown
