"""One collection of a simulated system: its computed base, and what was changed of it since."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Document = dict[str, Any]


class Row(NamedTuple):
    """One answer of ``scan``; ``doc`` is read only: copy it before you change it."""

    changed_ms: int
    key: str
    doc: Document
    deleted: bool


@dataclass(frozen=True)
class Collection:
    """How the base records of one collection are computed, by an index from 0.

    ``changed_ms`` must not fall as the index grows, and keys must rise with the index, at least
    among equal change times. ``stamp`` writes a change time into a document (vendors name and
    spell it differently); the default leaves the document alone.
    """

    system: str
    name: str
    size: int
    key: Callable[[int], str]
    index: Callable[[str], int | None]
    build: Callable[[int], Document]
    changed_ms: Callable[[int], int]
    stamp: Callable[[Document, int], None] = lambda _doc, _ms: None


class Entry(NamedTuple):
    changed_ms: int
    doc: Document
    deleted: bool


@dataclass
class Shelf:
    """A collection with its overlay."""

    collection: Collection
    entries: dict[str, Entry] = field(default_factory=dict)
    timeline: list[tuple[int, str]] = field(default_factory=list)  # may name outdated entries
    removed: list[int] = field(default_factory=list)  # base indexes that are deleted, sorted
    added: list[str] = field(default_factory=list)  # living keys outside the base, sorted
    references: dict[str, int] = field(default_factory=dict)  # records made by caller's reference

    def _replaced_from(self, index: int) -> list[int]:
        """Base indexes from ``index`` on whose record lives in the overlay, sorted."""
        known = (self.base_index(key) for key in self.entries)
        return sorted(i for i in known if i is not None and i >= index)

    def living_from(self, index: int) -> int:
        """How many base records from ``index`` on nothing replaced."""
        return max(0, self.collection.size - index) - len(self._replaced_from(index))

    def base_index(self, key: str) -> int | None:
        index = self.collection.index(key)
        return index if index is not None and 0 <= index < self.collection.size else None

    def set(self, key: str, entry: Entry) -> None:
        before = self.entries.get(key)
        was_alive = self.base_index(key) is not None if before is None else not before.deleted
        self.entries[key] = entry
        self.timeline.append((entry.changed_ms, key))
        if len(self.timeline) > 1000 + 2 * len(self.entries):
            self.timeline = [t for t in self.timeline if self.entries[t[1]].changed_ms == t[0]]
        if was_alive == (not entry.deleted):
            return
        index = self.base_index(key)
        if index is None:
            (self.added.remove if entry.deleted else _into(self.added))(key)
        else:
            (_into(self.removed) if entry.deleted else self.removed.remove)(index)

    def count(self, reference: str) -> None:
        if reference:
            self.references[reference] = self.references.get(reference, 0) + 1

    def base_from(self, index: int, skip: int = 0) -> Iterator[Row]:
        """Base records that nothing replaced, from ``index`` on, without the first ``skip``."""
        collection, entries = self.collection, self.entries
        index += skip
        for replaced in self._replaced_from(index - skip) if skip else ():
            if replaced > index:
                break
            index += 1
        for i in range(index, collection.size):
            key = collection.key(i)
            if key not in entries:
                yield Row(collection.changed_ms(i), key, collection.build(i), deleted=False)


def _into(items: list[Any]) -> Callable[[Any], None]:
    return lambda item: insort(items, item)
