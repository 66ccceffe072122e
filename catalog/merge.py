"""Survivorship in sets: from what every system says to what the company believes.

The ownership rules of an entity are compiled into one SQL statement that looks at *all* stored
contributions to the touched records, never at the arriving ones alone. So the result does not
depend on the order of arrival, applying twice changes nothing, and a rule that changes is one
more run over the same records. This module is the only writer of entity rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import connection, models

from catalog import guard
from catalog.conflicts import keeping
from catalog.derived import noting, settle
from catalog.entities import Entity, entity, value_fields
from catalog.entities.derived import quoted
from catalog.ownership import IN_FORCE, OwnershipRule
from catalog.prepared import call
from catalog.source import Source
from catalog.surviving import Surviving, bare_type, json_object
from catalog.survivorship import Survivorship, survivorship

LOCK_BUCKETS = 64

# Under READ COMMITTED each statement sees what was committed before it: the rules are looked at
# when nobody can change them any more, the records when nobody else can merge them. The clock is
# looked at then too, so that of two merges of a record the later one does not know an earlier time.
HOLD_RULES = "SELECT headwater_rules_hold()"
LOCK = f"""
SELECT count(pg_advisory_xact_lock(hashtext(entity), bucket))
FROM (SELECT DISTINCT entity, hashtext(key) & {LOCK_BUCKETS - 1} AS bucket
      FROM touched ORDER BY 1, 2) AS buckets"""
LOOK = f"""
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS at), rules AS (
    SELECT array_agg(r.id ORDER BY r.id) AS ids, md5(string_agg(r::text, '|' ORDER BY r.id)) AS said
    FROM clock, catalog_ownershiprule r WHERE {IN_FORCE}
)
SELECT at, ids, said, (SELECT md5(string_agg(s::text, '|' ORDER BY id)) FROM catalog_source s)
FROM clock, rules"""
TYPES = {"run": "bigint", "event": "bigint", "correlation": "text", "at": "timestamptz"}


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
            resolved = survivorship(name, self._rules)
            self._statements[name] = compile_merge(self._speaking(name), resolved)
        return self._statements[name]

    def conflicts(self, name: str) -> str:
        """The SQL that keeps their conflicts after the merge; empty where there can be none."""
        if name not in self._conflicts:
            decided = survivorship(name, self._rules).fields
            cases = {field: decided[field].cases for field in decided}
            self._conflicts[name] = keeping(entity(name), self._speaking(name), cases)
        return self._conflicts[name]

    def _speaking(self, name: str) -> list[Source]:
        return [s for s in self._sources if s.entity == name]


@lru_cache(maxsize=4)
def _compiled(ids: tuple[int, ...], *_said: str | None) -> Compiled:
    """What sources and rules come to, once for each content that they have had.

    Threads share it, and each transaction has the one of what it sees itself.
    """
    return Compiled(
        list(Source.objects.order_by("id")), list(OwnershipRule.objects.filter(pk__in=ids))
    )


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
        cursor.execute(f"{HOLD_RULES};\n{call(LOCK)};\n{call(LOOK)}")
        while cursor.nextset():
            pass
        at, ids, *said = cursor.fetchone()
        compiled = _compiled(tuple(ids or ()), *said)
        merges = [(name, compiled.statement(name), compiled.conflicts(name)) for name in names]
        statements = [
            text
            for _, merge, conflicts in merges
            for text in (call(merge, TYPES), *([call(conflicts)] if conflicts else ()))
        ]
        # One trip for all of them.
        cursor.execute(guard.writing(statements), because | {"at": at})
        for name, _, conflicts in merges:
            cursor.nextset()
            *counted, noted = cursor.fetchone()
            done.add(Merged(*counted))
            if noted:
                unsettled.add(name)
            if conflicts:
                cursor.nextset()
    if unsettled:
        settle(unsettled, because)
    return done


def compile_merge(sources: Sequence[Source], resolved: Survivorship) -> str:
    """The merge statement of one entity: parameters run, event, correlation, at; one result row.

    Result columns: rows created, changed, deleted, restored; rows noted for `catalog.derived`.
    """
    cls = resolved.entity
    surviving, columns = Surviving(sources, resolved), _columns(cls)
    name, table = cls.declaration.name, quoted(cls._meta.db_table)
    listed, unsettling = ", ".join(columns), noting(cls)
    assigned = ", ".join(f"{c} = excluded.{c}" for c in columns)
    kept = "".join(
        part.format(name=name)
        for wanted, part in ((surviving.holds, HELD), (surviving.waits, DUE))
        if wanted
    )
    return f"""
WITH merged AS MATERIALIZED (
    SELECT t.key, t.record_id, t.event_id, t.correlation_id, {_survivors(surviving, cls)}
    FROM touched t{surviving.joined()}
    WHERE t.entity = '{name}'
), old AS MATERIALIZED (
    SELECT e.* FROM merged m JOIN {table} e ON e.key = m.key
), written AS (
    INSERT INTO {table} AS e (key, {listed}, provenance, changed_at)
    SELECT key, {listed}, provenance, now() FROM merged WHERE alive ORDER BY key
    ON CONFLICT (key) DO UPDATE SET {assigned}, provenance = excluded.provenance,
        deleted_at = NULL,
        changed_at = CASE WHEN e.deleted_at IS NOT NULL
            OR {_row(cls, "e")} IS DISTINCT FROM {_row(cls, "excluded")}
            THEN now() ELSE e.changed_at END
    WHERE e.deleted_at IS NOT NULL OR e.provenance IS DISTINCT FROM excluded.provenance
        OR {_row(cls, "e")} IS DISTINCT FROM {_row(cls, "excluded")}
), buried AS (
    UPDATE {table} e SET deleted_at = now(), changed_at = now()
    FROM merged m WHERE e.key = m.key AND NOT m.alive AND e.deleted_at IS NULL
), noted AS (
    INSERT INTO catalog_revision
        (entity, key, kind, at, changes, source_record_id, run_id, event_id, correlation_id)
    SELECT '{name}', m.key,
           CASE WHEN NOT m.alive THEN 'deleted' WHEN o.key IS NULL THEN 'created'
                WHEN o.deleted_at IS NOT NULL THEN 'restored' ELSE 'changed' END,
           now(),
           CASE WHEN o.key IS NULL OR NOT m.alive THEN '{{}}'::jsonb ELSE {changes(cls)} END,
           m.record_id, %(run)s::bigint, COALESCE(m.event_id, %(event)s::bigint),
           COALESCE(m.correlation_id, %(correlation)s)
    FROM merged m LEFT JOIN old o ON o.key = m.key
    WHERE CASE WHEN m.alive
        THEN o.key IS NULL OR o.deleted_at IS NOT NULL
            OR {differ(cls)}
        ELSE o.key IS NOT NULL AND o.deleted_at IS NULL END
    RETURNING key, kind, event_id, correlation_id
), told AS (
    INSERT INTO catalog_changenotice
        (entity, keys, kinds, at, run_id, event_id, correlation_id)
    SELECT '{name}', array_agg(key ORDER BY key), array_agg(kind ORDER BY key),
           now(), %(run)s::bigint,
           -- where one event, or one correlation, stands behind all of them
           CASE WHEN min(event_id) = max(event_id) AND count(event_id) = count(*)
               THEN min(event_id) END,
           CASE WHEN min(correlation_id) = max(correlation_id) THEN min(correlation_id) ELSE '' END
    FROM noted HAVING count(*) > 0
){kept}{unsettling}
SELECT count(*) FILTER (WHERE kind = 'created'), count(*) FILTER (WHERE kind = 'changed'),
       count(*) FILTER (WHERE kind = 'deleted'), count(*) FILTER (WHERE kind = 'restored'),
       {"(SELECT count(*) FROM unsettling)" if unsettling else "0"}
FROM noted"""


# What differs and waits for a person, as it is now; `since` is kept while the value is the same. Of
# most records nothing is new, and one comparison tells that.
HELD = """, otherwise AS MATERIALIZED (
    SELECT m.key, CASE WHEN m.alive THEN m."#held" ELSE '{{}}' END AS held
    FROM merged m CROSS JOIN LATERAL (
        SELECT COALESCE(jsonb_object_agg(h.field || ':' || h.source_id,
            jsonb_build_array(h.rule_id, h.source_record_id, h.value)), '{{}}') AS held
        FROM catalog_heldvalue h WHERE h.entity = '{name}' AND h.key = m.key) k
    WHERE k.held <> CASE WHEN m.alive THEN m."#held" ELSE '{{}}' END
), waits_no_more AS (
    DELETE FROM catalog_heldvalue h USING otherwise o
    WHERE h.entity = '{name}' AND h.key = o.key
      AND NOT o.held ? (h.field || ':' || h.source_id)
), waits AS (
    INSERT INTO catalog_heldvalue AS h
        (entity, key, field, source_id, source_record_id, rule_id, value, since)
    SELECT '{name}', o.key, split_part(w.name, ':', 1), split_part(w.name, ':', 2)::smallint,
           (w.said ->> 1)::bigint, (w.said ->> 0)::bigint, w.said -> 2, now()
    FROM otherwise o CROSS JOIN LATERAL jsonb_each(o.held) w (name, said)
    ON CONFLICT (entity, key, field, source_id) DO UPDATE SET
        source_record_id = excluded.source_record_id, rule_id = excluded.rule_id,
        since = CASE WHEN h.value = excluded.value THEN h.since ELSE excluded.since END,
        value = excluded.value
    WHERE (h.value, h.rule_id, h.source_record_id)
        IS DISTINCT FROM (excluded.value, excluded.rule_id, excluded.source_record_id)
)"""

# When a record has to be merged again although nobody says anything. One that is there already and
# comes earlier stays: it is in vain and names the next, so that not every change writes one.
DUE = """, due AS (
    INSERT INTO catalog_mergedue (entity, key, at)
    SELECT '{name}', m.key, m."#due" FROM merged m
    WHERE m.alive AND m."#due" IS NOT NULL AND NOT EXISTS (
        SELECT FROM catalog_mergedue d WHERE d.entity = '{name}' AND d.key = m.key
        AND d.at > %(at)s AND d.at <= m."#due")
    ON CONFLICT (entity, key) DO UPDATE SET at = excluded.at
)"""


def _survivors(surviving: Surviving, cls: type[Entity]) -> str:
    """The columns of `merged` that the rules decide."""
    said = [f"({surviving.alive()}) AS alive"]
    said += [
        f"{surviving.value(f)} AS {c}"
        for f, c in zip(value_fields(cls), _columns(cls), strict=True)
    ]
    said.append(f"{surviving.provenance()} AS provenance")
    if surviving.holds:
        said.append(f'{surviving.held()} AS "#held"')
    if surviving.waits:
        said.append(f'{surviving.due()} AS "#due"')
    return ",\n           ".join(said)


def compile_preview(sources: Sequence[Source], resolved: Survivorship, sample: int) -> str:
    """What a merge of all living rows would change, without doing it; parameter at; one row.

    Result columns: rows looked at; rows whose values would differ; rows of which the source alone
    would; a JSON list of the first `sample` of those whose values would: {key, changes}.
    """
    cls = resolved.entity
    surviving = Surviving(sources, resolved)
    return f"""
WITH merged AS MATERIALIZED (
    SELECT t.key, {_survivors(surviving, cls)}
    FROM {quoted(cls._meta.db_table)} t{surviving.joined()}
    WHERE t.deleted_at IS NULL
), compared AS MATERIALIZED (
    SELECT m.key, {differ(cls)} AS differs, m.provenance IS DISTINCT FROM o.provenance AS moves,
           {changes(cls)} AS changes
    FROM merged m JOIN {quoted(cls._meta.db_table)} o ON o.key = m.key WHERE m.alive
)
SELECT count(*), count(*) FILTER (WHERE differs), count(*) FILTER (WHERE moves AND NOT differs),
       (SELECT json_agg(s) FROM (
           SELECT key, changes FROM compared WHERE differs ORDER BY key LIMIT {sample}) s)
FROM compared"""


def changes(cls: type[Entity]) -> str:
    """SQL of {field: [old, new]} of what differs between the rows `o` and `m`."""
    return json_object(
        (f.name, _difference(f, c)) for f, c in zip(value_fields(cls), _columns(cls), strict=True)
    )


def _difference(field: models.Field[Any, Any], column: str) -> str:
    pair = f"jsonb_build_array({_noted(field, 'o')}, {_noted(field, 'm')})"
    return f"CASE WHEN o.{column} IS DISTINCT FROM m.{column} THEN {pair} END"


def differ(cls: type[Entity]) -> str:
    """SQL: whether any value differs between the rows `o` and `m`."""
    return f"{_row(cls, 'o')} IS DISTINCT FROM {_row(cls, 'm')}"


def _row(cls: type[Entity], alias: str) -> str:
    return "ROW(" + ", ".join(f"{alias}.{c}" for c in _columns(cls)) + ")"


def _columns(cls: type[Entity]) -> list[str]:
    return [quoted(str(f.column)) for f in value_fields(cls)]


def _noted(field: models.Field[Any, Any], alias: str) -> str:
    """SQL of a value as history keeps it: decimals as text, so that no digit is lost in JSON."""
    column = f"{alias}.{quoted(str(field.column))}"
    return f"{column}::text" if bare_type(field) == "numeric" else column
