"""Provenance: every field of a row, its parts and references, with the source record behind it.

Says in SQL what `hub.tracing.provenances` says in Python, in the same order. Entries are joined
as text, part by part: `concat_ws` keeps the order of a walk that no ORDER BY could name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from django.db import models
from graphql import GraphQLObjectType

from catalog.entities import Entity, related
from catalog.explain import DEPTH
from hub.reads import sql
from hub.reads.build import Build
from hub.reads.reasons import NotCompiledError
from hub.rows import references

RECORDS = """catalog_sourcerecord r JOIN catalog_source s ON s.id = r.source_id
 LEFT JOIN observability_streamfreshness f ON f.system = s.system AND f.stream = s.stream"""
AGE = """greatest(extract(epoch FROM statement_timestamp()
 - greatest(r.observed_at, f.watermark)), 0)"""
STALE = f"(f.system IS NULL OR {AGE} > f.objective_seconds)"
#: The values of an entry by their GraphQL names; `{stale}` and `{path}` are put in.
VALUES: Mapping[str, str] = {
    "field": "{path}",
    "system": "s.system",
    "stream": "s.stream",
    "record": "r.record_key",
    "observedAt": sql.moment("r.observed_at"),
    "ageSeconds": f"round({AGE}, 3)",
    "stale": "{stale}",
    "event": "r.event_id::text",
    "run": "r.run_id::text",
    "correlationId": "r.correlation_id",
}
#: What an entry of a path says, given the SQL of the path and of `stale`.
Entry = Callable[[str, str], str]


def provenance(
    build: Build,
    cls: type[Entity],
    selected: Mapping[str, str],
    kind: GraphQLObjectType,
    alias: str,
) -> str:
    """The list for a row; `selected` is {response name: field}."""
    values = {**VALUES, "__typename": f"'{kind.name}'"}
    wanted = {name: values[called] for name, called in selected.items()}

    def entry(path: str, stale: str) -> str:
        said = {n: v.replace("{path}", path).replace("{stale}", stale) for n, v in wanted.items()}
        return f"{sql.json_object(said)}::text"

    pieces = _walk(build, cls, alias, "''", DEPTH, entry)
    pieces += _of_references(build, cls, alias, entry)
    if cls.declaration.tree:
        pieces.append(_of_way(build, cls, alias, "'path'", entry))
    for part, field in cls.declaration.summaries.items():
        for computed in ("average", "count"):
            path = f"'{part}.{computed}'"
            pieces.append(_of_summary(build, cls, alias, part, field, path, entry))
    return f"('[' || concat_ws(',', {', '.join(pieces)}) || ']')::json"


def _walk(
    build: Build, cls: type[Entity], alias: str, prefix: str, depth: int, entry: Entry
) -> list[str]:
    """The row's own fields, then those of its parts."""
    pieces = [_own(alias, prefix, entry)]
    for part in cls.declaration.parts if depth else ():
        child, there = related(cls, part), build.alias()
        longer = f"concat({prefix}, '{part}.', {_part_path(child, there)}, '.')"
        inside = ", ".join(_walk(build, child, there, longer, depth - 1, entry))
        pieces.append(
            f"(SELECT string_agg(nullif(concat_ws(',', {inside}), ''), ',' ORDER BY {there}.key)"
            f" FROM {sql.table(child)} {there} WHERE {sql.of_owner(cls, part, alias, there)})"
        )
    return pieces


def _own(alias: str, prefix: str, entry: Entry) -> str:
    path = f"concat({prefix}, e.field)"
    return (
        f"(SELECT string_agg({entry(path, STALE)}, ',' ORDER BY e.place)"
        f" FROM jsonb_each_text({alias}.provenance) WITH ORDINALITY e(field, record, place)"
        f" JOIN ({RECORDS}) ON r.id = e.record::bigint)"
    )


def _of_references(build: Build, cls: type[Entity], alias: str, entry: Entry) -> list[str]:
    pieces = []
    for name in references(cls):
        target, there = related(cls, name), build.alias()
        inside = [_own(there, f"'{name}.'", entry)]
        if target.declaration.tree:
            inside.append(_of_way(build, target, there, f"'{name}.path'", entry))
        pieces.append(
            f"(SELECT nullif(concat_ws(',', {', '.join(inside)}), '') FROM {sql.table(target)}"
            f" {there} WHERE {there}.key = {sql.column(cls, alias, name)} AND {sql.live(there)})"
        )
    return pieces


def _of_way(build: Build, cls: type[Entity], alias: str, path: str, entry: Entry) -> str:
    step = build.alias()
    records = (
        f"SELECT e.record::bigint FROM ({sql.way(cls, alias)}) {step},"
        f" jsonb_each_text({step}.provenance) e(field, record)"
    )
    return _combined(records, path, entry)


def _of_summary(
    build: Build, cls: type[Entity], alias: str, part: str, field: str, path: str, entry: Entry
) -> str:
    child, there = related(cls, part), build.alias()
    records = (
        f"SELECT ({there}.provenance ->> '{field}')::bigint FROM {sql.table(child)} {there}"
        f" WHERE {sql.of_owner(cls, part, alias, there)}"
    )
    return _combined(records, path, entry)


def _combined(records: str, path: str, entry: Entry) -> str:
    """One entry for a computed value: the oldest record in it stands for all."""
    stale = f"bool_or({STALE}) OVER ()"
    return (
        f"(SELECT {entry(path, stale)} FROM {RECORDS} WHERE r.id IN ({records})"
        f" ORDER BY round({AGE}, 3) DESC, r.id LIMIT 1)"
    )


def _part_path(cls: type[Entity], alias: str) -> str:
    """What names a part inside its owner's provenance, as `catalog.explain.part_path`."""
    return f"concat_ws('-', {', '.join(_named(cls, alias))})"


def _named(cls: type[Entity], alias: str) -> Iterator[str]:
    for name in cls.declaration.path or ("key",):
        field = cls._meta.get_field(name)
        value = sql.column(cls, alias, name)
        if isinstance(field, models.DateTimeField):
            raise NotCompiledError(f"{cls.declaration.name}.{name} names a part")
        if isinstance(field, models.DateField):
            yield f"to_char({value}, 'YYYY-MM-DD')"
        elif isinstance(field, models.TextField | models.CharField | models.IntegerField):
            yield f"{value}::text"
        else:
            raise NotCompiledError(f"{cls.declaration.name}.{name} names a part")
