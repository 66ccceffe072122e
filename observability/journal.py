"""Rows about what happens many times a second, on their way to PostgreSQL in sets.

Whoever puts a row waits for nothing: rows gather in the process and are written about once a second,
and at the process's end. A process that is killed loses its last second. While PostgreSQL is away
they wait, as many as are allowed; beyond that they are dropped, and the log says how many.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

import structlog
from django.db import Error as DatabaseError
from django.db import connection

from observability.flushing import Flusher

log = structlog.get_logger(__name__)

SECONDS = 1.0
#: Rows of one statement.
AT_ONCE = 2000


class Journal:
    """The rows of one table. `insert` takes a list for each column: first the rows' ages in seconds,
    from which the database tells the time by its own clock, and then what `put` is given.

    `most` rows wait; as the writer comes once a second, a process writes no more a second.
    """

    def __init__(self, name: str, insert: str, *, most: int = 2000) -> None:
        self._name, self._insert, self._most = name, insert, most
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._dropped = 0
        _journals.append(self)

    def put(self, happened: float, row: tuple[Any, ...]) -> None:
        """Write a row soon. `happened`: when, in seconds of time.monotonic."""
        if len(self._waiting) >= self._most:
            self._dropped += 1
            return
        self._waiting.append((happened, *row))

    def write(self) -> bool:
        """Write what waits, now; whether there was something. Raises nothing."""
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            log.warning("the journal left rows out", journal=self._name, rows=dropped)
        wrote = False
        while rows := [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]:
            wrote = True
            try:
                self._store(rows)
            except DatabaseError as error:
                log.warning("the journal waits", journal=self._name, error=str(error).strip())
                self._keep(rows, error)
                break
        return wrote

    def forget(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        self._dropped = 0

    def _store(self, rows: Sequence[tuple[Any, ...]]) -> None:
        now = monotonic()
        columns = [list(column) for column in zip(*rows, strict=True)]
        columns[0] = [max(0.0, now - at) for at in columns[0]]
        with connection.cursor() as cursor:
            cursor.execute(self._insert, columns)

    def _keep(self, rows: Sequence[tuple[Any, ...]], error: DatabaseError) -> None:
        """For the next time, unless it is the rows that cannot be stored."""
        refused = getattr(error.__cause__, "sqlstate", None) or ""
        if refused.startswith("22"):  # PostgreSQL, Appendix A: class 22, "data exception"
            self._dropped += len(rows)
            return
        self._waiting.extendleft(reversed(rows))


_journals: list[Journal] = []
_lock = threading.Lock()


def write() -> bool:
    """Write what waits in all journals, now; whether there was something."""
    with _lock:
        return sum(journal.write() for journal in _journals) > 0


def forget() -> None:
    """Drop what waits in all journals."""
    global _lock  # noqa: PLW0603 (see Flusher)
    _lock = threading.Lock()
    for journal in _journals:
        journal.forget()


#: Has them written from now on.
start = Flusher("journals", SECONDS, write, dropped=forget).start
