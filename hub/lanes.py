"""How many requests of a kind run at once in one web process, so that neither kind is in the other's way.

A write waits for upstreams, and holds its thread for as long as they take; a read holds the interpreter.
So a process has many threads, of which few read at a time, and some are never given to writes: while an
upstream is slow, reads go on (DESIGN, invariant 5).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from hub.problems import CONTENT_TYPE, problem_body

#: Threads of a web process; `hub.launch.sequence` starts so many.
THREADS = 20
#: Two to four serve more than one, and more than many (STACK: WSGI threads).
READS_AT_ONCE = 3
WRITES_AT_ONCE = THREADS - 2 * READS_AT_ONCE
#: So long a write waits for its turn before it is told to come again.
PATIENCE_SECONDS = 2.0
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

reading = threading.BoundedSemaphore(READS_AT_ONCE)
writing = threading.BoundedSemaphore(WRITES_AT_ONCE)

WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]


#: In the environ of a request that has its turn to read.
TURN = "headwater.turn"


def read(answer: WSGIApplication, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """A read, when it is its turn; it ends where the request is left to another (`left_to`)."""
    reading.acquire()
    environ[TURN] = True
    try:
        return answer(environ, start_response)
    finally:
        _over(environ)


def left_to(other: WSGIApplication) -> WSGIApplication:
    """What `answer` leaves to another application may wait for an upstream: that takes no turn."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        _over(environ)
        return other(environ, start_response)

    return answer


def _over(environ: dict[str, Any]) -> None:
    if environ.pop(TURN, False):
        reading.release()


def write(answer: WSGIApplication, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """A write, when it is its turn; 503 `busy` where that takes long: nothing was begun."""
    if not writing.acquire(timeout=PATIENCE_SECONDS):
        body = orjson.dumps(
            problem_body(
                503, "busy", "too many writes wait for slow systems; nothing was begun", "", {}
            )
        )
        start_response(
            "503 Service Unavailable",
            [("Content-Type", CONTENT_TYPE), ("Retry-After", "1"),
             ("Content-Length", str(len(body)))],
        )  # fmt: skip
        return [body]
    try:
        return answer(environ, start_response)
    finally:
        writing.release()
