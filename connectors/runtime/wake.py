"""Wakes the resident drains within a millisecond: LISTEN and NOTIFY of PostgreSQL.

A notification says "there may be work" and no more. One that is lost costs a second at most,
because a drain looks by itself when it has heard nothing for that long.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import psycopg
import structlog
from django.db import connection

log = structlog.get_logger(__name__)

INBOX, UPSTREAM, OUTBOX = "headwater_inbox", "headwater_upstream", "headwater_outbox"
COMMANDS = "headwater_commands"

#: A busy sender rings this often at most: a drain that is awake needs no bell.
QUIET_SECONDS = 0.002
#: Names the file descriptor that reads as ended when the supervisor wants the cluster to stop.
STOP_VARIABLE = "HEADWATER_STOP_FD"


def notify(channel: str) -> None:
    """Ring in the caller's transaction: heard when it commits. For rare things, not for each event."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [channel])


def dedicated() -> psycopg.Connection[Any]:
    """A connection of one's own, in autocommit, with statements prepared by the server."""
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(name, None)
    made: psycopg.Connection[Any] = psycopg.connect(
        **parameters, autocommit=True, prepare_threshold=1
    )
    return made


def stopping() -> bool:
    """Whether the supervisor asked its cluster to stop (or is gone)."""
    descriptor = stop_descriptor()
    return descriptor is not None and bool(select.select([descriptor], [], [], 0)[0])


def stop_descriptor() -> int | None:
    """The descriptor that becomes readable when the cluster shall stop; None outside of one."""
    given = os.environ.get(STOP_VARIABLE, "")
    return int(given) if given else None


class Ear:
    """Listens to channels."""

    def __init__(self, channels: Iterable[str]) -> None:
        self._connection = dedicated()
        for channel in channels:
            self._connection.execute(f"LISTEN {channel}")

    def wait(self, seconds: float) -> None:
        """Until a bell, a stop, or the time is up. Raises psycopg.OperationalError."""
        pg = self._connection.pgconn
        # What came while nobody waited lies in the library already.
        if pg.notifies() is None:
            descriptors = [pg.socket, stop_descriptor()]
            select.select([d for d in descriptors if d is not None], [], [], seconds)
            pg.consume_input()
        while pg.notifies():
            pass

    def name(self, name: str) -> None:
        """Show it as the `application_name` of this session. Raises psycopg.OperationalError."""
        self._connection.execute("SELECT set_config('application_name', %s, false)", [name])

    def close(self) -> None:
        """Stop listening."""
        self._connection.close()


class Pace:
    """How often something is looked at that is rung for again and again.

    At once after a pause, and then a few times in a row; in the long run once in `seconds`, so that what
    comes in a stream is found in sets.
    """

    #: So many in a row.
    AT_ONCE = 5

    def __init__(self, seconds: float, least: float) -> None:
        self._seconds, self._least, self._due = seconds, least, 0.0

    def rest(self) -> None:
        """Wait until the next look is due: at least `least` seconds."""
        now = time.monotonic()
        self._due = max(self._due, now - self.AT_ONCE * self._seconds) + self._seconds
        time.sleep(max(self._least, self._due - now))


class Bell:
    """Rings one channel from a thread of its own, soon after `ring`, and not for every call.

    The last call is always followed by a notification, so nobody sleeps through it.
    """

    def __init__(self, channel: str, quiet: float = QUIET_SECONDS) -> None:
        self._channel, self._quiet = channel, quiet
        self._wanted = threading.Event()
        self._connection: psycopg.Connection[Any] | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def ring(self) -> None:
        """After the commit of what there is to be found. Never fails and never waits."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
                    self._thread.start()
        self._wanted.set()

    def close(self) -> None:
        """Ring what is to be rung, and end."""
        self._closed = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._closed:
            self._wanted.wait()
            self._wanted.clear()
            try:
                if self._connection is None:
                    self._connection = dedicated()
                self._connection.execute(f"NOTIFY {self._channel}")
            except psycopg.Error as error:
                log.warning("the bell could not be rung; the drains will look", error=str(error))
                with suppress(psycopg.Error):
                    if self._connection is not None:
                        self._connection.close()
                self._connection = None
                time.sleep(0.5)
            time.sleep(self._quiet)
        if self._connection is not None:
            self._connection.close()


#: Rung after each commit that changed entities: who tells others looks for change notices.
CHANGES = Bell(OUTBOX, quiet=0.02)
#: Rung when a command is left to the drain: to be read back, or gone on with. Nobody waits for it.
WRITES = Bell(COMMANDS, quiet=0.05)
