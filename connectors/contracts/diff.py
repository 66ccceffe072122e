"""What changed between two published shapes, and how bad that is for who reads such records.

breaking   records of the new shape break the contract, or mean something else
risky      they pass, and a mapping or a column may not be made for what comes
safe       nothing that is read can tell the difference
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from connectors.contracts.shape import Field, Kind, Shape, Type, nearest, resolve

Shapes = Mapping[str, Shape]
#: A dotted path to what it feeds.
Targets = Mapping[str, tuple[str, ...]]


REMOVED = "removed"


class Severity(StrEnum):
    BREAKING = "breaking"
    RISKY = "risky"
    SAFE = "safe"


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `place` is the dotted path from the shape; `feeds` what a stream makes of it."""

    severity: Severity
    place: str
    what: str
    reason: str
    feeds: tuple[str, ...] = ()


def documents(old: Shapes, new: Shapes) -> list[Change]:
    """All changes between two documents, as if every member was read; the worst first."""
    found: list[Change] = []
    for name, shape in old.items():
        if name in new:
            found += shape_changes(shape, new[name])
        else:
            near = nearest(name, [n for n in new if n not in old])
            hint = f"perhaps it is {near[0]} now" if near else "nothing like it appeared"
            found.append(Change(Severity.BREAKING, name, "type removed", hint))
    for name in new:
        if name not in old:
            found.append(Change(Severity.SAFE, name, "type added", "nothing reads it yet"))
    return ordered(found)


@dataclass(frozen=True, slots=True)
class Reading:
    """A stream's view of two documents: all their shapes, and what it makes of each path."""

    olds: Shapes
    news: Shapes
    targets: Targets

    def changes(self, old: Shape, new: Shape) -> list[Change]:
        """What changed in the stream's records, the worst first.

        A member that it does not use may change as it likes: that is safe, and listed.
        """
        return ordered(self._changes(old, new, ""))

    def _changes(self, old: Shape, new: Shape, prefix: str) -> Iterator[Change]:
        for change in shape_changes(old, new):
            whole = change.place == old.name
            inside = prefix.rstrip(".") if whole else prefix + change.place[len(old.name) + 1 :]
            feeds = self.targets.get(inside, ())
            if feeds or whole or change.severity is Severity.SAFE:
                yield replace(change, feeds=feeds)
            else:
                yield replace(change, severity=Severity.SAFE, reason="no stream reads it")
        for field in old.fields:
            path, then = prefix + field.name, new.field(field.name)
            if then is None or not any(used.startswith(f"{path}.") for used in self.targets):
                continue
            before, after = resolve(field.type, self.olds), resolve(then.type, self.news)
            if before is not None and after is not None:
                yield from self._changes(before, after, f"{path}.")


def shape_changes(old: Shape, new: Shape) -> Iterator[Change]:
    """The changes between two forms of one record type, without what its members refer to."""
    if old.keys != new.keys:
        what = f"key was {'/'.join(old.keys) or 'none'}, is {'/'.join(new.keys) or 'none'}"
        reason = "records would be taken for others: they are stored under the old key"
        yield Change(Severity.BREAKING, old.name, what, reason)
    if (old.root is None) != (new.root is None):
        yield Change(Severity.BREAKING, old.name, "no object any more, or only now", "other JSON")
    elif old.root is not None and new.root is not None:
        yield from _at(old.name, type_changes(old.root, new.root))
    appeared = [f for f in new.fields if old.field(f.name) is None]
    for field in old.fields:
        place, then = f"{old.name}.{field.name}", new.field(field.name)
        if then is None:
            yield _removed(place, field, appeared)
        else:
            yield from _at(place, field_changes(field, then))
    for field in appeared:
        place = f"{old.name}.{field.name}"
        yield Change(Severity.SAFE, place, "added", "unknown members are kept and not read")


def _removed(place: str, field: Field, appeared: list[Field]) -> Change:
    alike = [f.name for f in appeared if f.type.kind is field.type.kind]
    near = nearest(field.name, alike, 1) or (alike if len(alike) == 1 else [])
    hint = f"; {near[0]} of the same kind appeared: renamed?" if near else ""
    return Change(Severity.BREAKING, place, REMOVED, f"what it fed gets no value{hint}")


Found = tuple[Severity, str, str]


def _at(place: str, found: Iterable[Found]) -> Iterator[Change]:
    return (Change(severity, place, what, reason) for severity, what, reason in found)


def field_changes(old: Field, new: Field) -> Iterator[Found]:
    """How a member's presence and type changed."""
    if old.presence == "always" and new.presence != "always":
        what = "may be left out now" if new.presence == "maybe" else "comes only when asked for now"
        yield Severity.BREAKING, what, "the contract demands it"
    elif old.presence == "maybe" and new.presence == "asked":
        yield Severity.RISKY, "comes only when asked for now", "it will be silent until asked for"
    elif old.presence != new.presence:
        yield Severity.SAFE, "is always there now", "it was allowed to be missing"
    yield from type_changes(old.type, new.type)


#: Kinds whose values a reader of the key's kind takes without loss.
WIDER = {Kind.NUMBER: {Kind.INTEGER}, Kind.DECIMAL: {Kind.INTEGER}}


def type_changes(old: Type, new: Type) -> Iterator[Found]:
    """How a type changed, seen by who reads values of it."""
    if old.kind is Kind.ANY and new.kind is not Kind.ANY:
        yield Severity.SAFE, f"is {new.kind} now", "the contract allows any value"
        return
    if old.kind is not new.kind:
        what = f"was {old.kind}, is {new.kind}"
        if new.kind in WIDER.get(old.kind, ()):
            yield Severity.SAFE, what, f"every {new.kind} is read as {old.kind}"
        else:
            yield Severity.BREAKING, what, "values do not pass the contract, or lose their meaning"
        return
    if old.wire != new.wire:
        what = f"spelled {new.wire or 'plainly'}, was {old.wire or 'plainly'}"
        yield Severity.BREAKING, what, "the same value looks different in JSON"
    if new.nullable and not old.nullable:
        yield Severity.BREAKING, "may be null now", "the contract demands a value"
    elif old.nullable and not new.nullable:
        yield Severity.SAFE, "is never null now", "it was allowed to be"
    yield from _limits(old, new)
    yield from _choices(old, new)
    yield from _inside(old, new)


def _inside(old: Type, new: Type) -> Iterator[Found]:
    if old.of != new.of:
        yield Severity.RISKY, f"refers to {new.of}, was {old.of}", "the members inside may differ"
    if old.items is not None and new.items is not None:
        for severity, what, reason in type_changes(old.items, new.items):
            yield severity, f"items: {what}", reason
    if set(old.any_of) != set(new.any_of):
        more = not set(new.any_of) <= set(old.any_of)
        severity = Severity.BREAKING if more else Severity.SAFE
        yield severity, "other alternatives", "new ones pass no contract" if more else "fewer come"


def _limits(old: Type, new: Type) -> Iterator[Found]:
    for name, before, now in (
        ("length", old.max_length, new.max_length),
        ("precision", old.precision, new.precision),
        ("scale", old.scale, new.scale),
    ):
        if before == now:
            continue
        what = f"{name} was {before or 'open'}, is {now or 'open'}"
        if before is not None and (now is None or now > before):
            hard = name == "length"
            reason = "longer values break the contract" if hard else "columns may be too narrow"
            yield Severity.BREAKING if hard else Severity.RISKY, what, reason
        else:
            yield Severity.RISKY, what, "what we write back may be refused; reading is not affected"


def _choices(old: Type, new: Type) -> Iterator[Found]:
    if set(old.choices) == set(new.choices):
        return
    more = [str(c) for c in new.choices if c not in old.choices]
    if old.choices and (more or not new.choices):
        what = f"new values: {', '.join(more[:8])}" if more else "any value may come now"
        yield Severity.BREAKING, what, "the contract and the mapping know the old ones alone"
    else:
        yield Severity.SAFE, "fewer values may come", "all that come are known"


def ordered(changes: Iterable[Change]) -> list[Change]:
    """The worst first; what a stream uses before what none does."""
    rank = list(Severity)
    return sorted(changes, key=lambda c: (rank.index(c.severity), not c.feeds, c.place))
