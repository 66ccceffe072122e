"""How many writes run at once in one web process, so that they are never in the way of reads.

A write waits for upstreams, and holds its thread for as long as they take. So a process has more
threads than serve reads best, and some are never given to writes: while an upstream is slow, reads go on
(DESIGN, invariant 5). Reads take no turns: with a lock before them, or with twenty threads, they were
half as many a second. A write that finds all turns taken is accepted, answered 202, and carried out by
the drain of commands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

#: Threads of a web process; `hub.launch.sequence` starts so many.
THREADS = 6
WRITES_AT_ONCE = 4
#: In the environ of a write for which there is no turn: it is accepted, and the drain carries it out.
LATER = "headwater.later"
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

writing = threading.BoundedSemaphore(WRITES_AT_ONCE)


@contextmanager
def turn() -> Iterator[bool]:
    """Whether there is a turn for a write, which ends with the block."""
    mine = writing.acquire(blocking=False)
    try:
        yield mine
    finally:
        if mine:
            writing.release()


WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]


def write(answer: WSGIApplication, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """A write, in its turn; where there is none, marked `LATER`: it must not wait for upstreams here."""
    with turn() as mine:
        if not mine:
            environ[LATER] = True
        return answer(environ, start_response)
