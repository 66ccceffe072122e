"""The page of a record as it was at a moment: `?at=2026-11-21T12:00Z` on its own page.

Values, parts and references are read from the past (`catalog.past`); what differs from now is marked.
Which revision gave a field its value is told, with its event and run. Which source record stood behind
it, and what other systems said, is not kept; the page says so and does not show today's in its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from catalog.entities import Entity, derived_fields, value_fields
from catalog.history import Revision, changed_since, set_by, steps
from catalog.past import Known, NotKnownError, Standing, begins, knowing, stood
from hub.console.lineage import DEPTH, Block, Line, filled, parts_of, prefetch, shown_value


@dataclass(frozen=True, slots=True)
class Was:
    """One field: its value then and now, and the revision that had given it that value."""

    field: str
    then: Any
    now: Any
    differs: bool
    derived: bool
    since: Revision | None


@dataclass(frozen=True, slots=True)
class Part:
    """One part as it was, and which of its fields were changed since."""

    block: Block
    changed: frozenset[str]


@dataclass(slots=True)
class Then:
    """The page. `lines` and `parts` are empty where the record was not there, or nobody knows."""

    moment: datetime
    known: Known
    before: datetime | None
    after: datetime | None
    lines: list[Was] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    @property
    def differing(self) -> int:
        """How many fields differ from now."""
        return sum(line.differs for line in self.lines)


def then(row: Entity, moment: datetime, *, parts: bool = True) -> Then:
    """The record at a moment, with its parts or without. A dozen statements. Raises TooMuchError."""
    before, after = steps(row, moment)
    cls = type(row)
    try:
        with knowing(moment):
            past = cls._default_manager.filter(pk=row.pk).first()
            known = stood(past, row.key, cls)
            there = past is not None and past.deleted_at is None
            blocks = _blocks(past) if there and parts and past is not None else []
    except NotKnownError:
        past, blocks, known = None, [], Known(Standing.UNKNOWN, begins(cls, row.key))
    if past is None or known.standing is not Standing.THERE:
        return Then(moment, known, before, after)
    given = set_by(past, moment)
    return Then(
        moment,
        known,
        before,
        after,
        lines=[_was(past, row, name, given) for name in _names(cls)],
        parts=list(_marked(blocks, moment)),
    )


def _names(cls: type[Entity]) -> list[str]:
    return [f.name for f in (*value_fields(cls), *derived_fields(cls))]


def _was(past: Entity, row: Entity, name: str, given: dict[str, Revision]) -> Was:
    attribute = str(row._meta.get_field(name).attname)  # type: ignore[union-attr]
    derived = name in {f.name for f in derived_fields(type(row))}
    return Was(
        field=name,
        then=shown_value(past, name),
        now=shown_value(row, name),
        differs=getattr(past, attribute) != getattr(row, attribute),
        derived=derived,
        since=None if derived else given.get(name, given.get("")),
    )


def _blocks(past: Entity) -> list[Block]:
    prefetch(past)
    blocks = list(parts_of(past, DEPTH))
    for block in blocks:
        block.lines = [
            Line(name, shown_value(block.row, name), None)
            for name in filled(block.row)
            if name != block.owner
        ]
    return blocks


def _marked(blocks: Iterable[Block], moment: datetime) -> Iterable[Part]:
    keys: dict[str, list[str]] = {}
    for block in blocks:
        keys.setdefault(block.row.declaration.name, []).append(block.row.key)
    later = changed_since(keys, moment)
    for block in blocks:
        name, key = block.row.declaration.name, block.row.key
        yield Part(block, frozenset(f for n, k, f in later if (n, k) == (name, key)))
