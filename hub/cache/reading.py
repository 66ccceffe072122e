"""One request's way to its data: this process's answers, a reading under way, Redis, PostgreSQL."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic, time

from django.conf import settings

from hub.cache.classes import DataClass
from hub.cache.far import Columns, Far
from hub.cache.follow import Follower
from hub.cache.near import Near
from hub.reads.execute import Runner
from hub.reads.statement import Statement

#: Where an answer came from, as `api_milliseconds` tells it.
PROCESS, SHARED, REDIS, DATABASE = "process", "shared reading", "redis", "database"
#: Whoever waits longer for an equal reading reads by himself.
WAIT_SECONDS = 2.0
#: Of an answer that is not to be kept for others, and of one that nobody may keep.
PASSING, SECRET = DataClass(seconds=0), DataClass(seconds=0, storable=False)
#: How many readings a process remembers, for telling which come again: once or twice as many.
MOST_LATELY = 10_000


@dataclass(slots=True)
class Flight:
    """A reading under way. `clock`: purges before it began; `until`: Unix seconds."""

    clock: int
    columns: Columns | None = None
    until: float = 0.0
    landed: threading.Event = field(default_factory=threading.Event)


class Shelf:
    """What a process keeps and may use of what all keep.

    What it reads for the first time in a while it reads and keeps for itself (`at_once`: for all).
    Looking into Redis and storing there cost as much as reading does, and most of what is asked once
    is not asked again.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.near = Near()
        self._at_once = at_once
        self._lately: tuple[set[str], set[str]] = set(), set()
        self._far: Far | None = None
        self._flights: dict[str, Flight] = {}
        self._lock = threading.Lock()
        self._follower: Follower | None = None

    @property
    def far(self) -> Far:
        """The answers in Redis."""
        with self._lock:
            far = self._far
            if far is None:
                far = self._far = Far()
        return far

    def follow(self) -> None:
        """Have changes followed from now on. To be called after a fork; cheap to repeat."""
        if self._follower is not None or not settings.HEADWATER_KEEP_ANSWERS:
            return
        far = self.far
        with self._lock:
            if self._follower is None:
                self._follower = Follower(self.near, far)
                self._follower.start()

    def unfollow(self) -> None:
        """Keep nothing any longer, until `follow`."""
        with self._lock:
            follower, self._follower = self._follower, None
        if follower is not None:
            follower.stop()

    def often(self, key: str) -> bool:
        """Whether this was to be read before, not long ago."""
        young, old = self._lately
        if self._at_once or key in young or key in old:
            return True
        if len(young) >= MOST_LATELY:
            self._lately = young, old = set(), young
        young.add(key)
        return False

    def join(self, key: str, clock: int) -> tuple[Flight, bool]:
        """The reading of that key that is under way, or a new one, which the caller has to do."""
        mine = Flight(clock)
        flight = self._flights.setdefault(key, mine)
        if flight is not mine and flight.clock < clock:
            # It began before the last purge, and may have read what that made wrong.
            self._flights[key] = flight = mine
        return flight, flight is mine

    def land(self, key: str, flight: Flight) -> None:
        """The reading is done, well or not."""
        flight.landed.set()
        if self._flights.get(key) is flight:
            self._flights.pop(key, None)


class Reading:
    """What one request reads; a `Runner` of statements. Afterwards it knows what may be kept."""

    __slots__ = (
        "_asked", "_run", "_shelf", "clock", "kind", "outcome", "statements", "until", "version",
        "visibility",
    )  # fmt: skip

    def __init__(self, shelf: Shelf, run: Runner, visibility: str = "") -> None:
        self._shelf, self._run = shelf, run
        #: What the reader may see: answers are kept apart by it.
        self.visibility = visibility
        #: Purges before it began.
        self.clock = shelf.near.clock
        self.kind = PASSING
        self._asked: tuple[Statement, Sequence[str]] | None = None
        self.statements = 0
        #: Where the last of them was answered.
        self.outcome = DATABASE
        #: Of the single record that was read (`hub.versions`).
        self.version = ""
        #: Until when the answer may be kept in this process; time.monotonic seconds.
        self.until = 0.0

    @property
    def tags(self) -> list[str]:
        """The tags of the answer."""
        if self._asked is None:
            return []
        statement, parameters = self._asked
        return statement.reads.tags(parameters)

    def refuse(self) -> None:
        """The answer is not to be kept, here or anywhere."""
        self.kind, self.until = SECRET, 0.0

    def __call__(self, statement: Statement, parameters: list[str]) -> Columns:
        columns = self._columns(statement, parameters)
        if statement.versioned and columns[0] is not None:
            self.version = (columns[1] or b"").decode()
        return columns

    def _columns(self, statement: Statement, parameters: list[str]) -> Columns:
        self.statements += 1
        self.kind, self._asked = statement.reads.kind, (statement, parameters)
        # Where nobody knows what changed nothing is kept, and no reading is shared.
        if not self.kind.seconds or monotonic() >= self._shelf.near.until:
            return self._run(statement, parameters)
        key = _key(statement, parameters, self.visibility)
        flight, mine = self._shelf.join(key, self.clock)
        if mine:
            try:
                flight.columns, flight.until = self._read(key, statement, parameters)
            finally:
                self._shelf.land(key, flight)
        elif not flight.landed.wait(WAIT_SECONDS):
            return self._run(statement, parameters)
        if flight.columns is None:  # whoever was first has failed
            return self._run(statement, parameters)
        if not mine:
            self.outcome = SHARED
        # What is not there is not kept: anybody may ask for anything.
        if None not in flight.columns:
            self.until = monotonic() + flight.until - time()
        return flight.columns

    def _read(self, key: str, statement: Statement, parameters: list[str]) -> tuple[Columns, float]:
        if not self._shelf.often(key):
            return self._run(statement, parameters), time() + self.kind.seconds
        found = self._shelf.far.look(key, self.tags)
        if found.columns is not None:
            self.outcome = REDIS
            return found.columns, found.until
        columns, until = self._run(statement, parameters), time() + self.kind.seconds
        if None not in columns:
            self._shelf.far.store(key, found, columns, until)
        return columns, until


def _key(statement: Statement, parameters: Sequence[str], visibility: str) -> str:
    # Lengths, so that no parameter can look like two.
    told = "".join([f"{len(part)}:{part}" for part in (visibility, *parameters)])
    return statement.name.decode() + hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
