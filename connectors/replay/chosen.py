"""Which dead letters a person means: the same words in an address and on a command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_date, parse_datetime

from connectors.replay.causes import with_cause

#: More ids do not fit into an address; a filter says it shorter.
MOST_IDS = 1000
#: The longest number that fits a bigint for certain.
DIGITS = 18


class UnclearError(ValueError):
    """What was asked for cannot be understood, or would mean everything."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A filter. `since` and `until` bound when a letter died; `seen` is when a person saw the list.

    Letters that died after `seen` were not what the person decided about.
    """

    places: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    cause: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    ids: tuple[int, ...] = ()
    seen: datetime | None = None

    @classmethod
    def read(cls, values: Mapping[str, str], places: Iterable[str]) -> Chosen:
        """From an address or a command line. Raises UnclearError."""
        return cls(
            places={name: given for name in places if (given := values.get(name, "").strip())},
            code=values.get("code", "").strip(),
            cause=values.get("cause", "").strip(),
            text=values.get("q", "").strip(),
            since=_moment("since", values.get("since", "")),
            until=_moment("until", values.get("until", "")),
            ids=_ids(values.get("ids", "")),
            seen=_moment("seen", values.get("seen", "")),
        )

    @property
    def empty(self) -> bool:
        """Whether it names nothing, so that it would mean every dead letter there is."""
        return not any(
            (self.places, self.code, self.cause, self.text, self.since, self.until, self.ids)
        )

    def needed(self) -> Chosen:
        """Itself. Raises UnclearError for an empty one: nobody replays everything by mistake."""
        if self.empty:
            raise UnclearError("Choose first: an empty filter would mean every dead letter.")
        return self

    def as_seen(self, moment: datetime) -> Chosen:
        """The same, of what was dead by then."""
        return replace(self, seen=moment)

    def words(self) -> dict[str, str]:
        """As `read` takes it, without what is not given."""
        return {
            **self.places,
            **{
                name: given
                for name, given in (
                    ("code", self.code),
                    ("cause", self.cause),
                    ("q", self.text),
                    ("since", self.since.isoformat() if self.since else ""),
                    ("until", self.until.isoformat() if self.until else ""),
                    ("ids", ",".join(map(str, self.ids))),
                    ("seen", self.seen.isoformat() if self.seen else ""),
                )
                if given
            },
        }

    def query(self) -> str:
        """The part of an address behind the question mark."""
        return urlencode(self.words())

    def of(
        self, rows: QuerySet[Any], places: Mapping[str, str], searched: Sequence[str]
    ) -> QuerySet[Any]:
        """Those of the rows that are meant. `places` are the look-ups behind the names."""
        wanted = Q(**{places[name]: given for name, given in self.places.items()})
        if self.code:
            wanted &= Q(error_code=self.code)
        if self.since:
            wanted &= Q(finished_at__gte=self.since)
        if self.until:
            wanted &= Q(finished_at__lte=self.until)
        if self.seen:
            wanted &= Q(finished_at__lte=self.seen)
        if self.ids:
            wanted &= Q(pk__in=self.ids)
        if self.text:
            said = Q()
            for name in searched:
                said |= Q(**{f"{name}__startswith": self.text})
            number = self.text.lstrip("#")
            if number.isascii() and number.isdigit() and len(number) <= DIGITS:
                said |= Q(pk=int(number))
            wanted &= said
        rows = rows.filter(wanted)
        return with_cause(rows).filter(cause=self.cause) if self.cause else rows


def _moment(name: str, given: str) -> datetime | None:
    """A time; without a zone it is UTC, as everything that the admin shows."""
    text = given.strip()
    if not text:
        return None
    try:
        moment = parse_datetime(text)
        if moment is None and (day := parse_date(text)):
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    except ValueError:
        moment = None
    if moment is None:
        raise UnclearError(f"{name}: {text[:60]} is no time; one is 2026-11-21T01:50")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ids(given: str) -> tuple[int, ...]:
    parts = [part.strip() for part in given.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and len(part) <= DIGITS for part in parts):
        raise UnclearError(f"ids: {given[:60]} is no list of numbers")
    if len(parts) > MOST_IDS:
        raise UnclearError(f"ids: at most {MOST_IDS} at once; a filter takes any number")
    return tuple(int(part) for part in parts)
