"""What stored source records say under the mapping of today, with nothing asked of any upstream.

A restated record keeps its payload, its version and the run or event that brought it: a remap is
not newer than what the system said. Every entity that a batch speaks about is merged again, also
where no field changed, because an ownership rule may have. Records are read without a lock and
compared under one: what was stored meanwhile was mapped by today's mapping already, and is left
as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from catalog.merge import Cause, Merger
from catalog.stage import INDEX_PLANS, Applied, Contribution, prepare_stage

# Keys and not ids: one range of one index, whatever else is stored.
READ = """
SELECT id, record_key, payload::text, payload_hash, version FROM catalog_sourcerecord
WHERE source_id = %s AND record_key > %s AND deleted_at IS NULL ORDER BY record_key LIMIT %s"""

ALIVE = """
SELECT count(*) FROM catalog_sourcerecord WHERE source_id = ANY(%s) AND deleted_at IS NULL"""

LOCK = """
SELECT r.id FROM unnest(%(ids)s::bigint[], %(versions)s::bigint[], %(hashes)s::bytea[])
    AS s (id, version, payload_hash)
JOIN catalog_sourcerecord r ON r.id = s.id AND r.version = s.version
    AND r.payload_hash = s.payload_hash AND r.deleted_at IS NULL
ORDER BY r.source_id, r.record_key FOR UPDATE OF r"""

RESTATE = """
WITH said AS MATERIALIZED (
    SELECT s.id, s.entity_key, s.fields::jsonb AS fields, r.entity_key AS former
    FROM unnest(%(ids)s::bigint[], %(entity_keys)s::text[], %(fields)s::text[])
        AS s (id, entity_key, fields)
    JOIN catalog_sourcerecord r ON r.id = s.id
), written AS (
    UPDATE catalog_sourcerecord r SET
        previous_key = CASE WHEN r.entity_key <> s.entity_key THEN r.entity_key
                            ELSE r.previous_key END,
        entity_key = s.entity_key, fields = s.fields, contract = %(contract)s
    FROM said s
    WHERE r.id = s.id AND (r.entity_key <> s.entity_key OR r.fields <> s.fields
                           OR r.contract <> %(contract)s)
    RETURNING r.id
), named AS (
    INSERT INTO touched (entity, key, record_id)
    SELECT %(entity)s, k.key, max(s.id)
    FROM said s CROSS JOIN LATERAL (VALUES (s.entity_key), (s.former)) AS k (key) GROUP BY 2
)
SELECT count(*) FROM written"""

# A nested record has the version and the bringer of the record that it is nested in.
RESTATE_CHILDREN = """
WITH said AS MATERIALIZED (
    SELECT s.*, r.id, r.entity_key AS former
    FROM unnest(%(parents)s::bigint[], %(sources)s::smallint[], %(keys)s::text[],
                %(entity_keys)s::text[], %(payloads)s::text[], %(hashes)s::bytea[],
                %(fields)s::text[])
        AS s (parent, source_id, record_key, entity_key, payload, payload_hash, fields)
    LEFT JOIN catalog_sourcerecord r
        ON r.source_id = s.source_id AND r.record_key = s.record_key
), written AS (
    INSERT INTO catalog_sourcerecord AS r
        (source_id, record_key, entity_key, payload, payload_hash, fields, version, changed_at,
         observed_at, run_id, event_id, correlation_id, contract)
    SELECT s.source_id, s.record_key, s.entity_key, s.payload::json, s.payload_hash,
           s.fields::jsonb, p.version, p.changed_at, p.observed_at, p.run_id, p.event_id,
           p.correlation_id, %(contract)s
    FROM said s JOIN catalog_sourcerecord p ON p.id = s.parent
    ORDER BY s.source_id, s.record_key
    ON CONFLICT (source_id, record_key) DO UPDATE SET
        previous_key = CASE WHEN r.entity_key <> excluded.entity_key THEN r.entity_key
                            ELSE r.previous_key END,
        entity_key = excluded.entity_key, payload = excluded.payload,
        payload_hash = excluded.payload_hash, fields = excluded.fields,
        version = excluded.version, changed_at = excluded.changed_at,
        observed_at = excluded.observed_at, run_id = excluded.run_id,
        event_id = excluded.event_id, correlation_id = excluded.correlation_id,
        contract = excluded.contract, deleted_at = NULL
    WHERE r.version <= excluded.version
      AND (r.entity_key <> excluded.entity_key OR r.payload_hash <> excluded.payload_hash
           OR r.fields <> excluded.fields OR r.contract <> excluded.contract
           OR r.deleted_at IS NOT NULL)
    RETURNING r.id, r.source_id, r.record_key
), named AS (
    INSERT INTO touched (entity, key, record_id)
    SELECT o.entity, k.key, max(COALESCE(s.id, w.id))
    FROM said s JOIN catalog_source o ON o.id = s.source_id
    LEFT JOIN written w ON w.source_id = s.source_id AND w.record_key = s.record_key
    CROSS JOIN LATERAL (VALUES (s.entity_key), (s.former)) AS k (key)
    WHERE k.key IS NOT NULL GROUP BY 1, 2
)
SELECT count(*) FROM written"""

ATTRIBUTE = """
UPDATE catalog_sourcerecord r SET run_id = s.run, correlation_id = s.correlation,
    observed_at = s.observed
FROM unnest(%(sources)s::smallint[], %(keys)s::text[], %(runs)s::bigint[],
            %(correlations)s::text[], %(observed)s::timestamptz[])
    AS s (source_id, record_key, run, correlation, observed)
WHERE r.source_id = s.source_id AND r.record_key = s.record_key AND r.run_id = %(by)s"""

BURIED = """
SELECT record_key, deleted_at FROM catalog_sourcerecord
WHERE source_id = %s AND record_key = ANY(%s) AND deleted_at IS NOT NULL
ORDER BY record_key FOR UPDATE"""

_ENCODE = msgspec.json.Encoder(decimal_format="string").encode


class Stored(NamedTuple):
    """A living source record as it was read."""

    id: int
    record_key: str
    payload: str
    payload_hash: bytes
    version: int


@dataclass(slots=True)
class Restated:
    """What a stored record says now, and its nested records with it."""

    stored: Stored
    said: Contribution
    children: Sequence[Contribution] = ()


class Brought(NamedTuple):
    """Which pull brought a sentence, and when the record was read."""

    run_id: int | None
    correlation_id: str
    observed_at: datetime


def read_stored(source: int, after: str, limit: int) -> list[Stored]:
    """The living records of a source behind a key, in order of their keys."""
    with connection.cursor() as cursor:
        cursor.execute(READ, (source, after, limit))
        return [Stored(i, k, p, bytes(h), v) for i, k, p, h, v in cursor.fetchall()]


def count_alive(sources: Iterable[int]) -> int:
    """How many living records the sources have."""
    with connection.cursor() as cursor:
        cursor.execute(ALIVE, [list(sources)])
        return int(cursor.fetchone()[0])


def lock_unchanged(records: Sequence[Stored]) -> set[int]:
    """Lock the records, in the order in which pulls lock them; the ids of those still as read."""
    with connection.cursor() as cursor:
        cursor.execute(INDEX_PLANS)
        cursor.execute(
            LOCK,
            {
                "ids": [r.id for r in records],
                "versions": [r.version for r in records],
                "hashes": [r.payload_hash for r in records],
            },
        )
        return {row[0] for row in cursor.fetchall()}


def restate(
    merger: Merger,
    records: Sequence[Restated],
    cause: Cause,
    *,
    entity: str,
    entities: Iterable[str],
    contract: str,
) -> Applied:
    """Write what locked records say now and merge all they speak about, in the caller's transaction.

    `stored` counts the source records that were written. Raises django.db.DataError or
    IntegrityError where a value does not fit its column.
    """
    if not records:
        return Applied.nothing()
    prepare_stage()
    # Each record once, the last to say so, as a pull has it.
    nested = {(c.source_id, c.record_key): (r, c) for r in records for c in r.children}
    with connection.cursor() as cursor:
        cursor.execute(
            RESTATE,
            {
                "ids": [r.stored.id for r in records],
                "entity_keys": [r.said.entity_key for r in records],
                "fields": [_ENCODE(r.said.fields).decode() for r in records],
                "entity": entity,
                "contract": contract,
            },
        )
        stored = int(cursor.fetchone()[0])
        if nested:
            cursor.execute(
                RESTATE_CHILDREN, {**_nested(list(nested.values())), "contract": contract}
            )
            stored += int(cursor.fetchone()[0])
    return Applied(stored, merger.merge_touched(entities, cause))


def attribute(said: Mapping[tuple[int, str], Brought], by: int) -> None:
    """Name the pulls that brought the records (source, key) which run `by` has stored just now."""
    with connection.cursor() as cursor:
        cursor.execute(
            ATTRIBUTE,
            {
                "by": by,
                "sources": [source for source, _ in said],
                "keys": [key for _, key in said],
                "runs": [brought.run_id for brought in said.values()],
                "correlations": [brought.correlation_id for brought in said.values()],
                "observed": [brought.observed_at for brought in said.values()],
            },
        )


def buried(source: int, keys: Collection[str]) -> dict[str, datetime]:
    """When each of these records was tombstoned; the others are left out. Locks them."""
    with connection.cursor() as cursor:
        cursor.execute(BURIED, (source, list(keys)))
        return dict(cursor.fetchall())


def _nested(children: Sequence[tuple[Restated, Contribution]]) -> dict[str, list[Any]]:
    return {
        "parents": [parent.stored.id for parent, _ in children],
        "sources": [c.source_id for _, c in children],
        "keys": [c.record_key for _, c in children],
        "entity_keys": [c.entity_key for _, c in children],
        "payloads": [bytes(c.payload).decode() for _, c in children],
        "hashes": [c.payload_hash for _, c in children],
        "fields": [_ENCODE(c.fields).decode() for _, c in children],
    }
