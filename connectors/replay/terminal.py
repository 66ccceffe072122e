"""Dead letters on a terminal: the admin's filters as arguments, and a dry run as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from connectors.replay.boxes import BOXES
from connectors.replay.chosen import Chosen
from connectors.replay.letters import Letters
from connectors.replay.rehearsal import Rehearsal

FILTERS = {
    "code": "error code",
    "cause": "key of a cause, as `dead_letters` prints it",
    "since": "died since, as 2026-11-21T01:50 (UTC unless it says otherwise)",
    "until": "died until",
    "ids": "numbers, as 12,15",
    "q": "beginning of a record key, sender's id or correlation id",
}


def add_arguments(parser: CommandParser) -> None:
    """The box, and a filter."""
    parser.add_argument("--box", choices=sorted(BOXES), default="inbox")
    for name in dict.fromkeys(place for letters in BOXES.values() for place in letters.places):
        parser.add_argument(f"--{name}", default="")
    for name, meaning in FILTERS.items():
        parser.add_argument(f"--{name}", default="", help=meaning)


def meant(options: Mapping[str, Any]) -> tuple[Letters, Chosen]:
    """The box, and what the arguments mean. Raises UnclearError."""
    letters = BOXES[options["box"]]
    return letters, Chosen.read(options, letters.places)


def as_text(made: Rehearsal, count: int) -> Iterator[str]:
    """A dry run, line by line."""
    yield f"A replay of {count} dead letters would do this ({made.tried} were tried):"
    for outcome in made.ranked:
        yield f"  {outcome.count:>6}  {outcome.what} (#{outcome.sample})"
    yield f"Outgoing calls: {len(made.calls) or 'none'}"
    for call in made.shown_calls:
        yield f"  {call.text}" + (f" (for {call.letters})" if call.letters > 1 else "")
    yield f"Field changes: {made.field_count or 'none'}"
    for record in made.shown_records:
        for name, (old, new) in record.fields.items():
            yield f"  {record.entity} {record.key} {record.kind}: {name}: {old!r} -> {new!r}"
        if not record.fields:
            yield f"  {record.entity} {record.key} {record.kind}"
    left_out = len(made.records) - len(made.shown_records)
    if left_out:
        yield f"  and {left_out} more records"
