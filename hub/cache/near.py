"""Whole answers in this process, found by what was sent: no parsing, no binding, one look.

Two things end an answer: its time, and a purge. Two keep a wrong one out: what was begun before the
last purge is not taken in, and nothing is given out once the follower has not looked for a while.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from time import monotonic

from hub.usage.uses import Uses

#: Memory for answers, by the bytes of their bodies and requests; the longest that is kept.
MOST_BYTES, LONGEST = 32 * 1024 * 1024, 256 * 1024
#: What the dicts and headers around an answer take beside it.
AROUND = 1_500


@dataclass(slots=True)
class Kept:
    """An answer of status 200, ready to send. `until`: time.monotonic seconds."""

    body: bytes
    headers: list[tuple[str, str]]
    #: Of an answer to GET; empty for others.
    etag: str = ""
    until: float = 0.0
    tags: tuple[str, ...] = ()
    #: What it reads of our contract, to be counted each time that it is sent.
    uses: Uses | None = None
    #: Where it came from when it was made; given again it comes from this process.
    outcome: str = ""


class Near:
    """The answers that this process keeps. Thread-safe; `get` takes no lock."""

    def __init__(self) -> None:
        #: Purges so far. Who notes it before reading can tell whether there was one meanwhile.
        self.clock = 0
        #: Until when everything that was purged up to now is all that had to be.
        self.until = 0.0
        self._kept: dict[Hashable, Kept] = {}
        self._tagged: dict[str, set[Hashable]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Kept | None:
        """The answer to that request, if there is one that holds."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        now = monotonic()
        return kept if now < kept.until and now < self.until else None

    def put(self, key: Hashable, kept: Kept, clock: int) -> None:
        """Keep an answer that was begun when `clock` was so."""
        if len(kept.body) > LONGEST:
            return
        with self._lock:
            if clock != self.clock:
                return
            self._drop(key)
            self._kept[key] = kept
            self._bytes += _size(key, kept)
            for tag in kept.tags:
                self._tagged.setdefault(tag, set()).add(key)
            while self._bytes > MOST_BYTES:
                self._drop(next(iter(self._kept)))

    def purge(self, tags: Iterable[str] | None) -> None:
        """Drop what carries one of the tags; None: everything."""
        with self._lock:
            self.clock += 1
            if tags is None:
                self._kept, self._tagged, self._bytes = {}, {}, 0
                return
            for tag in tags:
                for key in list(self._tagged.get(tag, ())):
                    self._drop(key)

    def _drop(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self._bytes -= _size(key, kept)
        for tag in kept.tags:
            keys = self._tagged[tag]
            keys.discard(key)
            if not keys:
                del self._tagged[tag]


def _size(key: Hashable, kept: Kept) -> int:
    """Bytes, about: what was asked may be longer than what is answered, and is the client's choice."""
    asked = (
        sum(len(part) for part in key if isinstance(part, str | bytes))
        if isinstance(key, tuple)
        else 0
    )
    return len(kept.body) + asked + AROUND
