"""What a dry run found: what each letter would come to, field changes, and outgoing calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from observability.display import Tone

#: Records and calls that a page or a terminal shows; the counts are of all.
MOST_SHOWN, MOST_CALLS = 100, 20


@dataclass(slots=True)
class Outcome:
    """What some letters would come to, in words."""

    tone: Tone
    what: str
    count: int = 0
    sample: int = 0


@dataclass(slots=True)
class RecordChange:
    """One entity row that would change: {field: [old, new]}."""

    entity: str
    key: str
    kind: str
    fields: dict[str, list[Any]] = field(default_factory=dict)
    letter: int | None = None


@dataclass(slots=True)
class Call:
    """One call that the replay would make, and for how many letters."""

    text: str
    letters: int = 0


@dataclass(slots=True)
class Rehearsal:
    """A dry run of `tried` letters. Nothing of it was kept, and nobody was called."""

    tried: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    records: dict[tuple[str, str], RecordChange] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)

    def comes_to(self, tone: Tone, what: str, letter: int, letters: int = 1) -> None:
        """Count letters in, of which `letter` is a sample."""
        outcome = self.outcomes.setdefault(what, Outcome(tone, what, sample=letter))
        outcome.count += letters

    def calls_for(self, text: str, letters: int = 1) -> None:
        """Count a call in; the same call is made once for all its letters."""
        self.calls.setdefault(text, Call(text)).letters += letters

    def changes(self, change: RecordChange) -> None:
        """Add what happens to a record; later changes of a field go on from earlier ones."""
        known = self.records.setdefault((change.entity, change.key), change)
        if known is change:
            return
        known.letter = change.letter
        if change.kind != "changed":
            known.kind = change.kind
        for name, (old, new) in change.fields.items():
            known.fields[name] = [known.fields.get(name, [old])[0], new]

    @property
    def ranked(self) -> list[Outcome]:
        """Outcomes, the most frequent first."""
        return sorted(self.outcomes.values(), key=lambda outcome: -outcome.count)

    @property
    def shown_records(self) -> list[RecordChange]:
        """The first records, by name."""
        return [self.records[place] for place in sorted(self.records)][:MOST_SHOWN]

    @property
    def shown_calls(self) -> list[Call]:
        """The first calls."""
        return list(self.calls.values())[:MOST_CALLS]

    @property
    def field_count(self) -> int:
        """Fields that would change, of all records."""
        return sum(len(record.fields) for record in self.records.values())
