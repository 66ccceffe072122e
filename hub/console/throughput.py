"""What goes through the hub a minute, as it was in the last hour: figures with a small line each."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.safestring import SafeString

from observability.charts import sparkline, spoken
from observability.metrics import Point, series

MINUTES = 60
#: So many whole minutes make the figure; one alone jumps.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the last minutes, its unit, what else is to say, and the hour as a line."""

    name: str
    value: str
    unit: str
    detail: str
    line: SafeString


def throughput() -> list[Figure]:
    """Events that were worked off, and requests that were answered. A statement each."""
    events = _minutes("box_seconds", box="inbox")
    reads = _minutes("api_milliseconds")
    return [
        Figure(
            "events", _rate(events, 1), "a minute", _slow(events, 1000),
            sparkline([point.count for point in events], title="events a minute, the last hour"),
        ),
        Figure(
            "reads and writes", _rate(reads, 60), "a second", _slow(reads, 1),
            sparkline(
                [point.count / 60 for point in reads],
                title="requests of the API a second, the last hour",
            ),
        ),
    ]  # fmt: skip


def _minutes(name: str, **labels: str) -> list[Point]:
    """Whole minutes: the one that runs would look like a fall."""
    return series(name, labels=labels, minutes=MINUTES, step=1)[:-1]


def _rate(points: list[Point], seconds: int) -> str:
    last = points[-SHOWN:]
    return spoken(sum(point.count for point in last) / max(1, len(last)) / seconds)


def _slow(points: list[Point], factor: float) -> str:
    """The worst p95 of the last minutes, in milliseconds."""
    worst = [point.p95 for point in points[-SHOWN:] if point.p95 is not None]
    return f"p95 {spoken(max(worst) * factor)} ms" if worst else ""
