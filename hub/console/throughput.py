"""Figures of the front page: what goes through the hub, with the last hour as a line, and what lies in
the boxes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.safestring import SafeString

from hub.console.boxes import Box
from observability.charts import sparkline, spoken
from observability.metrics import Point, series

MINUTES = 60
#: So many whole minutes make the figure; one alone jumps.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, its unit, what else is to say, where more is told, and the hour as a line."""

    name: str
    value: str
    unit: str = ""
    detail: str = ""
    address: str = ""
    line: SafeString | str = ""


def throughput() -> list[Figure]:
    """Events that were worked off, and requests that were answered. A statement each."""
    events = _minutes("box_seconds", box="inbox")
    asked = _minutes("api_milliseconds")
    return [
        Figure(
            "events worked off", _rate(events, 1), "a minute", _slow(events, 1000),
            line=sparkline([point.count for point in events], title="events a minute, last hour"),
        ),
        Figure(
            "API requests", *_pace(asked), _slow(asked, 1),
            line=sparkline(
                [point.count / 60 for point in asked], title="API requests a second, last hour"
            ),
        ),
    ]  # fmt: skip


def lying(boxes: Iterable[Box]) -> list[Figure]:
    """What waits, and what was given up, in all boxes together."""
    found = list(boxes)
    waiting = [box for box in found if not box.dead]
    dead = [box for box in found if box.dead]
    return [
        Figure("messages wait", _count(waiting), address=_fullest(waiting, "?view=waiting")),
        Figure("dead letters", _count(dead), address=_fullest(dead, "")),
    ]


def _count(boxes: Iterable[Box]) -> str:
    return f"{sum(box.count for box in boxes):,}"


def _fullest(boxes: list[Box], view: str) -> str:
    """The list of the box that has most of them: they come in that order."""
    return f"{boxes[0].address}{view}" if boxes else ""


def _minutes(name: str, **labels: str) -> list[Point]:
    """Whole minutes: the one that runs would look like a fall."""
    return series(name, labels=labels, minutes=MINUTES, step=1)[:-1]


def _rate(points: list[Point], seconds: int) -> str:
    last = points[-SHOWN:]
    return spoken(sum(point.count for point in last) / max(1, len(last)) / seconds)


def _pace(points: list[Point]) -> tuple[str, str]:
    """Requests a second; of fewer than one in ten seconds, a minute."""
    rare = sum(point.count for point in points[-SHOWN:]) < 6 * SHOWN
    return (_rate(points, 1), "a minute") if rare else (_rate(points, 60), "a second")


def _slow(points: list[Point], factor: float) -> str:
    """The worst p95 of the last minutes, in milliseconds."""
    worst = [point.p95 for point in points[-SHOWN:] if point.p95 is not None]
    return f"p95 {spoken(max(worst) * factor)} ms" if worst else "nothing in five minutes"
