"""What gathers in a process and is passed on every so often, and at the process's end."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from multiprocessing.util import Finalize

import structlog
from django.db import Error as DatabaseError
from django.db import connection

log = structlog.get_logger(__name__)

#: A process that ends waits so long for what its thread is just doing: the database may be away.
END_SECONDS = 1.0

_all: weakref.WeakSet[Flusher] = weakref.WeakSet()


class Flusher:
    """A thread that does one thing every so many seconds.

    `work` returns True where more is likely soon: the thread then keeps its database session, which
    it gives back otherwise. What it raises is logged, and it is done again the next time.

    After a fork the thread is the parent's, and what has gathered is the parent's to pass on:
    `dropped` empties it, and makes anew what locks guard it, for a thread that is gone may hold them.
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        work: Callable[[], bool | None],
        *,
        dropped: Callable[[], None],
    ) -> None:
        self._name, self._seconds, self._work, self._dropped = name, seconds, work, dropped
        self._started, self._lock, self._ended = False, threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        _all.add(self)

    def start(self) -> None:
        """Begin, where it has not begun: before a process's last fork it would be for nothing."""
        if not self._started:
            with self._lock:
                if not self._started:
                    self._started = True
                    self._begin()

    def stop(self) -> None:
        """Pass on what has gathered, and nothing from now on; where it never began, do nothing."""
        with self._lock:
            started, self._started = self._started, False
            thread, self._thread = self._thread, None
        self._ended.set()
        if thread is not None:
            thread.join(END_SECONDS)
        if started:
            self._do()

    def forget(self) -> None:
        """Be as if it had not been started, and nothing had gathered."""
        self._started, self._lock, self._thread = False, threading.Lock(), None
        self._dropped()

    def _begin(self) -> None:
        self._ended = threading.Event()
        self._thread = thread = threading.Thread(
            target=self._go_on, args=(self._ended,), name=self._name, daemon=True
        )
        # A child of multiprocessing, as granian's workers are, ends without `atexit`. What is started
        # last is done first then.
        Finalize(None, self.stop, exitpriority=0)
        thread.start()

    def _go_on(self, ended: threading.Event) -> None:
        while not ended.wait(self._seconds):
            if not self._do():
                connection.close()
        connection.close()

    def _do(self) -> bool:
        try:
            return bool(self._work())
        except DatabaseError as error:
            said = str(error).strip()
            log.warning("what has gathered could not be passed on", what=self._name, error=said)
        except Exception:
            log.exception("what has gathered could not be passed on", what=self._name)
        return False


def forget() -> None:
    """Be as if nothing had gathered in this process, and nobody passed it on."""
    for flusher in _all:
        flusher.forget()


os.register_at_fork(after_in_child=forget)
