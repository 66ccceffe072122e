"""Threads for steps that wait for nobody but their upstream: one pool in each process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar
from weakref import WeakSet

import psycopg
from django.db import close_old_connections, connection

Result = TypeVar("Result")

#: Each keeps a database connection once it has used one.
THREADS = 8

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_owner = 0
#: What the threads keep open.
_kept: WeakSet[psycopg.Connection[Any]] = WeakSet()


def begin(work: Callable[[], Result]) -> Future[Result]:
    """Run it in a thread, in the context (correlation) of the caller."""
    global _pool, _owner
    with _lock:
        # A pool does not survive a fork.
        if _pool is None or _owner != os.getpid():
            _pool, _owner = ThreadPoolExecutor(THREADS, "steps"), os.getpid()
        return _pool.submit(copy_context().run, _run, work)


def close() -> None:
    """Wait for what runs, and give up the threads with their connections."""
    global _pool
    with _lock:
        pool, _pool = _pool, None
    if pool is not None and _owner == os.getpid():
        pool.shutdown()
        for kept in list(_kept):
            kept.close()


def _run(work: Callable[[], Result]) -> Result:
    # What PostgreSQL closed meanwhile is opened anew.
    close_old_connections()
    try:
        return work()
    finally:
        if connection.connection is not None:
            _kept.add(connection.connection)
