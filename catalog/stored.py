"""What systems have said, read again as it is stored: nothing is asked of any upstream.

Records are read without a lock and compared under one: what was stored meanwhile is newer, and
was mapped by the code of today already.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from catalog.stage import Told
from catalog.staging import INDEX_PLANS

READ = """
SELECT record_key, payload::text, payload_hash, version, observed_at, correlation_id, event_id,
       run_id
FROM catalog_sourcerecord
WHERE source_id = %s AND record_key > %s AND deleted_at IS NULL ORDER BY record_key LIMIT %s"""

ALIVE = """
SELECT count(*) FROM catalog_sourcerecord WHERE source_id = %s AND deleted_at IS NULL"""

# Children lie within their parents' range (`0` comes after the slash). All rows of the range are
# locked at once and in the order in which pulls lock them, so that neither waits for the other.
LOCK = """
SELECT source_id, record_key, version, payload_hash, deleted_at IS NULL FROM catalog_sourcerecord
WHERE source_id = ANY(%s) AND record_key >= %s AND record_key < %s
ORDER BY source_id, record_key FOR UPDATE"""

BURIED = """
SELECT record_key, deleted_at FROM catalog_sourcerecord
WHERE source_id = %s AND record_key = ANY(%s) AND deleted_at IS NOT NULL
ORDER BY record_key FOR UPDATE"""


class Stored(NamedTuple):
    """A living source record, and who brought it."""

    record_key: str
    payload: bytes
    payload_hash: bytes
    version: int
    told: Told


def read_stored(source: int, after: str, limit: int) -> list[Stored]:
    """The living records of a source behind a key, in order of their keys."""
    with connection.cursor() as cursor:
        cursor.execute(READ, (source, after, limit))
        return [
            Stored(key, payload.encode(), bytes(digest), version, Told(*told))
            for key, payload, digest, version, *told in cursor.fetchall()
        ]


def count_alive(source: int) -> int:
    """How many living records a source has."""
    with connection.cursor() as cursor:
        cursor.execute(ALIVE, [source])
        return int(cursor.fetchone()[0])


def lock_unchanged(
    records: Sequence[Stored], source: int, child_sources: Collection[int]
) -> set[str]:
    """Lock a page of `read_stored` and its children; the keys of those that are still as read."""
    read = {(r.record_key, r.version, r.payload_hash) for r in records}
    span = (records[0].record_key, records[-1].record_key + "0")
    with connection.cursor() as cursor:
        cursor.execute(INDEX_PLANS)
        cursor.execute(LOCK, ([source, *child_sources], *span))
        return {
            key
            for of, key, version, digest, alive in cursor.fetchall()
            if of == source and alive and (key, version, bytes(digest)) in read
        }


def buried(source: int, keys: Collection[str]) -> dict[str, datetime]:
    """When each of these records was tombstoned; the others are left out. Locks them."""
    with connection.cursor() as cursor:
        cursor.execute(BURIED, (source, list(keys)))
        return dict(cursor.fetchall())
