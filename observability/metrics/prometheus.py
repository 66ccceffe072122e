"""What was measured, as text that Prometheus reads.

Prometheus, "Exposition formats", text format 0.0.4. Counters and histograms are what all processes
have counted since a series began; gauges are those of the last minutes. Buckets are told for each
doubling: a quarter of what is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import inf

from django.db import connection

from observability.metrics.names import NAMES, Kind, Metric
from observability.metrics.reading import latest
from observability.metrics.store import EVER
from observability.metrics.tally import A_DOUBLING, upper_bound

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "headwater_"
#: Series of one metric that are told, those with the most observations.
MOST = 3000

SUMS = """
SELECT s.name, s.labels::text, m.count, m.total, m.counts
FROM observability_series s JOIN observability_measurement m ON m.series_id = s.id AND m.step = %s
WHERE s.name = ANY (%s) ORDER BY s.name, m.count DESC"""

_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def text() -> Iterator[str]:
    """The lines, each with its end. One statement, and one for each gauge."""
    sums = _sums()
    for name, metric in NAMES.items():
        known = f"{PREFIX}{name}" + ("_total" if metric.kind is Kind.COUNTER else "")
        help_text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
        yield f"# HELP {known} {help_text} In {metric.unit}.\n# TYPE {known} {metric.kind}\n"
        if metric.kind is Kind.GAUGE:
            for labels, value in latest(name):
                yield f"{known}{_labels(metric, labels)} {_number(value)}\n"
            continue
        shown = sums.get(name, [])[:MOST]
        # Series are only added up by whoever finds the same bounds in all of them.
        longest = max((len(counts) for *_, counts in shown), default=0)
        for told, count, total, counts in shown:
            labels = json.loads(told)
            if metric.kind is Kind.COUNTER:
                yield f"{known}{_labels(metric, labels)} {_number(total)}\n"
            else:
                padded = [*counts, *[0] * (longest + A_DOUBLING - 1 - len(counts))]
                yield from _histogram(known, metric, labels, (count, total, padded))


def _histogram(
    known: str, metric: Metric, labels: Mapping[str, str], sums: tuple[int, float, list[int]]
) -> Iterator[str]:
    (count, total, counts), reached = sums, 0
    for bucket, times in enumerate(counts):
        reached += times
        if bucket % A_DOUBLING == 0:
            bound = {"le": _number(upper_bound(bucket, metric.floor))}
            yield f"{known}_bucket{_labels(metric, labels, bound)} {reached}\n"
    yield f"{known}_bucket{_labels(metric, labels, {'le': '+Inf'})} {count}\n"
    yield f"{known}_sum{_labels(metric, labels)} {_number(total)}\n"
    yield f"{known}_count{_labels(metric, labels)} {count}\n"


def _sums() -> dict[str, list[tuple[str, int, float, list[int]]]]:
    found: dict[str, list[tuple[str, int, float, list[int]]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(SUMS, [EVER, [n for n, m in NAMES.items() if m.kind is not Kind.GAUGE]])
        for name, *rest in cursor.fetchall():
            found.setdefault(name, []).append(tuple(rest))
    return found


def _labels(
    metric: Metric, labels: Mapping[str, str], more: Mapping[str, str] | None = None
) -> str:
    told = {name: labels.get(name, "") for name in metric.labels} | dict(more or {})
    return "{" + ",".join(f'{n}="{v.translate(_ESCAPED)}"' for n, v in told.items()) + "}"


def _number(value: float) -> str:
    if value in (inf, -inf):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
