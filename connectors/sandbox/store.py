"""What the simulated systems hold: a computed base, and a small overlay of what was changed.

A base record is built when it is asked for. A record that was created, changed or deleted lives in
the overlay, with a change time that is greater than every one before it. So "changed since" is the
base in index order, without what the overlay replaced, and then the overlay in order of time: a
bisection finds the start, however large the base is.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from connectors.sandbox.journal import Journal
from connectors.sandbox.shelf import Collection, Document, Entry, Row, Shelf

__all__ = ["Change", "Collection", "Document", "Kind", "Row", "Store", "merged"]

Kind = Literal["created", "updated", "deleted"]


class Change(NamedTuple):
    """One change as listeners are told. ``at_ms`` is unique in a store: ids may be made of it."""

    system: str
    collection: str
    key: str
    kind: Kind
    doc: Document  # for a deletion: the record as it was
    at_ms: int


class Store:
    """Thread-safe: take ``lock`` around a read and a write that belong together."""

    def __init__(self, state_dir: Path | None = None, *, label: str = "") -> None:
        """``label`` names the base world; a journal written for another one is set aside."""
        self.lock = threading.RLock()
        self.listeners: list[Callable[[Change], None]] = []
        self._shelves: dict[tuple[str, str], Shelf] = {}
        self._memory: defaultdict[str, Document] = defaultdict(dict)
        self._last_ms = 0
        self._journal = Journal(state_dir / "sandbox.jsonl" if state_dir else None, label)

    # --- set-up -------------------------------------------------------------------------------

    def register(self, collection: Collection) -> None:
        self._shelves[collection.system, collection.name] = Shelf(collection)
        if collection.size:
            self._last_ms = max(self._last_ms, collection.changed_ms(collection.size - 1))

    def replay(self) -> int:
        """Apply the journal, once everything is registered; returns the number of changes."""
        count = 0
        with self.lock:
            for line in self._journal.read():
                shelf = self._shelves.get((line["system"], line["collection"]))
                if shelf is not None:
                    entry = Entry(line["at"], line["doc"], line["kind"] == "deleted")
                    shelf.set(line["key"], entry)
                    shelf.count(line.get("reference", ""))
                    self._last_ms = max(self._last_ms, line["at"])
                    count += 1
        return count

    def reset(self) -> None:
        """Forget every change: the base world as on the first day. Listeners are not told."""
        with self.lock:
            for name, shelf in self._shelves.items():
                self._shelves[name] = Shelf(shelf.collection)
            self._memory.clear()
            self._journal.clear()

    def memory(self, system: str) -> Document:
        """A system's scratch space (tokens, sessions, idempotency keys): never written down."""
        return self._memory[system]

    def collections(self, system: str | None = None) -> list[Collection]:
        return [
            shelf.collection
            for (owner, _), shelf in self._shelves.items()
            if system is None or owner == system
        ]

    # --- reading ------------------------------------------------------------------------------

    def get(self, system: str, name: str, key: str) -> Document | None:
        """The living record, or None. Read only: copy it before you change it."""
        shelf = self._shelves[system, name]
        entry = shelf.entries.get(key)
        if entry is not None:
            return None if entry.deleted else entry.doc
        index = shelf.base_index(key)
        return None if index is None else shelf.collection.build(index)

    def changed_ms(self, system: str, name: str, key: str) -> int | None:
        """When the record last changed (a tombstone: when it was deleted)."""
        shelf = self._shelves[system, name]
        entry = shelf.entries.get(key)
        if entry is not None:
            return entry.changed_ms
        index = shelf.base_index(key)
        return None if index is None else shelf.collection.changed_ms(index)

    def count(self, system: str, name: str, *, changed_from_ms: int | None = None) -> int:
        shelf = self._shelves[system, name]
        with self.lock:
            begin, early, removed, late = self._living(shelf, changed_from_ms or 0)
            return len(early) + shelf.collection.size - begin - len(removed) + len(late)

    def changed_count(self, system: str, name: str) -> int:
        """How many records differ from the base world, tombstones included."""
        return len(self._shelves[system, name].entries)

    def overlay(self, system: str, name: str) -> list[tuple[str, Document]]:
        """(key, record) of every living record that was made or changed since the first day."""
        with self.lock:
            entries = self._shelves[system, name].entries
            return [(key, entry.doc) for key, entry in entries.items() if not entry.deleted]

    def last_added(self, system: str, name: str) -> str | None:
        """The greatest key of the living records that the base world lacks."""
        added = self._shelves[system, name].added
        return added[-1] if added else None

    def references(self, system: str) -> dict[str, dict[str, int]]:
        """How many records each reference of a caller's made, by collection; also those deleted."""
        with self.lock:
            return {
                name: dict(shelf.references)
                for (owner, name), shelf in self._shelves.items()
                if owner == system and shelf.references
            }

    def scan(
        self,
        system: str,
        name: str,
        *,
        after: tuple[int, str] | None = None,
        offset: int = 0,
        limit: int = 100,
        changed_from_ms: int | None = None,
        include_deleted: bool = False,
    ) -> list[Row]:
        """Up to ``limit`` rows in order of (change time, key), behind ``after`` (exclusive) and at
        or after ``changed_from_ms`` (inclusive), without the first ``offset``. To go on, pass the
        last row's time and key.
        """
        shelf = self._shelves[system, name]
        floor = max(changed_from_ms or 0, after[0] if after else 0)
        rows: list[Row] = []
        with self.lock:
            begin = self._base_start(shelf, floor, after)
            for row in shelf.base_from(begin, offset):
                if len(rows) >= limit:
                    return rows
                rows.append(row)
            start = bisect_right(shelf.timeline, after) if after else 0
            start = max(start, bisect_left(shelf.timeline, (floor, "")))
            skipped = max(0, offset - shelf.living_from(begin)) if offset else 0
            for at, key in shelf.timeline[start:]:
                if len(rows) >= limit:
                    break
                entry = shelf.entries[key]
                if entry.changed_ms == at and (include_deleted or not entry.deleted):
                    if skipped:
                        skipped -= 1
                        continue
                    rows.append(Row(at, key, entry.doc, entry.deleted))
        return rows

    @staticmethod
    def _base_start(shelf: Shelf, floor: int, after: tuple[int, str] | None) -> int:
        collection = shelf.collection
        start = bisect_left(range(collection.size), floor, key=collection.changed_ms)
        if after is None or after[0] < floor:
            return start
        known = shelf.base_index(after[1])
        if known is not None and collection.changed_ms(known) == after[0]:
            return known + 1
        while start < collection.size and (collection.changed_ms(start), collection.key(start)) <= (
            after
        ):
            start += 1
        return start

    def page(
        self,
        system: str,
        name: str,
        *,
        offset: int = 0,
        limit: int = 100,
        changed_from_ms: int | None = None,
    ) -> list[Document]:
        """Living records in key order: the base first, then what was added."""
        shelf = self._shelves[system, name]
        collection, entries = shelf.collection, shelf.entries
        with self.lock:
            begin, early, removed, late = self._living(shelf, changed_from_ms or 0)
            docs = [entries[collection.key(i)].doc for i in early[offset : offset + limit]]
            index = begin + max(0, offset - len(early))
            place = 0
            while place < len(removed) and removed[place] <= index:
                index, place = index + 1, place + 1
            gone = set(removed[place:])
            while len(docs) < limit and index < collection.size:
                if index not in gone:
                    entry = entries.get(collection.key(index)) if entries else None
                    docs.append(collection.build(index) if entry is None else entry.doc)
                index += 1
            start = max(0, offset - len(early) - (collection.size - begin - len(removed)))
            return docs + [entries[key].doc for key in late[start : start + limit - len(docs)]]

    @staticmethod
    def _living(shelf: Shelf, floor: int) -> tuple[int, list[int], list[int], list[str]]:
        """What lives and changed at or after ``floor``, in key order: changed base records in
        front of the bisected start, that start with the deleted indexes behind it, and additions.
        """
        collection, entries = shelf.collection, shelf.entries
        if not floor:
            return 0, [], shelf.removed, shelf.added
        begin = bisect_left(range(collection.size), floor, key=collection.changed_ms)
        changed = {k for k, e in entries.items() if e.changed_ms >= floor and not e.deleted}
        early = sorted(i for k in changed if (i := shelf.base_index(k)) is not None and i < begin)
        removed = shelf.removed[bisect_left(shelf.removed, begin) :]
        return begin, early, removed, [key for key in shelf.added if key in changed]

    # --- writing ------------------------------------------------------------------------------

    @contextmanager
    def together(self) -> Iterator[None]:
        """Changes that belong together: nobody writes in between, and a kill leaves all or none."""
        with self.lock, self._journal.together():
            yield

    def put(
        self, system: str, name: str, key: str, doc: Document, *, reference: str = ""
    ) -> Document:
        """Create or replace a record; stamps ``doc`` with its change time and returns it.

        ``reference`` is what the caller calls a record that it makes: how many records each made
        is counted, for ever (see ``references``).
        """
        with self.lock:
            kind: Kind = "created" if self.get(system, name, key) is None else "updated"
            at = self._next_ms()
            self._shelves[system, name].collection.stamp(doc, at)
            change = Change(system, name, key, kind, doc, at)
            self._apply(change, reference if kind == "created" else "")
        self._tell(change)
        return doc

    def patch(self, system: str, name: str, key: str, patch: Document) -> Document | None:
        """Apply a JSON merge patch (RFC 7396) to a living record; None when there is none."""
        with self.lock:
            doc = self.get(system, name, key)
            return None if doc is None else self.put(system, name, key, merged(doc, patch))

    def delete(self, system: str, name: str, key: str) -> bool:
        """Leave a tombstone; False when there was no living record."""
        with self.lock:
            doc = self.get(system, name, key)
            if doc is None:
                return False
            doc = dict(doc)
            at = self._next_ms()
            self._shelves[system, name].collection.stamp(doc, at)
            change = Change(system, name, key, "deleted", doc, at)
            self._apply(change)
        self._tell(change)
        return True

    def _next_ms(self) -> int:
        self._last_ms = max(time.time_ns() // 1_000_000, self._last_ms + 1)
        return self._last_ms

    def _apply(self, change: Change, reference: str = "") -> None:
        entry = Entry(change.at_ms, change.doc, change.kind == "deleted")
        shelf = self._shelves[change.system, change.collection]
        shelf.set(change.key, entry)
        shelf.count(reference)
        self._journal.append(
            {
                "at": change.at_ms,
                "system": change.system,
                "collection": change.collection,
                "key": change.key,
                "kind": change.kind,
                "doc": change.doc,
                **({"reference": reference} if reference else {}),
            }
        )

    def _tell(self, change: Change) -> None:
        for listener in self.listeners:
            listener(change)


def merged(doc: Document, patch: Document) -> Document:
    """A copy of ``doc`` with a JSON merge patch applied (RFC 7396: null removes a member)."""
    result = dict(doc)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            inner = result.get(name)
            result[name] = merged(inner if isinstance(inner, dict) else {}, value)
        else:
            result[name] = value
    return result
