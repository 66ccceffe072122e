"""Counts, sums and quantiles over any span, from the longest steps that tell enough of it.

Adding up histograms costs some ten microseconds each, so a day is not read by minutes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from observability.metrics.names import NAMES
from observability.metrics.rolling import KEPT_DAYS
from observability.metrics.store import DAY, MINUTE

#: Where a minute's gauge is older than this, nobody looks at it any more.
FRESH = "5 minutes"
#: A sum over a span is that of so many steps at least: its beginning is as exact as that.
LEAST_STEPS = 24


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured from `at` on, for one step. Without observations only `at` says something.

    `count` observations came to `total`: of a counter `total` is what it rose by, of a gauge the
    mean is `mean`. Quantiles are exact to nine per cent, and None for counters.
    """

    at: datetime
    count: int = 0
    total: float = 0.0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def mean(self) -> float | None:
        """Of the observations; None where there were none."""
        return self.total / self.count if self.count else None


# Every slot of every group, those without observations too: a gap in a chart says something.
POINTS = """
WITH found AS (
    SELECT COALESCE(s.labels ->> %(by)s, '') AS label,
           date_bin(%(width)s * interval '1 second', m.at, 'epoch') AS slot, sum(m.count) AS count,
           sum(m.total) AS total, min(m.low) AS low, max(m.high) AS high,
           metric_merged(m.counts) FILTER (WHERE %(quantiles)s) AS counts
    FROM observability_series s JOIN observability_measurement m ON m.series_id = s.id
    WHERE s.name = %(name)s AND s.labels @> %(labels)s::jsonb AND m.step = %(step)s
      AND m.at >= date_bin(%(width)s * interval '1 second',
                           now() - %(minutes)s * interval '1 minute', 'epoch')
    GROUP BY 1, 2
), slots AS (
    SELECT generate_series(
        date_bin(%(width)s * interval '1 second', now() - %(minutes)s * interval '1 minute', 'epoch'),
        now(), %(width)s * interval '1 second') AS slot
), groups AS (SELECT label FROM found UNION SELECT '' WHERE %(by)s = '')
SELECT g.label, slots.slot, COALESCE(f.count, 0)::bigint, COALESCE(f.total, 0)::float8,
       metric_quantile(f.counts, 0.5, %(floor)s, f.low, f.high),
       metric_quantile(f.counts, 0.95, %(floor)s, f.low, f.high),
       metric_quantile(f.counts, 0.99, %(floor)s, f.low, f.high), f.low, f.high
FROM groups g CROSS JOIN slots LEFT JOIN found f ON f.label = g.label AND f.slot = slots.slot
ORDER BY 1, 2"""

TOTALS = """
WITH found AS (
    SELECT ARRAY(SELECT COALESCE(s.labels ->> name, '') FROM unnest(%(by)s::text[])
                 WITH ORDINALITY AS l (name, place) ORDER BY place) AS label,
           min(m.at) AS at, sum(m.count) AS count, sum(m.total) AS total, min(m.low) AS low,
           max(m.high) AS high, metric_merged(m.counts) AS counts
    FROM observability_series s JOIN observability_measurement m ON m.series_id = s.id
    WHERE s.name = %(name)s AND s.labels @> %(labels)s::jsonb AND m.step = %(step)s
      AND m.at >= now() - %(minutes)s * interval '1 minute'
    GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT %(most)s)
SELECT label, at, count::bigint, total::float8,
       metric_quantile(f.counts, 0.5, %(floor)s, f.low, f.high),
       metric_quantile(f.counts, 0.95, %(floor)s, f.low, f.high),
       metric_quantile(f.counts, 0.99, %(floor)s, f.low, f.high), low, high
FROM found f ORDER BY count DESC, label"""

LATEST = f"""
SELECT DISTINCT ON (s.id) s.labels, m.at, m.count, m.total
FROM observability_series s JOIN observability_measurement m ON m.series_id = s.id
WHERE s.name = %s AND s.labels @> %s::jsonb AND m.step = 60 AND m.at > now() - interval '{FRESH}'
ORDER BY s.id, m.at DESC"""  # noqa: S608 (our own constants)


def series(
    name: str, *, labels: Mapping[str, str] | None = None, minutes: int, step: int
) -> list[Point]:
    """The last `minutes` in steps of so many minutes, oldest first; every step is there.

    `labels` narrow; what they do not name adds up. Quantiles are of everything that was observed,
    never means of quantiles. Steps are no shorter than what is kept so far back: minutes for two
    days, ten of them for eight, hours for sixty, days (UTC) for eight hundred; all but minutes are
    up to five minutes old. Raises KeyError for a metric that is not declared.
    """
    return series_by(name, "", labels=labels, minutes=minutes, step=step)[""]


def series_by(
    name: str,
    by: str,
    *,
    labels: Mapping[str, str] | None = None,
    minutes: int,
    step: int,
    quantiles: bool = True,
) -> dict[str, list[Point]]:
    """The same, one for each value of the label `by`; counts and sums alone are had for less."""
    kept = _step(minutes, step * 60)
    asked = {
        **_asked(name, labels, minutes),
        "by": by,
        "quantiles": quantiles,
        "step": kept,
        # Steps that are no multiple of what is kept would be uneven.
        "width": kept * max(1, round(step * 60 / kept)),
    }
    found: dict[str, list[Point]] = {}
    for label, *rest in _rows(POINTS, asked):
        found.setdefault(label, []).append(Point(*rest))
    return found


def total_by(
    name: str,
    *by: str,
    labels: Mapping[str, str] | None = None,
    minutes: int,
    most: int = 100,
) -> dict[tuple[str, ...], Point]:
    """One point for each combination of the labels `by` over the last `minutes`, busiest first."""
    step = _step(minutes, minutes * 60 // LEAST_STEPS)
    asked = {**_asked(name, labels, minutes), "by": list(by), "step": step, "most": most}
    return {tuple(label): Point(*rest) for label, *rest in _rows(TOTALS, asked)}


def latest(
    name: str, labels: Mapping[str, str] | None = None
) -> list[tuple[dict[str, str], float]]:
    """(labels, mean of the latest minute) of each series of a gauge that somebody looked at lately."""
    NAMES[name]
    with connection.cursor() as cursor:
        cursor.execute(LATEST, [name, json.dumps(dict(labels or {}))])
        rows = cursor.fetchall()
    return [(_labels(told), total / count) for told, _, count, total in rows]


def _step(minutes: int, wanted: int) -> int:
    """The longest step up to `wanted` seconds, or the shortest that is kept for so long."""
    kept = [step for step, days in KEPT_DAYS.items() if minutes <= days * 1440] or [DAY]
    return max((step for step in kept if step <= max(wanted, MINUTE)), default=min(kept))


def _asked(name: str, labels: Mapping[str, str] | None, minutes: int) -> dict[str, Any]:
    metric = NAMES[name]
    return {
        "name": name,
        "labels": json.dumps(dict(labels or {})),
        "minutes": minutes,
        "floor": metric.floor,
    }


def _labels(told: Any) -> dict[str, str]:
    """PostgreSQL's jsonb as psycopg gives it in raw SQL: text (Django leaves it unparsed)."""
    found: dict[str, str] = json.loads(told) if isinstance(told, str) else told
    return found


def _rows(statement: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
