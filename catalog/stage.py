"""The door of the catalogue: "system S says F about record K, as of T, in event E".

A batch of such sentences is copied into a temporary table, stored as source records where it is
news, and merged; all inside the caller's transaction. A sentence that is not newer than what is
stored, by the source's own ordering, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from django.db import connection, transaction

from catalog.derived import UNSETTLED
from catalog.entities import entity
from catalog.merge import TYPES, Cause, Merged, merge_touched
from catalog.prepared import call
from catalog.suppression import screened

# A table that is emptied at commit has its files cut, and the index of its TOAST table built anew, by
# every transaction: that took four times as long as merging a record. So the two that merges read
# have no TOAST table, and what was staged lies there until the session stages again.
STAGE = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS stage (
    source_id smallint, record_key text, entity_key text, payload json, payload_hash bytea,
    fields jsonb, version bigint, changed_at timestamptz, deleted boolean,
    observed_at timestamptz, run_id bigint, event_id bigint, correlation_id text
) WITH (toast_tuple_target = 8160);
CREATE TEMPORARY TABLE IF NOT EXISTS touched (
    entity text STORAGE PLAIN, key text STORAGE PLAIN, record_id bigint, event_id bigint,
    correlation_id text STORAGE PLAIN
) ON COMMIT DELETE ROWS;
{UNSETTLED}"""

# A plan made while the tables are small would scan them, and be kept while they grow.
INDEX_PLANS = """
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('work_mem', '32MB', true),
       set_config('plan_cache_mode', 'force_generic_plan', true)"""

# Commit empties the other two; that they are emptied here is for who applies twice in a transaction.
EMPTY = """
{stage}; DELETE FROM touched; DELETE FROM unsettled"""
#: What was deleted still takes up room. Beyond so many bytes the file is cut, which has whoever reads the
#: table planned anew.
MOST_DELETED = 64 * 1024

#: Sessions that have the tables, and the bytes that they have staged since the file was cut. The tables
#: stay, once a transaction that made them was committed.
_staged: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

COPY = "COPY stage FROM STDIN"

# Records are kept under the key that theirs was merged into, where it was.
TOLD = "stage"
KNOWN = """(
    SELECT g.source_id, g.record_key, COALESCE(a.root, g.entity_key) AS entity_key,
           CASE WHEN a.root IS NOT NULL THEN g.entity_key END AS told_key, g.payload,
           g.payload_hash, g.fields, g.version, g.changed_at, g.deleted, g.observed_at, g.run_id,
           g.event_id, g.correlation_id
    FROM stage g JOIN catalog_source o ON o.id = g.source_id
    LEFT JOIN catalog_sameas a ON a.entity = o.entity AND a.alias = g.entity_key
        AND a.ended_at IS NULL) AS known"""

# What was tombstoned after the upstream was asked stays so. Restated records are locked by the
# caller, and what is derived from them is news wherever it differs, whatever its version.
STORE = """
WITH stored AS (
    INSERT INTO catalog_sourcerecord AS r
        (source_id, record_key, entity_key, told_key, payload, payload_hash, fields, version,
         changed_at, observed_at, deleted_at, run_id, event_id, correlation_id, contract)
    SELECT source_id, record_key, entity_key, {told_key}, payload, payload_hash, fields, version,
           changed_at,
           COALESCE(observed_at, %(asked)s::timestamptz, now()), CASE WHEN deleted THEN now() END,
           CASE WHEN observed_at IS NULL THEN %(run)s::bigint ELSE run_id END, event_id,
           COALESCE(correlation_id, %(correlation)s), %(contract)s
    FROM {stage} ORDER BY source_id, record_key
    ON CONFLICT (source_id, record_key) DO UPDATE SET
        previous_key = CASE WHEN r.entity_key <> excluded.entity_key THEN r.entity_key END,
        entity_key = excluded.entity_key, told_key = excluded.told_key,
        payload = excluded.payload,
        payload_hash = excluded.payload_hash, fields = excluded.fields,
        version = excluded.version, changed_at = excluded.changed_at,
        observed_at = excluded.observed_at, deleted_at = excluded.deleted_at,
        run_id = excluded.run_id, event_id = excluded.event_id,
        correlation_id = excluded.correlation_id, contract = excluded.contract
    WHERE (%(asked)s::timestamptz IS NULL OR r.deleted_at IS NULL
           OR r.deleted_at <= %(asked)s::timestamptz)
      AND (excluded.version > r.version
       OR (excluded.version = r.version AND (
            excluded.payload_hash <> r.payload_hash OR excluded.fields <> r.fields
            OR (excluded.deleted_at IS NOT NULL AND r.deleted_at IS NULL)
            OR (excluded.deleted_at IS NULL AND r.deleted_at IS NOT NULL AND %(present)s)))
       OR (%(restated)s AND (
            excluded.version <> r.version OR excluded.entity_key <> r.entity_key
            OR excluded.contract <> r.contract OR r.deleted_at IS NOT NULL)))
    RETURNING id, source_id, entity_key, previous_key, event_id, correlation_id
), named AS (
    INSERT INTO touched
    SELECT s.entity, k.key, max(stored.id), max(stored.event_id),
           (array_agg(stored.correlation_id ORDER BY stored.event_id DESC NULLS LAST))[1]
    FROM stored JOIN catalog_source s ON s.id = stored.source_id
    CROSS JOIN LATERAL (VALUES (stored.entity_key), (stored.previous_key)) AS k (key)
    WHERE k.key IS NOT NULL GROUP BY 1, 2
)
SELECT count(*) FROM stored"""

STORED_AS = {
    **TYPES, "contract": "text", "present": "boolean", "asked": "timestamptz", "restated": "boolean",
}  # fmt: skip

# In place of what was news: all that the batch speaks about, because a rule may have changed too.
TOUCH_ALL = """
DELETE FROM touched;
INSERT INTO touched (entity, key, record_id)
SELECT o.entity, k.key, max(r.id)
FROM stage s JOIN catalog_source o ON o.id = s.source_id
JOIN catalog_sourcerecord r ON r.source_id = s.source_id AND r.record_key = s.record_key
CROSS JOIN LATERAL (VALUES (r.entity_key), (r.previous_key)) AS k (key)
WHERE k.key IS NOT NULL GROUP BY 1, 2"""

# Children carry their parent's key before a slash; `0` is the character after it, and the column
# is compared byte by byte. An older parent must not withdraw what a newer one announced.
WITHDRAW_CHILDREN = """
WITH withdrawn AS (
    UPDATE catalog_sourcerecord r SET deleted_at = now(), run_id = %(run)s::bigint,
        event_id = %(event)s::bigint, correlation_id = %(correlation)s
    FROM unnest(%(parents)s::text[], %(versions)s::bigint[]) AS p (key, version)
    WHERE r.source_id = %(source)s AND r.record_key > p.key || '/' AND r.record_key < p.key || '0'
      AND r.version <= p.version AND r.record_key <> ALL(%(kept)s::text[]) AND r.deleted_at IS NULL
    RETURNING r.id, r.source_id, r.entity_key
), named AS (
    INSERT INTO touched
    SELECT s.entity, w.entity_key, max(w.id), %(event)s::bigint, %(correlation)s
    FROM withdrawn w JOIN catalog_source s ON s.id = w.source_id GROUP BY 1, 2
)
SELECT count(*) FROM withdrawn"""

WITHDRAW = """
WITH withdrawn AS (
    UPDATE catalog_sourcerecord SET deleted_at = now(), run_id = %(run)s::bigint,
        event_id = %(event)s::bigint, correlation_id = %(correlation)s,
        observed_at = COALESCE(%(asked)s::timestamptz, observed_at)
    WHERE source_id = %(source)s AND record_key = ANY(%(keys)s) AND deleted_at IS NULL
      AND (%(asked)s::timestamptz IS NULL OR observed_at <= %(asked)s)
    RETURNING id, source_id, entity_key
), named AS (
    INSERT INTO touched
    SELECT s.entity, w.entity_key, max(w.id), %(event)s::bigint, %(correlation)s
    FROM withdrawn w JOIN catalog_source s ON s.id = w.source_id GROUP BY 1, 2
)
SELECT count(*) FROM withdrawn"""

# In COPY's text format a backslash, tab or line break in a value has to be escaped.
_ESCAPES = ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\n", b"\\n"), (b"\r", b"\\r"))
_ENCODE = msgspec.json.Encoder(decimal_format="string").encode
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The offset from UTC that PostgreSQL refuses (its MAX_TZDISP_HOUR is 15).
FARTHEST = timedelta(hours=16)
_UTC = timedelta()


def payload_hash(payload: bytes) -> bytes:
    """The 16 bytes by which an unchanged payload is recognised (BLAKE2b, RFC 7693)."""
    return blake2b(payload, digest_size=16).digest()


def version_of(moment: datetime) -> int:
    """A change time as a version: microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Told:
    """Who brought a sentence, and when it was true, where it is not the run that applies it."""

    observed_at: datetime
    correlation_id: str
    event_id: int | None = None
    run_id: int | None = None

    def encode(self) -> bytes:
        """Four columns of COPY's text format."""
        return b"\t".join(
            (
                self.observed_at.isoformat().encode(),
                _number(self.run_id),
                _number(self.event_id),
                _escaped(self.correlation_id.encode()),
            )
        )


@dataclass(slots=True)
class Contribution:
    """One sentence; `told` where something else brought it than the run that applies it.

    `fields` holds JSON-encodable values, without those that are None.
    """

    source_id: int
    record_key: str
    entity_key: str
    payload: bytes
    payload_hash: bytes
    fields: dict[str, Any]
    version: int
    changed_at: datetime | None = None
    deleted: bool = False
    told: Told | None = None
    line: bytes = b""

    def encode(self) -> bytes:
        """The sentence as one line of COPY's text format, made once.

        Raises ValueError for text that has no UTF-8 form, and for a time that PostgreSQL cannot
        hold: in a batch it would fail the records beside it.
        """
        self.line = self.line or self._encoded()
        return self.line

    def _encoded(self) -> bytes:
        for value in (self.changed_at, *self.fields.values()):
            if type(value) is datetime and abs(value.utcoffset() or _UTC) >= FARTHEST:
                raise ValueError(f"{value.isoformat()} is 16 hours or more from UTC")
        return b"\t".join(
            (
                b"%d" % self.source_id,
                _escaped(self.record_key.encode()),
                _escaped(self.entity_key.encode()),
                _escaped(bytes(self.payload)),
                b"\\\\x" + self.payload_hash.hex().encode(),
                _escaped(_ENCODE(self.fields)),
                b"%d" % self.version,
                b"\\N" if self.changed_at is None else self.changed_at.isoformat().encode(),
                b"t" if self.deleted else b"f",
                b"\\N\t\\N\t\\N\t\\N" if self.told is None else self.told.encode(),
            )
        )


@dataclass(slots=True)
class Applied:
    """What came of a batch: source records that were news, and entity rows that changed."""

    stored: int
    merged: Merged

    @classmethod
    def nothing(cls) -> Applied:
        """An empty batch's outcome."""
        return cls(0, Merged())

    def add(self, other: Applied) -> None:
        """Count another batch in."""
        self.stored += other.stored
        self.merged.add(other.merged)


def apply_contributions(
    contributions: Sequence[Contribution],
    cause: Cause,
    *,
    entities: Sequence[str],
    contract: str = "",
    present: bool = True,
    asked: datetime | None = None,
    restated: bool = False,
) -> Applied:
    """Store and merge a batch, inside the caller's transaction.

    Each record may occur once in a batch. `present` says that the records were read from the
    upstream just now, which brings a tombstoned one back; an event that repeats does not. `asked`
    is the database time at which the upstream was asked for them: a record that was tombstoned
    since then stays so. `restated` says that they were derived again from stored records which
    the caller has locked: what differs is written, and all that they speak about is merged.
    Raises django.db.DataError or IntegrityError where a value does not fit its column.
    """
    contributions = screened(contributions, entities) if contributions else ()
    if not contributions:
        return Applied.nothing()
    _copy(contributions)
    with connection.cursor() as cursor:
        cursor.execute(
            call(_store(entities), STORED_AS),
            {
                **_cause(cause),
                "contract": contract,
                "present": present,
                "asked": asked,
                "restated": restated,
            },
        )
        stored = int(cursor.fetchone()[0])
        if restated:
            cursor.execute(TOUCH_ALL)
    merge = stored or restated
    return Applied(stored, merge_touched(entities, cause) if merge else Merged())


def merge_again(touched: Mapping[str, Iterable[str]], cause: Cause) -> Merged:
    """Merge records {entity: keys} though nobody said anything new, inside the caller's transaction."""
    _prepare()
    rows = [(name, key) for name, keys in touched.items() for key in sorted(set(keys))]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO touched (entity, key) SELECT * FROM unnest(%s::text[], %s::text[])",
            [[name for name, _ in rows], [key for _, key in rows]],
        )
    return merge_touched(list(touched), cause)


def withdraw(
    source: int,
    keys: Sequence[str],
    cause: Cause,
    *,
    entity: str,
    asked: datetime | None = None,
) -> Applied:
    """Tombstone records that the upstream no longer has, inside the caller's transaction.

    `asked` is the database time at which the upstream was asked for them: a record that has been
    read since then is there again, and stays; what was true before then does not bring it back.
    """
    _prepare()
    with connection.cursor() as cursor:
        cursor.execute(
            WITHDRAW, {**_cause(cause), "source": source, "keys": list(keys), "asked": asked}
        )
        gone = int(cursor.fetchone()[0])
    return Applied(gone, merge_touched([entity], cause) if gone else Merged())


def withdraw_children(
    source: int,
    parents: Mapping[str, int],
    kept: Iterable[str],
    cause: Cause,
    *,
    entity: str,
) -> Applied:
    """Tombstone children that their parents (record key: version) no longer hold.

    `kept` are the record keys of the children that the parents still hold.
    """
    _prepare()
    with connection.cursor() as cursor:
        cursor.execute(
            WITHDRAW_CHILDREN,
            {
                **_cause(cause),
                "source": source,
                "parents": list(parents),
                "versions": list(parents.values()),
                "kept": list(kept),
            },
        )
        gone = int(cursor.fetchone()[0])
    return Applied(gone, merge_touched([entity], cause) if gone else Merged())


def _store(entities: Iterable[str]) -> str:
    """The statement for records of these entities: keys are looked up where some may be merged."""
    matched = any(entity(name).declaration.matching for name in entities)
    return STORE.format(
        stage=KNOWN if matched else TOLD, told_key="told_key" if matched else "NULL"
    )


def _prepare(staging: int = 0) -> None:
    """Have the tables, empty; `staging`: so many bytes will be copied."""
    session = connection.connection
    held = _staged.get(session)
    cut = held is not None and held > MOST_DELETED
    emptied = EMPTY.format(stage="TRUNCATE stage" if cut else "DELETE FROM stage")
    made = f"{STAGE};\n" if held is None else ""
    with connection.cursor() as cursor:
        cursor.execute(f"{made}{emptied};\n{INDEX_PLANS}")
    total = staging if cut else staging + (held or 0)
    if held is None:
        transaction.on_commit(partial(_staged.__setitem__, session, total))
    else:
        _staged[session] = total


def _copy(contributions: Sequence[Contribution]) -> None:
    lines = b"\n".join([c.encode() for c in contributions]) + b"\n"
    _prepare(len(lines))
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write(lines)


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "run": cause.run_id,
        "event": cause.event_id,
        "correlation": cause.correlation_id,
    }


def _number(value: int | None) -> bytes:
    return b"\\N" if value is None else b"%d" % value


def _escaped(value: bytes) -> bytes:
    for plain, escaped in _ESCAPES:
        if plain in value:
            value = value.replace(plain, escaped)
    return value
