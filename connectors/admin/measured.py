"""What was measured of a connection and of a stream, as charts and tables for their pages."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.safestring import SafeString

from observability import metrics
from observability.charts import busiest, line_chart
from observability.metrics import Point

#: The last day in steps of so many minutes.
MINUTES, STEP = 24 * 60, 20
MOST_OPERATIONS = 20
#: Outcome of a call that went well.
OK = "ok"


@dataclass(slots=True)
class Operation:
    """One operation of a connection over the last day. Times in milliseconds."""

    name: str
    calls: int
    p50: float | None
    p95: float | None
    p99: float | None
    #: {code of the error: calls}
    errors: dict[str, int] = field(default_factory=dict)
    received: float | None = None


def connection_charts(system: str) -> list[SafeString]:
    """Calls by outcome, p95 by operation, and what is left of the rate limit, where it is told."""
    where = {"system": system}
    outcomes = metrics.series_by(
        "call_milliseconds", "outcome", labels=where, minutes=MINUTES, step=STEP, quantiles=False
    )
    operations = metrics.series_by(
        "call_milliseconds", "operation", labels=where, minutes=MINUTES, step=STEP
    )
    headroom = metrics.series("call_headroom", labels=where, minutes=MINUTES, step=STEP)
    times = [point.at for point in headroom]
    charts = [
        line_chart(
            {name: [p.count for p in points] for name, points in busiest(outcomes).items()},
            title="Calls by outcome", unit=f"in {STEP} min", times=times,
        ),
        line_chart(
            {name: [p.p95 for p in points] for name, points in busiest(operations).items()},
            title="Slowest twentieth (p95) by operation", unit="ms", times=times,
        ),
    ]  # fmt: skip
    if any(point.count for point in headroom):
        left = [None if p.low is None else 100 * p.low for p in headroom]
        charts.append(
            line_chart({"least left": left}, title="Rate limit left", unit="%", times=times)
        )
    return charts


def operations(system: str) -> list[Operation]:
    """The busiest operations of the last day; three statements."""
    found = {
        name: Operation(name, point.count, point.p50, point.p95, point.p99)
        for (name,), point in metrics.total_by(
            "call_milliseconds", "operation", labels={"system": system}, minutes=MINUTES,
            most=MOST_OPERATIONS,
        ).items()
    }  # fmt: skip
    by_outcome = metrics.total_by(
        "call_milliseconds", "operation", "outcome", labels={"system": system}, minutes=MINUTES,
        most=10 * MOST_OPERATIONS,
    )  # fmt: skip
    for (name, outcome), point in by_outcome.items():
        if outcome != OK and name in found:
            found[name].errors[outcome] = point.count
    sizes = metrics.total_by(
        "call_received_bytes", "operation", labels={"system": system}, minutes=MINUTES,
        most=10 * MOST_OPERATIONS,
    )  # fmt: skip
    for (name,), point in sizes.items():
        if name in found:
            found[name].received = point.p95
    return list(found.values())


def stream_charts(system: str, stream: str) -> list[SafeString]:
    """Lag and delay, throughput, and how long changes take; four statements."""
    where = {"system": system, "stream": stream}

    def points(name: str) -> list[Point]:
        return metrics.series(name, labels=where, minutes=MINUTES, step=STEP)

    lag = points("stream_lag_seconds")
    times = [point.at for point in lag]
    records = metrics.series_by(
        "stream_records", "outcome", labels=where, minutes=MINUTES, step=STEP
    )
    took = points("propagation_seconds")
    return [
        line_chart(
            {
                "lag": [p.high for p in lag],
                "known or possible change not applied": [
                    p.high for p in points("stream_delay_seconds")
                ],
            },
            title="Lag", unit="s", times=times,
        ),
        line_chart(
            {name: [p.total for p in found] for name, found in sorted(records.items())},
            title="Records", unit=f"in {STEP} min", times=times,
        ),
        line_chart(
            {"p50": [p.p50 for p in took], "p95": [p.p95 for p in took]},
            title="From a change upstream to its commit here", unit="s", times=times,
        ),
    ]  # fmt: skip
