"""Survivorship in sets: from what every system says to what the company believes.

The ownership rules of an entity are compiled into one SQL statement that looks at *all* stored
contributions to the touched records, never at the arriving ones alone. So the result does not
depend on the order of arrival, applying twice changes nothing, and a rule that changes is one
more run over the same records. This module is the only writer of entity rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import connection, models

from catalog.conflicts import keeping
from catalog.derived import noting, settle
from catalog.entities import Entity, Reference, entity, value_fields
from catalog.known import known
from catalog.ownership import STEWARD, OwnershipRule, survivorship
from catalog.source import Source

#: jsonb_build_object takes at most 100 arguments (PostgreSQL, FUNC_MAX_ARGS).
PAIRS_A_CALL = 45
LOCK_BUCKETS = 64
#: The id of a joined source record; no field can be called so.
RECORD = '"#record"'

# Under READ COMMITTED each statement sees what was committed before it: the rules are looked at
# when nobody can change them any more, the records when nobody else can merge them.
LOCK = f"""
SELECT headwater_rules_hold();
SELECT count(pg_advisory_xact_lock(hashtext(entity), bucket))
FROM (SELECT DISTINCT entity, hashtext(key) & {LOCK_BUCKETS - 1} AS bucket
      FROM touched ORDER BY 1, 2) AS buckets;
SELECT md5((SELECT string_agg(r::text, '|' ORDER BY id) FROM catalog_ownershiprule r)),
       md5((SELECT string_agg(s::text, '|' ORDER BY id) FROM catalog_source s))"""


@dataclass(frozen=True, slots=True)
class Cause:
    """What brought a contribution: kept on source records and revisions, as plain values."""

    run_id: int | None = None
    event_id: int | None = None
    correlation_id: str = ""


@dataclass(slots=True)
class Merged:
    """Entity rows that a merge changed, by kind."""

    created: int = 0
    changed: int = 0
    deleted: int = 0
    restored: int = 0

    @property
    def total(self) -> int:
        """All rows with a new revision."""
        return self.created + self.changed + self.deleted + self.restored

    def add(self, other: Merged) -> None:
        """Count another merge in."""
        self.created += other.created
        self.changed += other.changed
        self.deleted += other.deleted
        self.restored += other.restored


class Compiled:
    """The merge of every entity, under certain sources and ownership rules."""

    def __init__(self, sources: Sequence[Source], rules: Sequence[OwnershipRule]) -> None:
        self._sources, self._rules = sources, rules
        self._statements: dict[str, str] = {}
        self._conflicts: dict[str, str] = {}

    def statement(self, name: str) -> str:
        """The SQL that merges the touched records of one entity."""
        if name not in self._statements:
            order = survivorship(name, self._rules).order
            self._statements[name] = compile_merge(entity(name), self._speaking(name), order)
        return self._statements[name]

    def conflicts(self, name: str) -> str:
        """The SQL that keeps their conflicts after the merge; empty where there can be none."""
        if name not in self._conflicts:
            rules = survivorship(name, self._rules).rule
            self._conflicts[name] = keeping(entity(name), self._speaking(name), rules)
        return self._conflicts[name]

    def _speaking(self, name: str) -> list[Source]:
        return [s for s in self._sources if s.entity == name]


@lru_cache(maxsize=4)
def _compiled(version: tuple[str | None, ...]) -> Compiled:  # noqa: ARG001 (what it is cached by)
    """What sources and rules come to, once for each content that they have had.

    Threads share it, and each transaction has the one of what it sees itself.
    """
    return Compiled(list(Source.objects.order_by("id")), list(OwnershipRule.objects.all()))


def merge_touched(names: Iterable[str], cause: Cause) -> Merged:
    """Merge the records in the `touched` table; inside the caller's transaction.

    No rule can change until the transaction ends.
    """
    done, unsettled = Merged(), set()
    because = {
        "run": cause.run_id,
        "event": cause.event_id,
        "correlation": cause.correlation_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(LOCK)
        while cursor.nextset():
            pass
        compiled = _compiled(cursor.fetchone())
        for name in names:
            cursor.execute(compiled.statement(name), because)
            *counted, noted = cursor.fetchone()
            done.add(Merged(*counted))
            if noted:
                unsettled.add(name)
            if conflicts := compiled.conflicts(name):
                cursor.execute(conflicts)
    if unsettled:
        settle(unsettled, because)
    return done


def compile_merge(
    cls: type[Entity],
    sources: Sequence[Source],
    order: dict[str, tuple[str, ...] | None],
) -> str:
    """The merge statement of one entity: parameters run, event and correlation; one result row.

    Result columns: rows created, changed, deleted, restored; rows noted for `catalog.derived`.
    """
    fields = value_fields(cls)
    table = _quoted(cls._meta.db_table)
    columns = [_quoted(str(f.column)) for f in fields]
    suppliers = {f.name: _suppliers(sources, order[f.name]) for f in fields}
    said = "".join(_contribution(s.pk, fields, suppliers) for s in sources)
    # What a person decided about a record does not keep alive what every system has withdrawn.
    upstream = [s.pk for s in sources if s.system != STEWARD]
    alive = " OR ".join(f"s{s}.{RECORD} IS NOT NULL" for s in upstream) or "false"
    values = ",\n           ".join(
        f"{_value(f, suppliers[f.name])} AS {c}" for f, c in zip(fields, columns, strict=True)
    )
    provenance = _object(fields, lambda f: _supplier(f, suppliers[f.name]))
    changes = _object(
        fields,
        lambda f: (
            f"CASE WHEN o.{_quoted(str(f.column))} IS DISTINCT FROM m.{_quoted(str(f.column))} THEN"
            f" jsonb_build_array({_noted(f, 'o')}, {_noted(f, 'm')}) END"
        ),
    )

    def row(alias: str) -> str:
        return "ROW(" + ", ".join(f"{alias}.{c}" for c in columns) + ")"

    listed, unsettling = ", ".join(columns), noting(cls)
    assigned = ", ".join(f"{c} = excluded.{c}" for c in columns)
    return f"""
WITH merged AS MATERIALIZED (
    SELECT t.key, t.record_id, t.event_id, t.correlation_id, ({alive}) AS alive,
           {values},
           {provenance} AS provenance
    FROM touched t{said}
    WHERE t.entity = '{cls.declaration.name}'
), old AS MATERIALIZED (
    SELECT e.* FROM merged m JOIN {table} e ON e.key = m.key
), written AS (
    INSERT INTO {table} AS e (key, {listed}, provenance, changed_at)
    SELECT key, {listed}, provenance, now() FROM merged WHERE alive ORDER BY key
    ON CONFLICT (key) DO UPDATE SET {assigned}, provenance = excluded.provenance,
        deleted_at = NULL,
        changed_at = CASE WHEN e.deleted_at IS NOT NULL
            OR {row("e")} IS DISTINCT FROM {row("excluded")} THEN now() ELSE e.changed_at END
    WHERE e.deleted_at IS NOT NULL OR e.provenance IS DISTINCT FROM excluded.provenance
        OR {row("e")} IS DISTINCT FROM {row("excluded")}
), buried AS (
    UPDATE {table} e SET deleted_at = now(), changed_at = now()
    FROM merged m WHERE e.key = m.key AND NOT m.alive AND e.deleted_at IS NULL
), noted AS (
    INSERT INTO catalog_revision
        (entity, key, kind, at, changes, source_record_id, run_id, event_id, correlation_id)
    SELECT '{cls.declaration.name}', m.key,
           CASE WHEN NOT m.alive THEN 'deleted' WHEN o.key IS NULL THEN 'created'
                WHEN o.deleted_at IS NOT NULL THEN 'restored' ELSE 'changed' END,
           now(),
           CASE WHEN o.key IS NULL OR NOT m.alive THEN '{{}}'::jsonb ELSE {changes} END,
           m.record_id, %(run)s::bigint, COALESCE(m.event_id, %(event)s::bigint),
           COALESCE(m.correlation_id, %(correlation)s)
    FROM merged m LEFT JOIN old o ON o.key = m.key
    WHERE CASE WHEN m.alive
        THEN o.key IS NULL OR o.deleted_at IS NOT NULL
            OR {row("o")} IS DISTINCT FROM {row("m")}
        ELSE o.key IS NOT NULL AND o.deleted_at IS NULL END
    RETURNING key, kind, event_id, correlation_id
), told AS (
    INSERT INTO catalog_changenotice
        (entity, keys, kinds, at, run_id, event_id, correlation_id)
    SELECT '{cls.declaration.name}', array_agg(key ORDER BY key), array_agg(kind ORDER BY key),
           now(), %(run)s::bigint,
           -- where one event, or one correlation, stands behind all of them
           CASE WHEN min(event_id) = max(event_id) AND count(event_id) = count(*)
               THEN min(event_id) END,
           CASE WHEN min(correlation_id) = max(correlation_id) THEN min(correlation_id) ELSE '' END
    FROM noted HAVING count(*) > 0
){unsettling}
SELECT count(*) FILTER (WHERE kind = 'created'), count(*) FILTER (WHERE kind = 'changed'),
       count(*) FILTER (WHERE kind = 'deleted'), count(*) FILTER (WHERE kind = 'restored'),
       {"(SELECT count(*) FROM unsettling)" if unsettling else "0"}
FROM noted"""


def _suppliers(sources: Sequence[Source], order: tuple[str, ...] | None) -> list[int]:
    """Ids of the sources that may supply a field, the deciding one first.

    What a person decided outranks every rule.
    """
    stewards = [s.pk for s in sources if s.system == STEWARD]
    if order is None:
        return stewards + [s.pk for s in sources if s.system != STEWARD]
    return stewards + [s.pk for system in order for s in sources if s.system == system]


def _contribution(
    source: int,
    fields: Sequence[models.Field[Any, Any]],
    suppliers: Mapping[str, Sequence[int]],
) -> str:
    """SQL that joins what one source says: its record's id and typed values, or NULLs.

    One call takes a record's fields apart; asking the jsonb for each field costs three times that.
    """
    typed = ", ".join(
        f"{_quoted(f.name)} {_type(f)}" for f in fields if source in suppliers[f.name]
    )
    apart = f", jsonb_to_record(r.fields) AS x ({typed})" if typed else ""
    return f"""
    LEFT JOIN LATERAL (
        SELECT r.id AS {RECORD}{", x.*" if typed else ""} FROM catalog_sourcerecord r{apart}
        WHERE r.entity_key = t.key AND r.source_id = {source} AND r.deleted_at IS NULL
        ORDER BY r.version DESC, r.id LIMIT 1) s{source} ON true"""


def _value(field: models.Field[Any, Any], suppliers: Sequence[int]) -> str:
    """SQL of the surviving value, in the column's type."""
    if not suppliers:
        return f"NULL::{_type(field)}"
    said = f"COALESCE({', '.join(f's{s}.{_quoted(field.name)}' for s in suppliers)})"
    target = field.related_model if isinstance(field, Reference) else None
    if isinstance(target, type) and issubclass(target, Entity):
        return known(target, said)
    return said


def _supplier(field: models.Field[Any, Any], suppliers: Sequence[int]) -> str:
    """SQL of the id of the source record that supplied the surviving value, or NULL."""
    said = " ".join(
        f"WHEN s{s}.{_quoted(field.name)} IS NOT NULL THEN s{s}.{RECORD}" for s in suppliers
    )
    return f"CASE {said} END" if said else "NULL"


def _object(
    fields: Sequence[models.Field[Any, Any]], sql: Callable[[models.Field[Any, Any]], str]
) -> str:
    """A jsonb object {field: sql(field)} without its nulls."""
    pairs = [f"'{f.name}', {sql(f)}" for f in fields]
    calls = [
        f"jsonb_build_object({', '.join(pairs[i : i + PAIRS_A_CALL])})"
        for i in range(0, len(pairs), PAIRS_A_CALL)
    ]
    return f"jsonb_strip_nulls({' || '.join(calls)})"


def _type(field: models.Field[Any, Any]) -> str:
    # A cast to varchar(n) cuts in silence and one to numeric(p, s) fails later with less to say,
    # so the cast is to the bare type and the column itself refuses what does not fit.
    kind = field.db_type(connection) or "text"
    return "text" if kind.startswith("varchar") else kind.split("(")[0]


def _noted(field: models.Field[Any, Any], alias: str) -> str:
    """SQL of a value as history keeps it: decimals as text, so that no digit is lost in JSON."""
    column = f"{alias}.{_quoted(str(field.column))}"
    return f"{column}::text" if _type(field) == "numeric" else column


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
