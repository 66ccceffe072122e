"""Open connectors, kept for the next step: a call in a request's cycle opens no connection anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from connectors.models import Connection
from connectors.runtime.choice import able_to, who_answers
from connectors.runtime.connector import Connector
from observability.errors import ConfigurationError

#: How long a process goes by what it saw of connections and their settings.
SEEN_SECONDS = 1.0
#: Longer than most servers keep an idle connection is no use.
IDLE_SECONDS = 30.0
#: Of one connection in one process.
MOST_IDLE = 8

_lock = threading.Lock()
_seen: dict[tuple[Any, ...], tuple[float, Connection]] = {}
_idle: dict[int, list[_Kept]] = {}


@dataclass(frozen=True, slots=True)
class _Kept:
    connector: Connector
    settings: tuple[Any, ...]
    since: float


def for_capability(slug: str) -> Connection:
    """The connection that writes go to which need it. Raises ConfigurationError."""
    return _look(("capability", slug), lambda: able_to(slug))


def for_question(question: str) -> Connection:
    """The connection that is asked it. Raises ConfigurationError."""
    return _look(("question", question), lambda: who_answers(question))


def of(connection_id: int | None) -> Connection:
    """The row, as it was a moment ago. Raises ConfigurationError where it is gone, or switched off."""
    known = connection_id or 0
    try:
        row = _look(("row", known), lambda: Connection.objects.get(pk=known))
    except Connection.DoesNotExist:
        raise ConfigurationError("the connection that it was written to is there no more") from None
    if not row.enabled:
        raise ConfigurationError(f"{row.slug} is switched off", connection=row.slug)
    return row


@contextmanager
def opened(row: Connection, until: float | None) -> Iterator[Connector]:
    """A connector for this thread alone, whose calls end by `until` (time.monotonic seconds).

    Raises ConfigurationError.
    """
    settings = _settings(row)
    connector = _taken(row.pk, settings) or row.open()
    connector.session.hurry(until)
    try:
        yield connector
    finally:
        with _lock:
            kept = _idle.setdefault(row.pk, [])
            keep = len(kept) < MOST_IDLE
            if keep:
                kept.append(_Kept(connector, settings, monotonic()))
        if not keep:
            connector.session.close()


def forget() -> None:
    """Close what is idle, and look at everything anew."""
    with _lock:
        gone = [kept for found in _idle.values() for kept in found]
        _idle.clear()
        _seen.clear()
    for kept in gone:
        kept.connector.session.close()


def _taken(pk: int, settings: tuple[Any, ...]) -> Connector | None:
    while True:
        with _lock:
            kept = _idle[pk].pop() if _idle.get(pk) else None
        if kept is None:
            return None
        if kept.settings == settings and monotonic() - kept.since < IDLE_SECONDS:
            return kept.connector
        kept.connector.session.close()


def _settings(row: Connection) -> tuple[Any, ...]:
    """What an open connector was made of."""
    return (
        row.connector, row.base_url, str(row.settings), row.secrets, row.requests_per_second,
        row.timeout_seconds, row.max_body_bytes, row.breaker_enabled,
    )  # fmt: skip


def _look(what: tuple[Any, ...], find: Callable[[], Connection]) -> Connection:
    known = _seen.get(what)
    if known is None or monotonic() - known[0] > SEEN_SECONDS:
        known = _seen[what] = monotonic(), find()
    return known[1]
