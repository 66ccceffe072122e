"""Provenance: every field of a row, its parts and references, with the source record behind it.

Says in SQL what `hub.tracing.provenances` says in Python, in the same order. Entries are joined
as text, part by part: `concat_ws` keeps the order of a walk that no ORDER BY could name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.db import models
from graphql import GraphQLObjectType

from catalog.entities import Entity, derived_fields, related
from catalog.explain import DEPTH
from hub.cache.classes import MOVING
from hub.reads import sql
from hub.reads.build import Build
from hub.reads.reasons import NotCompiledError
from hub.rows import references

RECORDS = """catalog_sourcerecord r JOIN catalog_source s ON s.id = r.source_id
 LEFT JOIN observability_streamfreshness f ON f.system = s.system AND f.stream = s.stream"""
AGE = """greatest(extract(epoch FROM statement_timestamp()
 - greatest(r.observed_at, f.watermark)), 0)"""
STALE = f"(f.system IS NULL OR {AGE} > f.objective_seconds)"
#: Looked up in what is known of systems that are down, which comes along as a parameter.
REASON = "({reasons} ->> s.system)"
#: The values of an entry by their GraphQL names; `{stale}`, `{reasons}` and `{path}` are put in.
VALUES: Mapping[str, str] = {
    "field": "{path}",
    "system": "s.system",
    "stream": "s.stream",
    "record": "r.record_key",
    "observedAt": sql.moment("r.observed_at"),
    "ageSeconds": f"round({AGE}, 3)",
    "stale": "{stale}",
    "reason": REASON,
    "event": "r.event_id::text",
    "run": "r.run_id::text",
    "correlationId": "r.correlation_id",
}

IN_REST: Mapping[str, str] = {
    "field": VALUES["field"],
    "system": "s.system",
    "stream": "s.stream",
    "record": "r.record_key",
    "source_record_id": "r.id",
    "observed_at": sql.moment("r.observed_at", zone="Z"),
    "age_seconds": VALUES["ageSeconds"],
    "stale": VALUES["stale"],
    "reason": REASON,
    "event": "r.event_id",
    "run": "r.run_id",
    "correlation_id": "r.correlation_id",
}


def provenance(
    build: Build,
    cls: type[Entity],
    selected: Mapping[str, str],
    kind: GraphQLObjectType,
    alias: str,
) -> str:
    """The list for a row in GraphQL; `selected` is {response name: field}."""
    values = {**VALUES, "__typename": f"'{kind.name}'"}
    wanted = {name: values[called] for name, called in selected.items()}
    return _Walk(build, wanted).list(cls, alias, DEPTH)


def entries(build: Build, cls: type[Entity], alias: str, depth: int) -> str:
    """The list for a row in REST, which names the source record, and leaves ids as numbers."""
    return _Walk(build, IN_REST).list(cls, alias, depth)


class _Walk:
    """Gives SQL of texts, each some entries joined by commas, or NULL."""

    def __init__(self, build: Build, wanted: Mapping[str, str]) -> None:
        self._build, self._wanted = build, wanted
        # Answers with provenance are not kept, so nothing more is noted of what is read for it.
        build.noting.classes.add(MOVING)

    def list(self, cls: type[Entity], alias: str, depth: int) -> str:
        """All entries of a row, as a JSON array."""
        pieces = [*self.row(cls, alias, "''", depth), *self.references(cls, alias)]
        if cls.declaration.tree:
            pieces.append(self.way(cls, alias, "'path'"))
        if depth:
            pieces += [*self.summaries(cls, alias), *self.derived(cls, alias)]
        return f"('[' || concat_ws(',', {', '.join(pieces)}) || ']')::json"

    def row(self, cls: type[Entity], alias: str, prefix: str, depth: int) -> Iterator[str]:
        """The row's own fields, then those of its parts."""
        yield self._own(cls, alias, prefix)
        for part in cls.declaration.parts if depth else ():
            child, there = related(cls, part), self._build.alias()
            longer = f"concat({prefix}, '{part}.', {_part_path(child, there)}, '.')"
            inside = ", ".join(self.row(child, there, longer, depth - 1))
            yield (
                f"(SELECT string_agg(nullif(concat_ws(',', {inside}), ''), ',' ORDER BY {there}.key)"
                f" FROM {sql.table(child)} {there} WHERE {sql.of_owner(cls, part, alias, there)})"
            )

    def references(self, cls: type[Entity], alias: str) -> Iterator[str]:
        """The fields of the rows that the row refers to."""
        for name in references(cls):
            target, there = related(cls, name), self._build.alias()
            inside = [self._own(target, there, f"'{name}.'")]
            if target.declaration.tree:
                inside.append(self.way(target, there, f"'{name}.path'"))
            yield (
                f"(SELECT nullif(concat_ws(',', {', '.join(inside)}), '') FROM {sql.table(target)}"
                f" {there} WHERE {there}.key = {sql.column(cls, alias, name)} AND {sql.live(there)})"
            )

    def way(self, cls: type[Entity], alias: str, path: str) -> str:
        """One entry for the way to a node of a tree."""
        step = self._build.alias()
        return self._combined(
            f"SELECT e.record::bigint FROM ({sql.way(cls, alias)}) {step},"
            f" jsonb_each_text({step}.provenance) e(field, record){self._seen(cls, 'WHERE')}",
            path,
        )

    def summaries(self, cls: type[Entity], alias: str) -> Iterator[str]:
        """Two entries for each summary."""
        for part, field in cls.declaration.summaries.items():
            if not self._build.visibility.sees(related(cls, part), field):
                continue
            for computed in ("average", "count"):
                child, there = related(cls, part), self._build.alias()
                records = (
                    f"SELECT ({there}.provenance ->> '{field}')::bigint FROM {sql.table(child)}"
                    f" {there} WHERE {sql.of_owner(cls, part, alias, there)}"
                )
                yield self._combined(records, f"'{part}.{computed}'")

    def derived(self, cls: type[Entity], alias: str) -> Iterator[str]:
        """One entry for each derived column."""
        for field in derived_fields(cls):
            if not self._build.visibility.sees(cls, field.name):
                continue
            records = f"SELECT (d.provenance ->> '{field.measured.name}')::bigint"
            yield self._combined(f"{records} {field.rows(alias)}", f"'{field.name}'")

    def _seen(self, cls: type[Entity], word: str) -> str:
        """The condition that the reader may see the field of an entry; mostly empty."""
        hidden = ", ".join(f"'{name}'" for name in self._build.visibility.hidden(cls))
        # of a locale by itself, `name.de_DE`, the field decides
        field = "split_part(e.field, '.', 1)"
        return f" {word} {field} <> ALL (ARRAY[{hidden}])" if hidden else ""

    def _own(self, cls: type[Entity], alias: str, prefix: str) -> str:
        entry = self._entry(f"concat({prefix}, e.field)", STALE)
        return (
            f"(SELECT string_agg({entry}, ',' ORDER BY e.place)"
            f" FROM jsonb_each_text({alias}.provenance) WITH ORDINALITY e(field, record, place)"
            f" JOIN ({RECORDS}) ON r.id = e.record::bigint{self._seen(cls, 'WHERE')})"
        )

    def _combined(self, records: str, path: str) -> str:
        """One entry for a computed value: the oldest record in it stands for all."""
        return (
            f"(SELECT {self._entry(path, f'bool_or({STALE}) OVER ()')} FROM {RECORDS}"
            f" WHERE r.id IN ({records}) ORDER BY round({AGE}, 3) DESC, r.id LIMIT 1)"
        )

    def _entry(self, path: str, stale: str) -> str:
        said = {
            name: value.replace("{path}", path).replace("{stale}", stale)
            for name, value in self._wanted.items()
        }
        for name, value in said.items():
            if "{reasons}" in value:
                said[name] = value.replace("{reasons}", self._build.reasons)
        return f"{sql.json_object(said)}::text"


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
