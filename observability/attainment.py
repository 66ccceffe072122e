"""How well objectives were kept: sums of good and late minutes, by month, by day, over a window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import floor
from typing import Any

from django.db import connection

#: Of a window in which fewer minutes were judged than this share, the others count as good: one late
#: minute is no reason to be woken a minute after a start.
LEAST_JUDGED = 0.5


@dataclass(frozen=True, slots=True)
class Attained:
    """Minutes of an objective that were judged, and how many of them were late.

    `excused` counts those of planned maintenance: of a stream they are left out, of all streams
    together they were judged by the streams of other systems, if there are any.
    `system` and `stream` are empty where all streams of the objective are judged together. `since`
    is the first day (UTC) of what is summed up.
    """

    objective: str
    system: str
    stream: str
    since: date
    judged: int
    late: int
    target: float
    excused: int = 0

    @property
    def share(self) -> float:
        """Of the minutes that were good, 0 to 1."""
        return 1 - self.late / self.judged if self.judged else 1.0

    @property
    def percent(self) -> str:
        """`99.87 %`, rounded down: 100 % is every minute."""
        return f"{floor(10_000 * self.share + 1e-6) / 100:g} %"

    @property
    def kept(self) -> bool:
        """Whether that is what was promised."""
        return self.late <= self.budget

    @property
    def budget(self) -> float:
        """Minutes that may be late, of those judged so far."""
        # 1 - 0.99 is a little more than 0.01.
        return round((1 - self.target) * self.judged, 6)

    @property
    def left(self) -> float:
        """The share of the budget that is left; below 0: overdrawn."""
        return 1 - self.late / self.budget if self.budget else float(not self.late)


# Objectives are named by label: one that is gone keeps what was measured, but promises nothing.
_SUMS = """
SELECT s.labels ->> 'objective', s.labels ->> 'system', s.labels ->> 'stream',
       {since} AS since, COALESCE(sum(m.count) FILTER (WHERE s.name = 'freshness_late'), 0)::bigint,
       COALESCE(sum(m.total) FILTER (WHERE s.name = 'freshness_late'), 0)::bigint, o.target,
       COALESCE(sum(m.count) FILTER (WHERE s.name = 'freshness_excused'), 0)::bigint
FROM observability_series s
JOIN observability_measurement m ON m.series_id = s.id AND m.step = 86400
JOIN observability_freshnessobjective o ON o.name = s.labels ->> 'objective'
WHERE s.name IN ('freshness_late', 'freshness_excused') AND {where}
GROUP BY 1, 2, 3, 4, o.target
ORDER BY {order}"""

_PLACE = "s.labels ->> 'objective', s.labels ->> 'system', s.labels ->> 'stream'"
MONTHS = _SUMS.format(
    since="(date_trunc('month', m.at, 'UTC') AT TIME ZONE 'UTC')::date",
    where="m.at >= date_trunc('month', now(), 'UTC') - %(months)s * interval '1 month'",
    order=f"{_PLACE}, since DESC",
)
WINDOW = _SUMS.format(
    since="(date_trunc('day', now(), 'UTC') AT TIME ZONE 'UTC')::date - o.window_days + 1",
    where="m.at >= date_trunc('day', now(), 'UTC') - (o.window_days - 1) * interval '1 day'",
    order=_PLACE,
)
WORST = (
    _SUMS.format(
        since="(m.at AT TIME ZONE 'UTC')::date",
        where="s.name = 'freshness_late' AND m.total > 0 AND m.at >= now() - %(days)s * interval '1 day'",
        order="6 DESC, 5, 4 DESC",
    )
    + " LIMIT %(most)s"
)

# Late minutes of which an incident with a cause told while it was open, and for a while after it: the
# budget is spent, but nobody is to be told of it again. That something is old (`lag`) names no cause.
TOLD = """
told AS (
    SELECT i.system, i.stream, i.opened_at - interval '1 minute' AS since,
           i.resolved_at + interval '5 minutes' AS until
    FROM observability_incident i
    JOIN observability_alertrule r ON r.signal = 'freshness_burn' AND i.kind = ANY (r.explained_by)
    WHERE i.kind <> 'lag' AND i.resolved_at > now() - (%(minutes)s + 5) * interval '1 minute')"""
_LATE = """
COALESCE(sum(m.total) FILTER (WHERE m.total > 0 AND NOT EXISTS (
    SELECT FROM told t WHERE t.system IN ('', s.labels ->> 'system')
    AND t.stream IN ('', s.labels ->> 'stream') AND m.at >= t.since AND m.at < t.until)), 0)::bigint"""
BURN = f"""
WITH {TOLD}, spent AS (
    SELECT o.name, o.target, s.labels ->> 'system' AS system, s.labels ->> 'stream' AS stream,
           sum(m.count)::bigint AS judged, {_LATE} AS late
    FROM observability_series s
    JOIN observability_measurement m ON m.series_id = s.id AND m.step = 60
        AND m.at > now() - %(minutes)s * interval '1 minute'
    JOIN observability_freshnessobjective o ON o.name = s.labels ->> 'objective' AND o.enabled
    WHERE s.name = 'freshness_late' AND s.labels ->> 'system' <> ''
    GROUP BY s.id, s.labels, o.id
)
SELECT DISTINCT ON (system, stream) system, stream, '',
    ((late / GREATEST(judged, %(minutes)s * {LEAST_JUDGED})) / (1 - target))::float8 AS rate,
    'objective ' || name || ': late in ' || late || ' of the last ' || judged || ' minutes'
FROM spent ORDER BY system, stream, rate DESC"""  # noqa: S608 (our own constants)


def by_month(months: int) -> list[Attained]:
    """This month and the `months` before it, the latest first, for every objective and stream."""
    return _attained(MONTHS, {"months": months})


def over_window() -> list[Attained]:
    """Every objective and stream over the objective's own window."""
    return _attained(WINDOW, {})


def worst_days(days: int, most: int) -> list[Attained]:
    """The days (UTC) with the most late minutes, of each objective and stream."""
    return _attained(WORST, {"days": days, "most": most})


def burn(minutes: int) -> list[tuple[str, str, str, float, str]]:
    """How fast each stream spends its budget: (system, stream, subject, rate, cause).

    At 1 the budget lasts exactly as long as the objective's window; at 14.4 an hour spends two per
    cent of thirty days' (Google, "The Site Reliability Workbook", chapter 5). Of several objectives
    of a stream the one that burns fastest. For windows of two days at most: minutes are kept so long.
    Minutes that an incident has accounted for, which is over, are left out.
    """
    with connection.cursor() as cursor:
        cursor.execute(BURN, {"minutes": minutes})
        found: list[tuple[str, str, str, float, str]] = cursor.fetchall()
    return found


def _attained(statement: str, asked: dict[str, Any]) -> list[Attained]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return [Attained(*row) for row in cursor.fetchall()]
