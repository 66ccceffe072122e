"""One request's way to its data: this process's answers, a reading under way, Redis, PostgreSQL."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic, time

from hub.cache.classes import DataClass
from hub.cache.far import Columns, Far
from hub.cache.follow import Follower
from hub.cache.near import Near
from hub.reads.execute import Runner
from hub.reads.statement import Statement

#: What holders of a key may see who may see everything. Answers for others are kept apart.
EVERYTHING = ""
#: Whoever waits longer for an equal reading reads by himself.
WAIT_SECONDS = 2.0

near = Near()


@dataclass(slots=True)
class Flight:
    """A reading under way. `clock`: purges before it began; `until`: Unix seconds."""

    clock: int
    columns: Columns | None = None
    until: float = 0.0
    landed: threading.Event = field(default_factory=threading.Event)


class Reading:
    """What one request reads; a `Runner` of statements. Afterwards it knows what may be kept."""

    __slots__ = ("_far", "_run", "_visibility", "clock", "kind", "statements", "tags", "until")

    def __init__(self, run: Runner, visibility: str = EVERYTHING) -> None:
        self._far, self._run, self._visibility = _followed(), run, visibility
        self.clock = near.clock
        self.kind = DataClass(seconds=0)
        self.tags: list[str] = []
        self.statements = 0
        #: Until when the answer may be kept in this process; time.monotonic seconds.
        self.until = 0.0

    def refuse(self) -> None:
        """The answer is not to be kept, here or anywhere."""
        self.kind, self.until = DataClass(seconds=0, storable=False), 0.0

    @property
    def visibility(self) -> str:
        """What the reader may see."""
        return self._visibility

    def __call__(self, statement: Statement, parameters: list[str]) -> Columns:
        self.statements += 1
        self.kind, self.tags = statement.reads.kind, statement.reads.tags(parameters)
        # Nobody knows what changed: nothing is kept, and no reading is shared.
        if not self.kind.seconds or monotonic() >= near.until:
            return self._run(statement, parameters)
        key = _key(statement, parameters, self._visibility)
        flight, mine = _joined(key, self.clock)
        if mine:
            try:
                flight.columns, flight.until = self._read(key, statement, parameters)
            finally:
                flight.landed.set()
                _flights.pop(key, None)
        elif not flight.landed.wait(WAIT_SECONDS) or flight.columns is None:
            return self._run(statement, parameters)
        assert flight.columns is not None  # noqa: S101 (narrows)
        # What is not there is not kept: anybody may ask for anything.
        if None not in flight.columns:
            self.until = monotonic() + flight.until - time()
        return flight.columns

    def _read(self, key: str, statement: Statement, parameters: list[str]) -> tuple[Columns, float]:
        found = self._far.look(key, self.tags)
        if found.columns is not None:
            return found.columns, found.until
        columns, until = self._run(statement, parameters), time() + self.kind.seconds
        if None not in columns:
            self._far.store(key, found, columns, until)
        return columns, until


_flights: dict[str, Flight] = {}
_lock = threading.Lock()
_far: Far | None = None


def _joined(key: str, clock: int) -> tuple[Flight, bool]:
    """The reading of that key that is under way, or a new one, which the caller has to do."""
    mine = Flight(clock)
    flight = _flights.setdefault(key, mine)
    if flight is not mine and flight.clock < clock:
        # It began before the last purge, and may have read what that made wrong.
        _flights[key] = flight = mine
    return flight, flight is mine


def _followed() -> Far:
    """Redis, with a follower at work: begun by a process's first reading, so after its fork."""
    global _far  # noqa: PLW0603 (one a process)
    if _far is None:
        with _lock:
            if _far is None:
                far = Far()
                Follower(near, far).start()
                _far = far
    return _far


def _key(statement: Statement, parameters: Sequence[str], visibility: str) -> str:
    # Lengths, so that no parameter can look like two.
    told = "".join([f"{len(part)}:{part}" for part in (visibility, *parameters)])
    return statement.name.decode() + hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
