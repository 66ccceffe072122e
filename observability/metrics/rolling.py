"""Minutes become tens, these hours, and hours days; what is old is deleted."""

from __future__ import annotations

from django.db import connection, transaction

from observability.metrics.store import DAY, HOUR, MINUTE, TEN

#: How long measurements of a step are kept, in days.
KEPT_DAYS = {MINUTE: 2, TEN: 8, HOUR: 60, DAY: 800}
#: (into, of, what is rolled up again): what is still being counted, or came late.
STEPS = ((TEN, MINUTE, "3 hours"), (HOUR, TEN, "3 hours"), (DAY, HOUR, "2 days"))


# The same again comes to the same.
ROLL_UP = """
INSERT INTO observability_measurement AS m
    (series_id, step, at, count, total, low, high, counts)
SELECT series_id, %(into)s, date_bin(%(into)s * interval '1 second', at, 'epoch'), sum(count),
       sum(total), min(low), max(high), metric_merged(counts)
FROM observability_measurement
WHERE step = %(of)s AND at >= date_bin(
    %(into)s * interval '1 second', now() - %(again)s::interval, 'epoch')
GROUP BY 1, 3 ORDER BY 1, 3
ON CONFLICT (series_id, step, at) DO UPDATE SET count = excluded.count, total = excluded.total,
    low = excluded.low, high = excluded.high, counts = excluded.counts"""

# What was ever counted goes with the last of its days.
PRUNE_SERIES = """
WITH gone AS (
    DELETE FROM observability_series WHERE seen_at < now() - %s * interval '1 day' RETURNING id)
DELETE FROM observability_measurement WHERE series_id IN (SELECT id FROM gone)"""


def roll_up() -> None:
    """Derive each step from the one below it, as far as it may have changed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO off")
        for into, of, again in STEPS:
            cursor.execute(ROLL_UP, {"into": into, "of": of, "again": again})


def prune_series(days: int) -> int:
    """Delete the series that were last counted so many days ago, and their sums; how many rows."""
    with connection.cursor() as cursor:
        cursor.execute(PRUNE_SERIES, [days])
        return int(cursor.rowcount)
