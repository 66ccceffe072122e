"""Every minute of every objective is good or late: "the source changed and we have not".

A stream is late in a minute

* while something that its system has told of waits longer than was promised: `waiting_since`, what
  the inbox holds and no complete read since its arrival has covered;
* while nobody can know whether it changed: no read has come to its end for longer than was
  promised, nor within two of the stream's intervals, whether its system is down or ours fails;
* afterwards, where a change turns out to have been applied too late: `late`.

Minutes in which its system is in planned maintenance (`silences`) are left out, and counted as the gauge
`freshness_excused`. What was promised counts anew from the end of the maintenance.

So a stream on which nothing changes is good as long as it is read. One that was never read in full,
or is switched off, is not judged. Minutes are judged by whichever process comes first, and those in
which nobody did are judged later; twice comes to the same. They are the gauge `freshness_late`, for
each stream and, under no stream, for all of an objective's together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from observability import metrics
from observability.calendars import INSIDE
from observability.freshness import Freshness
from observability.metrics import store
from observability.silences import COVERED, OVER

METRIC, EXCUSED = "freshness_late", "freshness_excused"
#: Minutes that nobody judged are judged so long afterwards, and changed so long: hours are rolled up
#: again for as long (`observability.metrics.rolling`).
BACK = "170 minutes"
#: A verdict that is older than this is none on how things stand.
LATELY = "5 minutes"


@dataclass(frozen=True, slots=True)
class Watched:
    """A stream that is to be fresh, as the floor above knows it.

    `waiting_since`: when the oldest change happened that is known of and not applied; None: none.
    `classes`: the data classes of the fields that it feeds.
    """

    system: str
    stream: str
    interval_seconds: int
    waiting_since: datetime | None
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """On a stream in the last minute that was judged, and how soon a change is promised to be here.

    `maintenance`: it was left out of being judged.
    """

    late: bool
    promised_seconds: int
    maintenance: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How old what a stream serves is, and whether that is late.

    `verdicts` are by the data class of the objectives, "" of those that are about every class; what was
    not judged within the last minutes has none.
    """

    freshness: Freshness
    verdicts: Mapping[str, Verdict]

    def verdict(self, *classes: str) -> Verdict | None:
        """Of the objectives about every class and about these; where none is named, of all."""
        told = [v for name, v in self.verdicts.items() if not classes or name in ("", *classes)]
        if not told:
            return None
        return Verdict(
            any(v.late for v in told),
            min(v.promised_seconds for v in told),
            all(v.maintenance for v in told),
        )


# Who has never read a stream has nothing that could be late. `blind`: nobody looked for so long.
STATE = """
watched AS (
    SELECT w.*, f.watermark, f.objective_seconds
    FROM unnest(%(systems)s::text[], %(streams)s::text[], %(intervals)s::int[],
                %(waiting)s::timestamptz[], %(classes)s::text[])
        AS w (system, stream, interval_seconds, waiting_since, classes)
    JOIN observability_streamfreshness f ON f.system = w.system AND f.stream = w.stream
    WHERE f.watermark IS NOT NULL
), held AS (
    SELECT o.name, o.calendar_id, w.system, w.stream, w.watermark, w.waiting_since,
           p.seconds * interval '1 second' AS promised,
           GREATEST(p.seconds, 2 * w.interval_seconds) * interval '1 second' AS blind
    FROM observability_freshnessobjective o
    JOIN watched w ON o.system IN ('', w.system) AND o.stream IN ('', w.stream)
        AND (o.data_class = '' OR o.data_class = ANY (string_to_array(w.classes, ' ')))
    CROSS JOIN LATERAL (SELECT COALESCE(o.max_age_seconds, w.objective_seconds) AS seconds) AS p
    WHERE o.enabled
)"""

JUDGE = f"""
WITH {STATE}, minutes AS (
    SELECT at, LEAST(at + interval '1 minute', now()) AS moment FROM generate_series(
        GREATEST(date_trunc('minute', now() - interval '{BACK}', 'UTC'), COALESCE((
            SELECT max(m.at) FROM observability_series s
            JOIN observability_measurement m ON m.series_id = s.id AND m.step = 60
            WHERE s.name IN ('{METRIC}', '{EXCUSED}')), date_trunc('minute', now(), 'UTC'))),
        date_trunc('minute', now(), 'UTC'), interval '1 minute') AS at
), judged AS (
    SELECT h.name, h.system, h.stream, m.at, planned.now AS excused, NOT planned.now AND (
               m.moment - GREATEST(h.watermark, planned.over) > h.blind
               OR h.waiting_since IS NOT NULL
                  AND m.moment - GREATEST(h.waiting_since, planned.over) > h.promised) AS late
    FROM held h CROSS JOIN minutes m LEFT JOIN observability_calendar c ON c.id = h.calendar_id
    CROSS JOIN LATERAL (SELECT {COVERED.format(system="h.system", at="m.at")},
        {OVER.format(system="h.system", at="m.moment")}) AS planned (now, over)
    WHERE {INSIDE.format(moment="m.at")}
)
SELECT name, COALESCE(system, ''), COALESCE(stream, ''), at, bool_or(late), bool_or(excused),
       bool_and(excused)
FROM judged GROUP BY GROUPING SETS ((name, system, stream, at), (name, at))"""  # noqa: S608 (our own SQL)

KEEP = """
INSERT INTO observability_measurement AS m
    (series_id, step, at, count, total, low, high, counts)
SELECT n.series, 60, n.at, 1, n.late, n.late, n.late, '{}'
FROM unnest(%s::bigint[], %s::timestamptz[], %s::int[]) AS n (series, at, late) ORDER BY 1, 3
ON CONFLICT (series_id, step, at) DO UPDATE SET total = GREATEST(m.total, excluded.total),
    high = GREATEST(m.high, excluded.high)"""

# Of all objectives under which the stream is judged, and of their sums.
LATE = f"""
UPDATE observability_measurement m SET total = m.count, high = 1
FROM observability_streamfreshness f, observability_freshnessobjective o,
     observability_series mine, observability_series s
WHERE f.system = %(system)s AND f.stream = %(stream)s
  AND mine.name = '{METRIC}'
  AND mine.labels = jsonb_build_object('objective', o.name, 'system', f.system, 'stream', f.stream)
  AND s.name = '{METRIC}' AND (s.id = mine.id
    OR s.labels = jsonb_build_object('objective', o.name, 'system', '', 'stream', ''))
  AND m.series_id = s.id AND m.step = 60 AND m.total < m.count
  AND m.at > now() - interval '{BACK}'
  AND NOT {COVERED.format(system="f.system", at="m.at")}
  AND m.at >= GREATEST(%(changed)s::timestamptz, {OVER.format(system="f.system", at="m.at")})
      + COALESCE(o.max_age_seconds, f.objective_seconds) * interval '1 second'"""  # noqa: S608 (our own SQL)

# Of what a stream is promised, the shortest. Outside its calendar an objective says nothing.
STANDING = f"""
WITH newest AS (
    SELECT DISTINCT ON (o.id, f.id) f.id, o.data_class,
           COALESCE(o.max_age_seconds, f.objective_seconds) AS promised,
           s.name = '{EXCUSED}' AS excused, s.name = '{METRIC}' AND m.total > 0 AS late
    FROM observability_freshnessobjective o
    JOIN observability_series s
        ON s.name IN ('{METRIC}', '{EXCUSED}') AND s.labels ->> 'objective' = o.name
    JOIN observability_streamfreshness f
        ON f.system = s.labels ->> 'system' AND f.stream = s.labels ->> 'stream'
    CROSS JOIN LATERAL (
        SELECT m.at, m.total FROM observability_measurement m
        WHERE m.series_id = s.id AND m.step = 60 AND m.at > now() - interval '{LATELY}'
        ORDER BY m.at DESC LIMIT 1) m
    WHERE o.enabled ORDER BY o.id, f.id, m.at DESC
), last AS (
    SELECT id, data_class, bool_or(late) AS late, bool_and(excused) AS excused,
           min(promised) AS promised
    FROM newest GROUP BY 1, 2
)
SELECT f.system, f.stream, f.objective_seconds, f.watermark,
       EXTRACT(EPOCH FROM clock_timestamp() - f.watermark)::float8,
       COALESCE((SELECT jsonb_object_agg(l.data_class, jsonb_build_object(
                     'late', l.late, 'promised_seconds', l.promised, 'maintenance', l.excused))
                 FROM last l WHERE l.id = f.id), '{{}}')::text
FROM observability_streamfreshness f"""  # noqa: S608 (our own SQL)

DELAYS = """
SELECT w.system, w.stream, EXTRACT(EPOCH FROM GREATEST(
    interval '0', now() - w.waiting_since,
    CASE WHEN now() - f.watermark > 2 * w.interval_seconds * interval '1 second'
         THEN now() - f.watermark END))::float8
FROM unnest(%(systems)s::text[], %(streams)s::text[], %(intervals)s::int[],
            %(waiting)s::timestamptz[], %(classes)s::text[])
    AS w (system, stream, interval_seconds, waiting_since, classes)
JOIN observability_streamfreshness f ON f.system = w.system AND f.stream = w.stream
WHERE f.watermark IS NOT NULL"""


def judge(watched: Sequence[Watched]) -> int:
    """Judge the present minute, and those before it that nobody has; how many rows. Raises
    DatabaseError.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(JUDGE, _columns(watched))
        rows: list[tuple[store.Key, datetime, int]] = []
        for *place, at, is_late, some, every in cursor.fetchall():
            if not every:
                rows.append(((METRIC, *place), at, int(is_late)))
            if some:
                rows.append(((EXCUSED, *place), at, 1))
        series = store.identified(dict.fromkeys(key for key, _, _ in rows))
        cursor.execute(store.SEEN, [list(set(series.values()))])
        kept = [series[key] for key, _, _ in rows]
        cursor.execute(KEEP, [kept, [at for _, at, _ in rows], [value for *_, value in rows]])
    return len(rows)


def late(system: str, stream: str, changed: datetime) -> int:
    """What the upstream changed then is applied now: the minutes between in which it should have
    been are late. How many were taken for good.
    """
    with connection.cursor() as cursor:
        cursor.execute(LATE, {"system": system, "stream": stream, "changed": changed})
        return int(cursor.rowcount)


def standings() -> dict[tuple[str, str], Standing]:
    """By (system, stream): every one that was promised something. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(STANDING)
        rows = cursor.fetchall()
    return {
        (row[0], row[1]): Standing(
            Freshness(*row[:5]), {name: Verdict(**v) for name, v in json.loads(row[5]).items()}
        )
        for row in rows
    }


def note_delays(watched: Sequence[Watched]) -> None:
    """The gauge `stream_delay_seconds`: 0 where all that is known of is applied."""
    with connection.cursor() as cursor:
        cursor.execute(DELAYS, _columns(watched))
        for system, stream, seconds in cursor.fetchall():
            metrics.observe("stream_delay_seconds", seconds, system=system, stream=stream)


def _columns(watched: Sequence[Watched]) -> dict[str, list[object]]:
    return {
        "systems": [w.system for w in watched],
        "streams": [w.stream for w in watched],
        "intervals": [w.interval_seconds for w in watched],
        "waiting": [w.waiting_since for w in watched],
        "classes": [" ".join(w.classes) for w in watched],
    }
