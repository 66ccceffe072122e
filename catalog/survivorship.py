"""Which rule decides, where several do: the most specific one, the same for all that ask.

A rule is a box: some fields, locales, markets and channels, in some time. Of two boxes that
overlap the one that lies in the other decides there. `catalog.rule_checks` refuses boxes that
overlap in any other way, unless a third rule is for exactly what they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import models

from catalog.entities import Entity, LocalizedField, entity, value_fields
from catalog.ownership import EVERY_FIELD, EVERYWHERE, STEWARD, Others, OwnershipRule

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Case:
    """A rule, and the rows for which it decides: {dimension: value}, empty: all."""

    scope: Mapping[str, str]
    rule: OwnershipRule

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of these dimensions is one of them."""
        return all(row.get(name) == value for name, value in self.scope.items())


@dataclass(frozen=True, slots=True)
class Decided:
    """What decides one field, or one locale of it: the first case that holds. None: it is open.

    An open field takes the first value that there is, in the order in which the systems were
    connected.
    """

    field: str
    locale: str
    cases: tuple[Case, ...]

    @property
    def label(self) -> str:
        """As provenance names it: `name`, `name.de_DE`."""
        return f"{self.field}.{self.locale}" if self.locale else self.field

    @property
    def plain(self) -> bool:
        """One rule at most for all rows, by which nobody but owner and fallbacks decides."""
        rules = [case for case in self.cases if case.scope or case.rule.others != Others.REJECT]
        return not rules and not self.locale

    def rule(self, row: Mapping[str, Any]) -> OwnershipRule | None:
        """The rule for a row of these dimensions."""
        return next((case.rule for case in self.cases if case.holds(row)), None)

    def admitted(self, system: str) -> bool:
        """Whether the system may ever supply it."""
        if system == STEWARD or not self.cases or self.cases[-1].scope:
            return True
        return any(
            system in case.rule.order or case.rule.others in (Others.FALLBACK, Others.NEWEST)
            for case in self.cases
        )


@dataclass(frozen=True, slots=True)
class Survivorship:
    """The rules of one entity that are in force, resolved for each of its fields.

    `locales`: what decides single locales of a field, before the field's own rule does.
    """

    entity: type[Entity]
    fields: Mapping[str, Decided]
    locales: Mapping[str, tuple[Decided, ...]]

    def decided(self) -> Iterator[Decided]:
        """All of it: each field, and behind it its locales that have rules of their own."""
        for name, decided in self.fields.items():
            yield decided
            yield from self.locales.get(name, ())

    def of(self, label: str) -> Decided:
        """By label. Raises LookupError that lists what there is."""
        known = {decided.label: decided for decided in self.decided()}
        if label not in known:
            raise LookupError(
                f"{self.entity.declaration.name} has no field {label!r}; it has"
                f" {', '.join(sorted(known))}"
            )
        return known[label]

    def admitted(self, field: str, system: str) -> bool:
        """Whether the system may ever supply the field, or a locale of it."""
        deciding = [d for d in self.decided() if d.field == field]
        return not deciding or any(decided.admitted(system) for decided in deciding)

    def dimensions(self, row: Entity) -> dict[str, Any]:
        """What a row is for: {market: "DE"}."""
        return {name: getattr(row, field) for name, field in self.entity.declaration.scopes.items()}


def survivorship(
    entity_name: str, rules: Iterable[OwnershipRule], at: datetime | None = None
) -> Survivorship:
    """Resolve the rules that are in force; without a moment all that are given."""
    cls = entity(entity_name)
    mine = sorted(
        (r for r in rules if r.entity == entity_name and (at is None or r.active(at))),
        key=_specific_first,
    )
    fields = value_fields(cls)
    return Survivorship(
        entity=cls,
        fields={f.name: _decided(cls, f.name, EVERYWHERE, mine) for f in fields},
        locales={f.name: found for f in fields if (found := tuple(_locales_of(cls, f, mine)))},
    )


def _locales_of(
    cls: type[Entity], field: models.Field[Any, Any], rules: Sequence[OwnershipRule]
) -> Iterator[Decided]:
    if not isinstance(field, LocalizedField):
        return
    named = {r.locale for r in rules if r.field in (EVERY_FIELD, field.name)} - {EVERYWHERE}
    for locale in sorted(named):
        yield _decided(cls, field.name, locale, rules)


def _decided(cls: type[Entity], field: str, locale: str, rules: Sequence[OwnershipRule]) -> Decided:
    cases: list[Case] = []
    for rule in rules:
        if rule.field not in (EVERY_FIELD, field) or rule.locale not in (EVERYWHERE, locale):
            continue
        scope = {name: value for name, value in rule.narrowed.items() if name != "locale"}
        # What says for which market a row is, no market can decide.
        if scope and field in cls.declaration.scopes.values():
            continue
        if all(case.scope != scope for case in cases):
            cases.append(Case(scope, rule))
        if not scope:
            break
    return Decided(field, locale, tuple(cases))


def _specific_first(rule: OwnershipRule) -> tuple[Any, ...]:
    """A rule whose box lies in another's comes before it."""
    narrowed = len(rule.narrowed) + (rule.field != EVERY_FIELD)
    start, end = rule.valid_from or EARLIEST, rule.valid_to or LATEST
    return -narrowed, -(start - EARLIEST).total_seconds(), end, rule.pk or 0
