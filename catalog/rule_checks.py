"""Which ownership rules are refused, and what to do instead: {field of the rule: message}."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from catalog.entities import Entity, LocalizedField, entities, value_fields
from catalog.ownership import EVERY_FIELD, EVERYWHERE, Others, OwnershipRule
from catalog.source import Source
from catalog.survivorship import EARLIEST, LATEST

Problem = tuple[str, str]
#: About a rule as a whole, as Django's forms have it.
WHOLE = "__all__"
DIMENSIONS = ("market", "channel")


class RuleRefusedError(ValueError):
    """A rule that cannot be; `problems` {field of the rule: message}."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__(" ".join(m if f == WHOLE else f"{f}: {m}" for f, m in problems.items()))
        self.problems = problems


def check(rule: OwnershipRule, all_others: Iterable[OwnershipRule]) -> None:
    """Raises RuleRefusedError: the rule by itself, then beside all the others of its entity."""
    problems: dict[str, str] = {}
    for field, message in _problems(rule, list(all_others)):
        problems.setdefault(field, message)
    if problems:
        raise RuleRefusedError(problems)


def check_all(rules: Sequence[OwnershipRule]) -> None:
    """Raises RuleRefusedError where two of them contradict each other: for the removal of a third."""
    for place, rule in enumerate(rules):
        if found := next(_contradictions(rule, rules[:place], rules), None):
            raise RuleRefusedError({WHOLE: found})


def _problems(rule: OwnershipRule, others: list[OwnershipRule]) -> Iterator[Problem]:
    known = entities()
    if rule.entity not in known:
        yield "entity", f"No entity {rule.entity!r}. There are: {', '.join(sorted(known))}."
        return
    cls = known[rule.entity]
    alone = [*_field(rule, cls), *_locale(rule, cls)]
    for dimension in DIMENSIONS:
        alone += _dimension(rule, cls, dimension)
    alone += [*_systems(rule), *_policy(rule)]
    if rule.valid_from and rule.valid_to and rule.valid_to <= rule.valid_from:
        alone.append(("valid_to", "The window ends before it begins; name a later time."))
    yield from alone
    if not alone:
        beside = [r for r in others if r.entity == rule.entity and r.pk != rule.pk]
        for message in _contradictions(rule, beside, [*beside, rule]):
            yield WHOLE, message


def _field(rule: OwnershipRule, cls: type[Entity]) -> Iterator[Problem]:
    known = [f.name for f in value_fields(cls)]
    if rule.field != EVERY_FIELD and rule.field not in known:
        yield "field", f"{rule.entity} has no field {rule.field!r}. It has: {', '.join(known)}."


def _locale(rule: OwnershipRule, cls: type[Entity]) -> Iterator[Problem]:
    if rule.locale == EVERYWHERE:
        return
    localized = [f.name for f in value_fields(cls) if isinstance(f, LocalizedField)]
    if not localized or rule.field not in (EVERY_FIELD, *localized):
        what = f"{rule.entity}.{rule.field}" if localized else f"No field of {rule.entity}"
        has = f"Localized are: {', '.join(localized)}." if localized else "Leave the locale empty."
        yield "locale", f"{what} is {'not ' if localized else ''}localized. {has}"
    elif rule.locale not in settings.HEADWATER_LOCALES:
        known = ", ".join(settings.HEADWATER_LOCALES)
        yield "locale", f"No locale {rule.locale!r}. HEADWATER_LOCALES has: {known}."


def _dimension(rule: OwnershipRule, cls: type[Entity], dimension: str) -> Iterator[Problem]:
    value, name = getattr(rule, dimension), cls.declaration.scopes.get(dimension)
    if value == EVERYWHERE:
        return
    if name is None:
        having = [n for n, c in sorted(entities().items()) if dimension in c.declaration.scopes]
        has = f"It is of: {', '.join(having)}." if having else "No entity has one."
        yield dimension, f"A {rule.entity} is not for one {dimension}. {has} Leave it empty."
    elif rule.field in cls.declaration.scopes.values():
        yield dimension, f"{rule.field} says what a row is for; its rule cannot be narrowed by it."
    else:
        known = _known_values(cls, dimension, name)
        if known and value not in known:
            yield dimension, f"No {dimension} {value!r}. Known are: {', '.join(sorted(known))}."


def _known_values(cls: type[Entity], dimension: str, name: str) -> set[str]:
    """What is declared, and what rows have."""
    rows = cls._default_manager.exclude(**{f"{name}__isnull": True})
    found = set(rows.order_by().values_list(name, flat=True).distinct())
    if dimension == "market":
        for market, countries in settings.HEADWATER_MARKETS.items():
            found |= set(countries or (market,))
    return found


def _systems(rule: OwnershipRule) -> Iterator[Problem]:
    systems = set(Source.objects.values_list("system", flat=True))
    spoken = f"Systems that are connected: {', '.join(sorted(systems)) or 'none yet'}."
    if not rule.owner:
        yield "owner", f"Name the system that decides. {spoken}"
    elif systems and rule.owner not in systems:
        yield "owner", f"No system {rule.owner!r}. {spoken}"
    for system in rule.fallbacks:
        if systems and system not in systems:
            yield "fallbacks", f"No system {system!r}. {spoken}"
    if len(set(rule.order)) != len(rule.order):
        yield "fallbacks", "A system is named twice; name each once."


def _policy(rule: OwnershipRule) -> Iterator[Problem]:
    if rule.others not in Others.values:
        yield "others", f"No policy {rule.others!r}. There are: {', '.join(Others.values)}."
    elif rule.others == Others.FALLBACK and not rule.silent_after:
        yield "silent_after", "Say after how many seconds of silence others are accepted."
    elif rule.others != Others.FALLBACK and rule.silent_after is not None:
        yield "silent_after", f"Only the policy {Others.FALLBACK.value!r} waits; leave it empty."


@dataclass(frozen=True, slots=True)
class Box:
    """For what a rule is; empty: for all."""

    field: str
    locale: str
    market: str
    channel: str
    start: datetime
    end: datetime

    @classmethod
    def of(cls, rule: OwnershipRule) -> Box:
        """The box of a rule."""
        return cls(
            rule.field, rule.locale, rule.market, rule.channel,
            rule.valid_from or EARLIEST, rule.valid_to or LATEST,
        )  # fmt: skip

    def shared(self, other: Box) -> Box | None:
        """What both are for, or None."""
        names = ("field", "locale", "market", "channel")
        both: dict[str, str] = {}
        for name in names:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine and theirs and mine != theirs:
                return None
            both[name] = mine or theirs
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Box(**both, start=start, end=end) if start < end else None

    def exists(self, cls: type[Entity]) -> bool:
        """Whether anything of the entity is in it."""
        fields = [f for f in value_fields(cls) if self.field in (EVERY_FIELD, f.name)]
        if self.locale:
            fields = [f for f in fields if isinstance(f, LocalizedField)]
        if self.market or self.channel:
            fields = [f for f in fields if f.name not in cls.declaration.scopes.values()]
        return bool(fields)

    def __str__(self) -> str:
        said = [f"field {self.field or 'empty'}"]
        said += [
            f"{name} {value}"
            for name in ("locale", "market", "channel")
            if (value := getattr(self, name))
        ]
        if self.start > EARLIEST:
            said.append(f"valid from {self.start:%Y-%m-%d %H:%M}")
        if self.end < LATEST:
            said.append(f"valid to {self.end:%Y-%m-%d %H:%M}")
        return ", ".join(said)


def _contradictions(
    rule: OwnershipRule, beside: Iterable[OwnershipRule], everything: Sequence[OwnershipRule]
) -> Iterator[str]:
    """About rules of which neither is the more specific one, and for which no third decides."""
    mine = Box.of(rule)
    boxes = {Box.of(other) for other in everything if other.entity == rule.entity}
    for other in beside:
        if other.entity != rule.entity:
            continue
        theirs = Box.of(other)
        if mine == theirs:
            yield f"Rule {other.pk} ({other}) is for exactly this already; change that one."
            continue
        shared = mine.shared(theirs)
        if shared is None or shared in (mine, theirs) or shared in boxes:
            continue
        if shared.exists(entities()[rule.entity]):
            yield (
                f"It contradicts rule {other.pk} ({other}): neither is the more specific one."
                f" First write the rule for what both are for ({shared}), or narrow this one."
            )
