"""What survivorship means, said in plain Python: no SQL, no code of the catalogue.

The most specific rule that is in force decides; a rule lies in another where it is for less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

STEWARD = "steward"
DIMENSIONS = ("market", "channel")
EVER = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Said:
    """The last thing that a system said of the record. Systems are in the order of connection."""

    system: str
    fields: Mapping[str, Any]
    changed_at: datetime | None
    observed_at: datetime

    @property
    def moment(self) -> datetime:
        return self.changed_at or self.observed_at


@dataclass(frozen=True)
class Outcome:
    """Labels are `name` and, of locales with rules of their own, `name.de_DE`."""

    values: Mapping[str, Any]
    systems: Mapping[str, str]
    held: Mapping[tuple[str, str], Any]


@dataclass(frozen=True)
class Reference:
    """The rules of one entity at a moment. `scopes` {dimension: field}."""

    rules: Sequence[Any]
    now: datetime
    fields: Sequence[str]
    localized: Sequence[str]
    scopes: Mapping[str, str]

    def outcome(self, said: Sequence[Said]) -> Outcome:
        """What is believed once this is all that was said."""
        row: dict[str, Any] = {}
        for dimension, field in self.scopes.items():
            found = self._decide(field, "", said, {})
            row[dimension] = found[0].fields[field] if found[0] else None
        values: dict[str, Any] = {}
        systems: dict[str, str] = {}
        held: dict[tuple[str, str], Any] = {}
        for field in self.fields:
            whole: dict[str, Any] = {}
            first = ""
            for locale in ("", *self._own_locales(field)):
                winner, waiting = self._decide(field, locale, said, row)
                label = f"{field}.{locale}" if locale else field
                held |= {(label, s.system): self._value(s, field, locale) for s in waiting}
                if winner is None:
                    continue
                first = first or winner.system
                value = self._value(winner, field, locale)
                systems[label] = winner.system
                if locale:
                    whole[locale] = value
                elif field in self.localized:
                    whole |= value
                else:
                    values[field] = value
            if field in self.localized and whole:
                values[field] = whole
                systems[field] = first
        return Outcome(values, systems, held)

    def _decide(
        self, field: str, locale: str, said: Sequence[Said], row: Mapping[str, Any]
    ) -> tuple[Said | None, list[Said]]:
        """Who wins, and who is held for a person."""
        speaking = [s for s in said if self._value(s, field, locale) is not None]
        rule = self._rule(field, locale, row)
        ranked = self._ranked(rule, said, speaking)
        winner = ranked[0] if ranked else None
        if rule is None or rule.others != "hold" or (winner and winner.system == STEWARD):
            return winner, []
        won = self._value(winner, field, locale) if winner else None
        return winner, [
            s
            for s in speaking
            if s.system not in (rule.owner, STEWARD) and self._value(s, field, locale) != won
        ]

    def _ranked(self, rule: Any, said: Sequence[Said], speaking: Sequence[Said]) -> list[Said]:
        def of(wanted: Callable[[str], bool]) -> list[Said]:
            return [s for s in speaking if s.system != STEWARD and wanted(s.system)]

        stewards = [s for s in speaking if s.system == STEWARD]
        if rule is None:
            return stewards + of(lambda _: True)
        owner = of(lambda system: system == rule.owner)
        fallbacks = [s for name in rule.fallbacks for s in of(name.__eq__)]
        others = of(lambda system: system not in (rule.owner, *rule.fallbacks))
        if rule.others == "newest":
            # sorted() keeps the order of those that are equally new
            return stewards + sorted(
                owner + fallbacks + others, key=lambda s: s.moment, reverse=True
            )
        if rule.others == "fallback":
            after = timedelta(seconds=rule.silent_after)
            seen = [s.observed_at for s in said if s.system == rule.owner]
            if not any(moment + after > self.now for moment in seen):
                return stewards + fallbacks + others + owner
        return stewards + owner + fallbacks

    def _rule(self, field: str, locale: str, row: Mapping[str, Any]) -> Any:
        matching = [r for r in self.rules if self._matches(r, field, locale, row)]
        smallest = [r for r in matching if all(r is m or not _inside(m, r) for m in matching)]
        assert len(smallest) <= 1, smallest
        return smallest[0] if smallest else None

    def _matches(self, rule: Any, field: str, locale: str, row: Mapping[str, Any]) -> bool:
        if field in self.scopes.values() and any(getattr(rule, d) for d in DIMENSIONS):
            return False
        return (
            rule.field in ("", field)
            and rule.locale in ("", locale)
            and all(getattr(rule, d) in ("", row.get(d)) for d in DIMENSIONS)
            and (rule.valid_from is None or rule.valid_from <= self.now)
            and (rule.valid_to is None or self.now < rule.valid_to)
        )

    def _own_locales(self, field: str) -> Iterator[str]:
        """The locales of a text that a rule in force decides by themselves."""
        named = {
            r.locale
            for r in self.rules
            if r.locale
            and r.field in ("", field)
            and (r.valid_from is None or r.valid_from <= self.now)
            and (r.valid_to is None or self.now < r.valid_to)
        }
        yield from sorted(named) if field in self.localized else ()

    def _value(self, said: Said, field: str, locale: str) -> Any:
        value = said.fields.get(field)
        if field not in self.localized or value is None:
            return value
        if locale:
            return value.get(locale)
        own = set(self._own_locales(field))
        rest = {name: text for name, text in value.items() if name not in own}
        return rest or None


def _inside(inner: Any, outer: Any) -> bool:
    """Whether the one rule is for less than the other."""
    named = all(
        getattr(outer, name) in ("", getattr(inner, name))
        for name in ("field", "locale", *DIMENSIONS)
    )
    starts = outer.valid_from is None or (inner.valid_from or EVER[0]) >= outer.valid_from
    ends = outer.valid_to is None or (inner.valid_to or EVER[1]) <= outer.valid_to
    return named and starts and ends
