"""Log lines of requests, on their way to standard error many at a time.

A write for each line costs a request as much as looking its plan up, and lets another thread in
between. So lines wait for a fifth of a second, at most, or for the next line of the ordinary chain:
their order stays. They are written at a process's end too; one that is killed loses its last fifth.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from multiprocessing.util import Finalize

SECONDS = 0.2
#: What a pipe takes whole, so that lines of several processes are never mixed (POSIX: PIPE_BUF).
MOST_BYTES = 4096

_waiting: deque[bytes] = deque()
_writing = threading.Lock()
_writer: threading.Thread | None = None


def put(line: bytes) -> None:
    """Write a line, which ends with a line feed, soon."""
    _waiting.append(line)
    if _writer is None:
        _start()


def flush() -> None:
    """Write what waits, now."""
    with _writing:
        text = b""
        for _ in range(len(_waiting)):
            line = _waiting.popleft()
            if len(text) + len(line) > MOST_BYTES:
                _write(text)
                text = b""
            text += line
        _write(text)


class Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Standard error for all other lines, each after those that came before it."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        if _waiting:
            flush()
        super().emit(record)


def _write(text: bytes) -> None:
    try:
        while text:
            text = text[os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text) :]
    except OSError:
        return  # nobody reads it, which is no reason to fail


def _start() -> None:
    global _writer  # noqa: PLW0603 (one a process, and none before it is needed: forks)
    with _writing:
        if _writer is None:
            # A child of multiprocessing, as granian's workers are, ends without `atexit`.
            Finalize(None, flush, exitpriority=0)
            _writer = threading.Thread(target=_write_for_ever, name="log lines", daemon=True)
            _writer.start()


def _write_for_ever() -> None:
    pause = threading.Event()
    while not pause.wait(SECONDS):
        flush()


def _forget_writer() -> None:
    global _writer, _writing
    _writer, _writing = None, threading.Lock()


os.register_at_fork(before=flush, after_in_child=_forget_writer)
