"""One tally a request; every ten seconds all of it to PostgreSQL, in sets.

Readings are told apart by identity here, and brought together when they are passed on. What they took,
and where their answers came from, becomes the metric `api_milliseconds`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping

import structlog
from django.db import Error as DatabaseError
from django.db import connection, transaction

from hub.usage.uses import Field, Uses
from observability import metrics
from observability.flushing import Flusher
from observability.metrics import NAMES, Tally

log = structlog.get_logger(__name__)

SECONDS = 10.0
#: Pairs of key and operation that a process tells apart until it passes them on.
MOST = 50_000
#: Operations that are kept by name. What clients write anew each time would fill the table; its
#: fields are counted all the same.
MOST_OPERATIONS = 10_000

#: The metric of requests, and what of them it tells apart.
METRIC = "api_milliseconds"
FLOOR = NAMES[METRIC].floor

#: By key, reading, and where the answer came from.
Tallies = dict[tuple[str, Uses, str], Tally]
Counted = dict[tuple[str, Uses], int]

FIELDS = """
INSERT INTO hub_fieldusage AS u (day, key, entity, field, requests)
SELECT (now() AT TIME ZONE 'UTC')::date, n.*
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) n(key, entity, field, requests)
ORDER BY n.entity, n.field, n.key
ON CONFLICT (entity, field, key, day) DO UPDATE SET requests = u.requests + excluded.requests"""

OPERATIONS = """
INSERT INTO hub_observedoperation AS o (digest, name, text, reads)
SELECT n.digest, n.name, n.text, string_to_array(n.reads, ' ')
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) n(digest, name, text, reads)
WHERE EXISTS (SELECT 1 FROM hub_observedoperation k WHERE k.digest = n.digest)
    OR (SELECT count(*) FROM hub_observedoperation) < %s
ORDER BY n.digest
ON CONFLICT (digest) DO UPDATE SET seen_at = now(),
    reads = ARRAY(SELECT DISTINCT unnest(o.reads || excluded.reads) ORDER BY 1)"""

RUNS = """
INSERT INTO hub_operationusage AS u (day, key, operation_id, requests)
SELECT (now() AT TIME ZONE 'UTC')::date, n.*
FROM unnest(%s::text[], %s::text[], %s::bigint[]) n(key, digest, requests)
JOIN hub_observedoperation o USING (digest)
ORDER BY n.digest, n.key
ON CONFLICT (operation_id, key, day) DO UPDATE SET requests = u.requests + excluded.requests"""

_lock = threading.Lock()
_tallies: Tallies = {}
#: What PostgreSQL has not taken yet.
_counted: Counted = {}


def count(key: str, uses: Uses, outcome: str, milliseconds: float) -> None:
    """One request more of a key, by its prefix, or of a token's client (`Reader.counted_as`).

    `outcome` says where the answer came from: a few words of ours.
    """
    told = (key, uses, outcome)
    with _lock:
        tally = _tallies.get(told)
        if tally is None:
            if len(_tallies) >= MOST:
                return
            tally = _tallies[told] = Tally()
        tally.observe(milliseconds, FLOOR)


def pass_on() -> None:
    """Add this process's numbers to everybody's; what PostgreSQL does not take waits here."""
    global _counted, _tallies
    with _lock:
        counted, tallies, _counted, _tallies = _counted, _tallies, {}, {}
    for (key, uses, outcome), tally in tallies.items():
        metrics.fold(METRIC, tally, operation=uses.operation.name, key=key, outcome=outcome)
        counted[key, uses] = counted.get((key, uses), 0) + tally.count
    if not counted:
        return
    try:
        _write(counted)
    except DatabaseError as error:
        log.warning("the numbers of field usage wait for PostgreSQL", error=str(error))
        with _lock:
            for pair, times in counted.items():
                if pair in _counted or len(_counted) < MOST:
                    _counted[pair] = _counted.get(pair, 0) + times


def forget() -> None:
    """Drop what was counted and not passed on."""
    global _counted, _tallies, _lock
    _counted, _tallies, _lock = {}, {}, threading.Lock()


def _write(counted: Mapping[tuple[str, Uses], int]) -> None:
    fields: Counter[tuple[str, Field]] = Counter()
    runs: Counter[tuple[str, str]] = Counter()
    known: dict[str, tuple[str, str, set[str]]] = {}
    for (key, uses), times in counted.items():
        one = uses.operation
        runs[key, one.digest] += times
        reads = known.setdefault(one.digest, (one.name, one.text, set()))[2]
        for field in uses.fields:
            fields[key, field] += times
            reads.add(".".join(field))
    with transaction.atomic(), connection.cursor() as cursor:
        # Sooner than PostgreSQL would look for a deadlock: who changes the tables goes first.
        cursor.execute("SET LOCAL lock_timeout = '500ms'")
        cursor.execute(FIELDS, _columns(4, ((k, e, f, n) for (k, (e, f)), n in fields.items())))
        described = ((d, n, t, " ".join(sorted(r))) for d, (n, t, r) in known.items())
        cursor.execute(OPERATIONS, [*_columns(4, described), MOST_OPERATIONS])
        cursor.execute(RUNS, _columns(3, ((k, d, n) for (k, d), n in runs.items())))


def _columns(width: int, rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    """Rows as columns; as many empty ones where there is no row."""
    turned = [list(column) for column in zip(*rows, strict=True)]
    return turned or [[] for _ in range(width)]


#: Has numbers passed on from now on.
start = Flusher("usage", SECONDS, pass_on, dropped=forget).start
