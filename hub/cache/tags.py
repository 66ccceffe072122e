"""What an answer reads, by the tags of `catalog.tags`; noted while its statement is compiled.

A record's tag holds where its key is known before anything is read, and its parts are found by
their reference to it: `catalog.tags` goes the same way up. Everything else (lists, their
filters, references, ways through a tree) is tagged coarsely, by the entity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from catalog.entities import Entity, behind
from catalog.tags import of_all, of_record
from hub.cache.classes import DataClass, strictest


@dataclass(frozen=True, slots=True)
class Reads:
    """What a statement reads. `records`: entities, and where among the parameters their keys are."""

    kind: DataClass
    entities: tuple[str, ...] = ()
    records: tuple[tuple[str, int], ...] = ()

    def tags(self, parameters: Sequence[str]) -> list[str]:
        """The tags of an answer to these parameters."""
        return [
            *self.entities,
            *[of_record(name, parameters[place]) for name, place in self.records],
        ]


@dataclass(slots=True)
class Noting:
    """Collects what a statement reads while it is compiled. Coarse, unless somebody says better."""

    classes: set[str] = field(default_factory=set)
    _entities: dict[str, None] = field(default_factory=dict)
    _records: dict[tuple[str, int], None] = field(default_factory=dict)
    #: Whether what is compiled now belongs to a record whose tag is noted.
    _inside: bool = False

    def read(self, cls: type[Entity], *, part: bool = False) -> None:
        """Rows of an entity; `part`: those whose reference leads to the row they hang on."""
        self.classes.add(cls.declaration.data_class)
        if not (part and self._inside):
            self._entities[of_all(cls)] = None

    def read_field(self, cls: type[Entity], name: str) -> None:
        """A field may have to be fresher than its entity; a guarded one is of a class of its own."""
        self.classes.add(cls.declaration.class_of(name))
        for owner, called in behind(cls, name):
            if guarded := owner.declaration.guarded.get(called):
                self.classes.add(guarded.field_class)

    @contextmanager
    def record(self, cls: type[Entity], parameter: int) -> Iterator[None]:
        """Compiling the record whose key is that parameter."""
        self.classes.add(cls.declaration.data_class)
        self._records[cls.declaration.name, parameter] = None
        with self._where(inside=True):
            yield

    @contextmanager
    def elsewhere(self, cls: type[Entity]) -> Iterator[None]:
        """Compiling rows of an entity that are reached by a reference, and what hangs on them."""
        with self._where(inside=False):
            self.read(cls)
            yield

    def noted(self) -> Reads:
        """All of it."""
        return Reads(strictest(self.classes), tuple(self._entities), tuple(self._records))

    @contextmanager
    def _where(self, *, inside: bool) -> Iterator[None]:
        before, self._inside = self._inside, inside
        try:
            yield
        finally:
            self._inside = before
