"""Signals: what can be watched. Each yields one row for each place that it has something to say of.

A floor adds its own in `AppConfig.ready`; rules (`observability.alerts`) say from which value on, and
for how long, a signal is an incident. A signal is either a *value* or a *ratio*:

    value   SQL, or a function, that yields (system, stream, subject, value, cause, hop)
    ratio   SQL with `%(minutes)s`, an array of windows, that yields
            (system, stream, subject, minutes, good, bad, cause, hop) for each window;
            or, where what is promised stands elsewhere than in the rule, a function of a window that
            yields (system, stream, subject, rate, cause): how many times faster than allowed

`system` and `stream` are slugs, empty where it is about the hub itself. `subject` tells apart what they
do not. `cause` is a few words that may be shown to anybody who is alerted: no payload, no person's
data. `hop` is where on its way a change is stuck, of `observability.pack.HOPS`, or empty where nobody knows.

A place that a signal no longer names counts as 0: it is well again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection

Row = tuple[str, str, str, float, str, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a signal says of one place."""

    system: str
    stream: str
    subject: str
    value: float
    cause: str
    hop: str

    @property
    def place(self) -> tuple[str, str, str]:
        """What an incident is told apart by, beside its kind."""
        return self.system, self.stream, self.subject


@dataclass(frozen=True, slots=True)
class Counts:
    """The good and the bad of one place in the last so many minutes."""

    system: str
    stream: str
    subject: str
    minutes: int
    good: int
    bad: int
    cause: str
    hop: str

    def rate(self, objective: float) -> Rate:
        """How fast the bad ones come, if this share of them all shall be good (0 to 1)."""
        all_of_them = self.good + self.bad
        cause = f"{self.bad:,} of {all_of_them:,} went wrong in {self.minutes} minutes"
        return Rate(
            self.system, self.stream, self.subject, self.minutes,
            self.bad / all_of_them / (1 - objective) if all_of_them else 0.0,
            f"{cause}: {self.cause}" if self.cause else cause, self.hop, all_of_them,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rate:
    """How many times faster than allowed one place goes wrong, over so many minutes. `count`: of how
    many that is said; None: that is not the question.
    """

    system: str
    stream: str
    subject: str
    minutes: int
    rate: float
    cause: str
    hop: str = ""
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing to watch. `title` says what is wrong, behind the name of a place: `is older than
    promised`. `unit` is that of the value. `every_seconds`: it need be read no more often.
    """

    slug: str
    title: str
    unit: str
    rows: str | Callable[..., Iterable[tuple[Any, ...]]]
    every_seconds: float = 0.0
    ratio: bool = False
    help: str = ""

    def read(self) -> list[Reading]:
        """All places now. Raises django.db.DatabaseError."""
        if callable(self.rows):
            return [Reading(*row) for row in self.rows()]
        return [Reading(*row) for row in _run(self.rows, {})]

    def rates(self, minutes: Iterable[int], objective: float) -> list[Rate]:
        """Of a ratio: all places, by window. Raises django.db.DatabaseError."""
        windows = sorted(set(minutes))
        if callable(self.rows):
            return [
                Rate(system, stream, subject, window, rate, cause)
                for window in windows
                for system, stream, subject, rate, cause in self.rows(window)
            ]
        return [Counts(*row).rate(objective) for row in _run(self.rows, {"minutes": windows})]


_signals: dict[str, Signal] = {}


def add(*signals: Signal) -> None:
    """Make signals known, once in a process. Raises ValueError for a slug that is taken."""
    for signal in signals:
        if _signals.get(signal.slug, signal) != signal:
            raise ValueError(f"two signals are called {signal.slug}")
        _signals[signal.slug] = signal


def known() -> dict[str, Signal]:
    """All signals by slug, in order."""
    return dict(sorted(_signals.items()))


def _run(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
