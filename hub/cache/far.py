"""What PostgreSQL said, kept in Redis for all processes; valid while the marks of its tags stand.

    …:beat:PROCESS   the last beat of a process that follows change notices; gone a second after it
    …:seen           a position in the change notices up to which tags were purged
    …:all            a random mark that every answer carries
    …:tag:TAG        a random mark; purging a tag deletes it
    …:answer:KEY     the marks that its tags had before PostgreSQL was read, and what that said

Marks are random and not counted, so that none ever returns: an evicted, flushed or lost mark is a
purged one. What was read before a purge and is stored after it carries a mark that is gone.

A Redis that comes back with less than it had (restarted from a dump, a replica promoted) may hold
marks again that had been deleted. Then the beats are not those that were sent last, which the
follower sees, and it purges again from the position that came back with them.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from django.conf import settings
from django.db import connection as database
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import RedisError
from redis.retry import Retry

#: How long a request may wait for Redis, once: after a failure nobody asks until the follower has.
WAIT_SECONDS = 0.25
MARK_SECONDS, SEEN_SECONDS = 3600, 24 * 3600
BEAT_MILLISECONDS = 1000
LONGEST = 512 * 1024
#: A pg_snapshot: xmin, xmax and the numbers between that were at work.
POSITION = re.compile(rb"\d{1,19}:\d{1,19}:[\d,]*")

Columns = Sequence[bytes | None]
AWAY = (RedisError, OSError)


@dataclass(frozen=True, slots=True)
class Found:
    """What there was. `until`: Unix seconds. `marks`: what to store an answer with; None: do not."""

    columns: Columns | None = None
    until: float = 0.0
    marks: bytes | None = None


NOTHING = Found()


class Far:
    """The answers in Redis, as this process may use them. Thread-safe."""

    def __init__(self) -> None:
        #: Until when this process has purged all that had to be (time.monotonic seconds).
        self.until = 0.0
        place = "{HOST}:{PORT}/{NAME}".format(**database.settings_dict)
        digest = hashlib.blake2b(place.encode(), digest_size=6).hexdigest()
        self._prefix = f"headwater:kept:{digest}:"
        self._all = f"{self._prefix}all"
        self._seen = f"{self._prefix}seen"
        self._beat = f"{self._prefix}beat:{secrets.token_hex(8)}"
        self._beats = 0
        self._own = threading.local()

    # --- readers: never raise
    def look(self, key: str, tags: Sequence[str]) -> Found:
        """The answer, or the marks to store one with. To be asked before PostgreSQL is."""
        if monotonic() > self.until:
            return NOTHING
        marked = [self._all, *[f"{self._prefix}tag:{tag}" for tag in tags]]
        try:
            beat, answer, *marks = self._ask(
                "MGET", self._beat, f"{self._prefix}answer:{key}", *marked
            )
            if beat is None or marks[0] is None:
                return NOTHING
            if None in marks:
                marks = self._mark(marked, marks)
        except AWAY:
            self.until = 0.0
            return NOTHING
        if None in marks:
            return NOTHING
        joined = b"".join(marks)
        return _unpacked(answer, joined) if answer is not None else Found(marks=joined)

    def store(self, key: str, found: Found, columns: Columns, until: float) -> None:
        """Keep what PostgreSQL said after `found` was looked for."""
        milliseconds = int((until - time()) * 1000)
        if found.marks is None or milliseconds <= 0 or monotonic() > self.until:
            return
        packed = _packed(found.marks, columns, until)
        if len(packed) > LONGEST:
            return
        try:
            self._ask("SET", f"{self._prefix}answer:{key}", packed, "PX", milliseconds)
        except AWAY:
            self.until = 0.0

    def _mark(self, keys: Sequence[str], marks: Sequence[bytes | None]) -> list[bytes | None]:
        for key, mark in zip(keys, marks, strict=True):
            if mark is None:
                self._ask("SET", key, secrets.token_hex(8), "NX", "EX", MARK_SECONDS)
        # Another reader may have been first.
        found: list[bytes | None] = self._ask("MGET", *keys)
        return found

    # --- the follower: raises what is in AWAY
    def beat(self) -> bool:
        """Say that this process follows; whether Redis still holds what it held at the last beat."""
        last, self._beats = self._beats, self._beats + 1
        said = self._ask("SET", self._beat, self._beats, "PX", BEAT_MILLISECONDS, "GET")
        return last > 0 and said == str(last).encode()

    def forget_beat(self) -> None:
        """Take the next beat for the first."""
        self._beats = 0

    def seen(self) -> str | None:
        """The position up to which everything in Redis is purged; None where nobody knows."""
        said, everything = self._ask("MGET", self._seen, self._all)
        if said is None or everything is None or not POSITION.fullmatch(said):
            return None
        return str(said.decode())

    def purge(self, tags: Iterable[str] | None) -> None:
        """Make wrong what carries one of the tags; None: everything."""
        if tags is None:
            self._ask("SET", self._all, secrets.token_hex(8))
            return
        keys = [f"{self._prefix}tag:{tag}" for tag in tags]
        for first in range(0, len(keys), 1000):
            self._ask("UNLINK", *keys[first : first + 1000])

    def purged(self, position: str) -> None:
        """Note that everything up to a position is purged."""
        self._ask("SET", self._seen, position, "EX", SEEN_SECONDS)

    def _ask(self, *command: Any) -> Any:
        """One command on this thread's connection; not repeated, whatever happens."""
        link: Any = getattr(self._own, "link", None)
        if link is None:
            link = self._own.link = _connection()
        try:
            link.send_command(*command)
            return link.read_response(disable_decoding=True)
        except AWAY:
            link.disconnect()
            raise


def _connection() -> Any:
    pool = ConnectionPool.from_url(
        settings.REDIS_URL,
        socket_timeout=WAIT_SECONDS,
        socket_connect_timeout=WAIT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return pool.make_connection()


def _packed(marks: bytes, columns: Columns, until: float) -> bytes:
    sizes = b",".join(str(len(column or b"")).encode() for column in columns)
    head = b"%b\n%d\n%b\n" % (marks, int(until * 1000), sizes)
    return head + b"".join(column or b"" for column in columns)


def _unpacked(answer: bytes, marks: bytes) -> Found:
    """The answer, if its marks are those that stand."""
    told, until, sizes, text = answer.split(b"\n", 3)
    if told != marks:
        return Found(marks=marks)
    columns, start = [], 0
    for size in map(int, sizes.split(b",")):
        columns.append(text[start : start + size])
        start += size
    return Found(columns, int(until) / 1000, marks)
