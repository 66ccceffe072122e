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

from observability.flushing import Flusher

SECONDS = 0.2
#: What a pipe takes whole, so that lines of several processes are never mixed (POSIX: PIPE_BUF).
MOST_BYTES = 4096

_waiting: deque[bytes] = deque()
_writing = threading.Lock()


def put(line: bytes) -> None:
    """Write a line, which ends with a line feed, soon."""
    _waiting.append(line)
    _flusher.start()


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


def _forget() -> None:
    global _writing  # noqa: PLW0603 (see Flusher)
    _writing = threading.Lock()
    _waiting.clear()


# So that they stand before the lines of whoever is forked.
os.register_at_fork(before=flush)

#: Started by the first line: most processes answer no request.
_flusher = Flusher("log lines", SECONDS, flush, dropped=_forget)
