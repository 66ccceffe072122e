"""A tally for each series; every ten seconds all of them to PostgreSQL, in sets."""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

import structlog
from django.db import DataError
from django.db import Error as DatabaseError

from observability.flushing import Flusher
from observability.metrics import store
from observability.metrics.names import NAMES, Metric
from observability.metrics.tally import Tally

if TYPE_CHECKING:
    from observability.calls import Call

log = structlog.get_logger(__name__)

SECONDS = 10.0
#: Series that a process tells apart until it writes them.
MOST = 5000
#: Sets that wait while PostgreSQL is away: an hour of them.
MOST_SETS = 360

#: The tallies since the last flush.
_tallies: store.Tallies = {}
#: What is still to be written: when it was counted up (time.monotonic seconds), and what.
_waiting: deque[tuple[float, store.Tallies]] = deque(maxlen=MOST_SETS)
_lock, _writing = threading.Lock(), threading.Lock()


def count(name: str, value: float = 1, **labels: str) -> None:
    """So many more. Raises KeyError for a metric that is not declared, ValueError for its labels."""
    key = _key(name, NAMES[name], labels)
    with _lock:
        (_tallies.get(key) or _begun(key)).increase(value)


def observe(name: str, value: float, **labels: str) -> None:
    """One value, in the metric's unit. Raises what `count` raises."""
    metric = NAMES[name]
    key = _key(name, metric, labels)
    with _lock:
        (_tallies.get(key) or _begun(key)).observe(value, metric.floor)


def fold(name: str, tally: Tally, **labels: str) -> None:
    """What somebody has tallied up himself, by the metric's floor. Raises what `count` raises."""
    key = _key(name, NAMES[name], labels)
    with _lock:
        (_tallies.get(key) or _begun(key)).fold(tally)


def call(made: Call) -> None:
    """One attempt of a call to another system."""
    where = {"system": made.system, "operation": made.operation}
    observe("call_milliseconds", made.milliseconds, **where, outcome=made.error or "ok")
    observe("call_sent_bytes", made.sent_bytes, **where)
    if made.status is not None:
        observe("call_received_bytes", made.received_bytes, **where)
    if made.headroom is not None:
        observe("call_headroom", made.headroom, system=made.system)


def flush() -> None:
    """Write what was counted; what PostgreSQL does not take waits here. Raises nothing."""
    global _tallies
    with _lock:
        tallies, _tallies = _tallies, {}
    with _writing:
        if tallies:
            if len(_waiting) == MOST_SETS:
                log.warning("metrics are lost: PostgreSQL has been away for too long")
            _waiting.append((monotonic(), tallies))
        while _waiting:
            counted, tallies = _waiting[0]
            try:
                store.write(tallies, age=monotonic() - counted)
            except DatabaseError as error:
                said = str(error).strip()
                if not isinstance(error, DataError):
                    log.warning("the metrics wait for PostgreSQL", error=said)
                    return
                log.warning("metrics that cannot be stored are left out", error=said)
            _waiting.popleft()


def forget() -> None:
    """Drop what was counted and not written."""
    global _tallies, _lock, _writing  # noqa: PLW0603 (see Flusher)
    _tallies = {}
    _waiting.clear()
    _lock, _writing = threading.Lock(), threading.Lock()


def _key(name: str, metric: Metric, labels: dict[str, str]) -> store.Key:
    if len(labels) != len(metric.labels):
        raise ValueError(f"{name} has the labels {metric.labels}, not {tuple(labels)}")
    try:
        return (name, *[labels[label] for label in metric.labels])
    except KeyError as error:
        raise ValueError(f"{name} has the labels {metric.labels}, not {tuple(labels)}") from error


def _begun(key: store.Key) -> Tally:
    """The tally of a series that is new here, or of the others where there are too many."""
    if len(_tallies) >= MOST:
        key = (key[0], *NAMES[key[0]].other(key[1:]))
    return _tallies.setdefault(key, Tally())


#: Has them written from now on.
start = Flusher("metrics", SECONDS, flush, dropped=forget).start
