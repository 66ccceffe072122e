"""A thread for each name that has work; one that had some stays a moment, in case there is more.

Threads that are idle hold no database connection, and to open one takes longer than most turns: it
begins with a process of PostgreSQL's, which knows no statement yet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from time import monotonic

import structlog
from django.db import close_old_connections, connection

from connectors.runtime import wake

log = structlog.get_logger(__name__)

#: So long a thread that had work stays; a stop is seen so often meanwhile.
STAYS_SECONDS, LOOK_SECONDS = 3.0, 0.25

#: One turn: whether there was work.
Turn = Callable[[], bool]


class Called:
    """So many threads of a pool, called by name. `call` is for one thread alone."""

    def __init__(self, threads: int, prefix: str) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, prefix)
        self._lock, self._closed = threading.Lock(), False
        self._bells: dict[Hashable, threading.Event] = {}
        self._futures: dict[Hashable, Future[None]] = {}

    def call(self, name: Hashable, turn: Turn) -> None:
        """Have turns made until there is nothing to do, by the thread of this name."""
        with self._lock:
            bell = self._bells.get(name)
            if bell is None and len(self._bells) >= self._threads:
                # Who stays for nothing makes room.
                for other in self._bells.values():
                    other.set()
            self._bells.setdefault(name, threading.Event()).set()
        if bell is None:
            self._futures[name] = self._pool.submit(self._attend, name, turn)

    def busy(self) -> set[Hashable]:
        """Who is at work, or stays, or waits for a thread."""
        with self._lock:
            return set(self._bells)

    def close(self, seconds: float = 0.0) -> None:
        """Begin nothing more, and give what is under way a moment."""
        with self._lock:
            self._closed = True
            for bell in self._bells.values():
                bell.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        wait(self._futures.values(), seconds)

    def _attend(self, name: Hashable, turn: Turn) -> None:
        close_old_connections()
        try:
            while self._rung(name):
                worked = False
                while not self._stopping() and turn():
                    worked = True
                if worked:
                    self._stay(name)
        except Exception:
            log.exception("a turn broke; leases bring back what it had", name=str(name))
            with self._lock:
                del self._bells[name]
        finally:
            connection.close()

    def _rung(self, name: Hashable) -> bool:
        """Whether there is work again; otherwise the name is nobody's from now on."""
        with self._lock:
            bell = self._bells[name]
            if self._stopping() or not bell.is_set():
                del self._bells[name]
                return False
            bell.clear()
            return True

    def _stay(self, name: Hashable) -> None:
        until, bell = monotonic() + STAYS_SECONDS, self._bells[name]
        while monotonic() < until and not self._stopping() and not bell.wait(LOOK_SECONDS):
            pass

    def _stopping(self) -> bool:
        return self._closed or wake.stopping()
