"""The records of one collection in order of creation, from either end.

`Store.scan` orders by last change; Stripe lists by creation and SOQL by id. The base records of the
simulated world are created in index order and records made since come after them, so a position is
an index, and a page costs its own length.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from threading import Event, Lock
from typing import Any

from connectors.sandbox.store import Change, Collection, Store

Record = dict[str, Any]


class Sequence:
    def __init__(self, store: Store, collection: Collection) -> None:
        self._store = store
        self._base = collection
        self._added: list[str] = []
        self._positions: dict[str, int] = {}
        self._loaded = Event()
        self._lock = Lock()
        store.listeners.append(self._heard)

    def __len__(self) -> int:
        """Positions, deleted records included."""
        self._load()
        return self._base.size + len(self._added)

    def added(self) -> list[str]:
        """Keys of the records made since the first day, oldest first, deleted ones included."""
        self._load()
        return list(self._added)

    def position(self, key: str) -> int | None:
        """Where the record stands, or stood before it was deleted; None for a key never used."""
        self._load()
        index = self._base.index(key)
        return index if index is not None else self._positions.get(key)

    def key(self, position: int) -> str:
        size = self._base.size
        return self._base.key(position) if position < size else self._added[position - size]

    def records(self, start: int, stop: int) -> Iterator[tuple[int, str, Record]]:
        """(position, key, record) from `start` towards `stop`, which is left out, in either
        direction; deleted records are passed over.
        """
        for position in range(start, stop, 1 if stop >= start else -1):
            key = self.key(position)
            record = self._store.get(self._base.system, self._base.name, key)
            if record is not None:
                yield position, key, record

    def first_at(self, value: float, measure: Callable[[Record], float]) -> int:
        """The first position whose measure (which never falls along the sequence) is ≥ value."""
        return bisect_left(range(len(self)), value, key=lambda at: measure(self._original(at)))

    def _original(self, position: int) -> Record:
        """A record as it was created: what it is ordered by never changes."""
        if position < self._base.size:
            return self._base.build(position)
        key = self._added[position - self._base.size]
        record = self._store.get(self._base.system, self._base.name, key)
        return record if record is not None else self._last_known(position)

    def _last_known(self, position: int) -> Record:
        """For a deleted addition: its nearest living neighbour towards the start."""
        for _, _, record in self.records(position - 1, -1):
            return record
        return self._base.build(0)

    def _load(self) -> None:
        """Additions of an earlier process, which the store replayed from its journal."""
        if self._loaded.is_set():
            return
        with self._lock:
            if self._loaded.is_set():
                return
            size = self._base.size
            newest = self._base.changed_ms(size - 1) + 1 if size else 0
            after: tuple[int, str] | None = None
            while rows := self._store.scan(
                self._base.system,
                self._base.name,
                after=after,
                limit=1000,
                changed_from_ms=newest,
                include_deleted=True,
            ):
                for _, key, _, _ in rows:
                    self._append(key)
                after = rows[-1][0], rows[-1][1]
            self._loaded.set()

    def _heard(self, change: Change) -> None:
        mine = change.system == self._base.system and change.collection == self._base.name
        if mine and change.kind == "created":
            self._load()
            with self._lock:
                self._append(change.key)

    def _append(self, key: str) -> None:
        if self._base.index(key) is None and key not in self._positions:
            self._positions[key] = self._base.size + len(self._added)
            self._added.append(key)
