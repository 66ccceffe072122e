"""What a house has measured: some series of every metric, for as long as each step of them is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice, product

from django.db import connection

from hub.auth.models import ApiKey
from observability.metrics.names import NAMES, Kind
from observability.metrics.rolling import KEPT_DAYS
from tests.console_rows import VOCABULARY

#: Of each metric, all of them of the system that the demo's pages are about.
SERIES = 24
#: Values of a label.
VALUES = 6

NAMED = """
INSERT INTO observability_series (name, labels) VALUES (%s, %s::jsonb) ON CONFLICT DO NOTHING"""

MEASURED = """
INSERT INTO observability_measurement (series_id, step, at, count, total, low, high, counts)
SELECT s.id, %(step)s,
       date_bin(%(step)s * interval '1 second', now(), 'epoch') - n * %(step)s * interval '1 second',
       20, 100, c.low, c.high, c.counts
FROM observability_series s
CROSS JOIN generate_series(1, %(steps)s) n
CROSS JOIN LATERAL (SELECT CASE WHEN s.name <> ALL (%(counters)s) THEN 1 END,
                           CASE WHEN s.name <> ALL (%(counters)s) THEN 9 END,
                           CASE WHEN s.name <> ALL (%(counters)s)
                                THEN array_fill(1::bigint, ARRAY[20]) ELSE '{}' END) c (low, high, counts)
ON CONFLICT DO NOTHING"""


def fill() -> None:
    """Beside `data.fill`."""
    counters = [name for name, metric in NAMES.items() if metric.kind is Kind.COUNTER]
    with connection.cursor() as cursor:
        cursor.executemany(NAMED, list(_series()))
        for step, days in KEPT_DAYS.items():
            steps = days * 86_400 // step
            cursor.execute(MEASURED, {"step": step, "steps": steps, "counters": counters})
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE observability_measurement")


def _series() -> Iterator[tuple[str, str]]:
    """(name, labels) of each."""
    keys = list(ApiKey.objects.values_list("prefix", flat=True)[:VALUES])
    known = {
        "system": [VOCABULARY["system"]],
        "stream": [VOCABULARY["stream"]],
        "key": keys,
        "box": ["inbox", "outbox"],
    }
    for name, metric in NAMES.items():
        values = [
            known.get(label, [f"{label}-{n}" for n in range(VALUES)]) for label in metric.labels
        ]
        for said in islice(product(*values), SERIES):
            yield name, json.dumps(dict(zip(metric.labels, said, strict=True)))
