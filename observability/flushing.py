"""What gathers in a process and is passed on every few seconds, and at the process's end."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from multiprocessing.util import Finalize

import structlog
from django.db import connection

log = structlog.get_logger(__name__)

_all: weakref.WeakSet[Flusher] = weakref.WeakSet()


class Flusher:
    """A thread that does one thing every so many seconds. A fork leaves it behind."""

    def __init__(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        self._name, self._seconds, self._work = name, seconds, work
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        _all.add(self)

    def start(self) -> None:
        """Begin, for processes that go on for long, after their last fork; twice is once."""
        with self._lock:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._go_on, name=self._name, daemon=True)
            self._thread = thread
        # A child of multiprocessing, as granian's workers are, ends without `atexit`. What is started
        # last is done first then.
        Finalize(None, self._do, exitpriority=0)
        thread.start()

    def forget(self) -> None:
        """Be as if it had not been started: the thread is another process's."""
        self._thread, self._lock = None, threading.Lock()

    def _go_on(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._seconds):
            self._do()
            # A session that would be idle for seconds is given back.
            connection.close()

    def _do(self) -> None:
        try:
            self._work()
        except Exception:
            log.exception("what has gathered could not be passed on", what=self._name)


def _in_child() -> None:
    for flusher in _all:
        flusher.forget()


os.register_at_fork(after_in_child=_in_child)
