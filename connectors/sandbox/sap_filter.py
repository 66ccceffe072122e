"""The part of OData V2's `$filter` that integrations use: comparisons joined by `and`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_TERM = re.compile(
    r"\(?\s*(?P<name>\w+)\s+(?P<op>eq|ne|gt|ge|lt|le)\s+"
    r"(?:(?P<kind>datetimeoffset|datetime|time)?'(?P<text>(?:[^']|'')*)'|(?P<number>-?[\d.]+)[MmLlDd]?"
    r"|(?P<truth>true|false)\b)\s*\)?"
)
_JOIN = re.compile(r"\s+and\s+")
_DATE = re.compile(r"/Date\((-?\d+)")
_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt,
    "ge": operator.ge, "lt": operator.lt, "le": operator.le,
}  # fmt: skip


class BadFilter(ValueError):
    """What is not understood; the message quotes it."""


@dataclass(frozen=True)
class Term:
    """One comparison. `value`: text, number, or milliseconds for a date."""

    name: str
    op: str
    value: Any

    def holds(self, record: dict[str, Any]) -> bool:
        found = record.get(self.name)
        if isinstance(found, str) and _DATE.match(found):
            found = milliseconds(found)
        if isinstance(self.value, float):
            found = float(found or 0)
        if isinstance(found, bool):
            found = str(found).lower()
        return found is not None and _OPS[self.op](found, self.value)


def milliseconds(date: str) -> int:
    """Of `/Date(1755878142000)/`, with or without an offset."""
    found = _DATE.match(date)
    if found is None:
        raise ValueError(f"{date!r} is no date of OData V2's JSON")
    return int(found[1])


def parse(text: str) -> list[Term]:
    """Raises BadFilter."""
    terms, at = [], 0
    text = text.strip()
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            raise BadFilter(f"cannot read {text[at : at + 40]!r}")
        terms.append(Term(found["name"], found["op"], _value(found)))
        at = found.end()
        if at < len(text):
            joined = _JOIN.match(text, at) or _JOIN.match(text, at - 1)
            if joined is None:
                raise BadFilter(f"cannot read {text[at : at + 40]!r}")
            at = joined.end()
    return terms


def _value(found: re.Match[str]) -> Any:
    if found["number"] is not None:
        return float(found["number"])
    if found["truth"] is not None:
        return found["truth"]
    text = found["text"].replace("''", "'")
    if found["kind"] in ("datetime", "datetimeoffset"):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise BadFilter(f"{text!r} is no date") from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    return text
