"""What an answer is for, and how old its values may be then: the header `Headwater-Use`.

A caller that sends none is served whatever there is, marked. One that says `checkout` is refused
where a value that the answer holds is older than that use's limit for the value's data class
(`observability.uses`): a problem of status 503 that names field, system, age and limit.

Most answers pass by what the streams' watermarks say alone: a value is at least as fresh as its
stream. Only where a stream is behind are the values themselves looked at, one by one, by the slower
executors.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from catalog.entities import Entity, entities, related
from catalog.explain import DEPTH, FieldProvenance, Sees, field_of, part_path, provenance_of
from hub import suppliers
from hub.listing import shown
from hub.problems import BadInputError, RequestError
from hub.reads.members import members
from hub.rows import live, referenced, references
from hub.usage.uses import Field
from observability import degradation
from observability.display import duration
from observability.freshness import watermarks
from observability.uses import UseLimit

HEADER = "Headwater-Use"
KNOWN_SECONDS = 2.0
#: When to come back where nobody knows better.
USUAL_RETRY = 15

_uses: Mapping[str, Mapping[str, int]] = {}
_looked = float("-inf")


class TooOldError(RequestError):
    """A value is older than the use that was declared allows."""

    code = "too_old"
    http_status = 503


@dataclass(frozen=True, slots=True)
class Value:
    """A value that an answer holds: its path there, whose it is, and its source record."""

    path: str
    row: Entity
    field: str
    record: int


class Use:
    """One use and its limits, {data class: seconds}."""

    def __init__(self, name: str, limits: Mapping[str, int]) -> None:
        self.name, self.limits = name, limits

    def safe(self, reads: Iterable[Field]) -> bool:
        """Whether no value of an answer that reads these can be too old, by its streams alone."""
        limited = [
            (limit, streams)
            for field, streams in suppliers.behind(reads).items()
            if (limit := self._limit(*field)) is not None
        ]
        if not limited:
            return True
        known = watermarks()
        for limit, streams in limited:
            for stream in streams:
                fresh = known.get(stream)
                if fresh is None or fresh.lag_seconds is None or fresh.lag_seconds > limit:
                    return False
        return True

    def check(self, values: Iterable[Value]) -> None:
        """Look at the values themselves. Raises TooOldError for the one that is furthest beyond."""
        found = [v for v in values if self._limit(v.row.declaration.name, v.field) is not None]
        known = {
            p.source_record_id: p
            for p in provenance_of([("", r) for r in {v.record for v in found}])
        }
        old = [
            (known[v.record].age_seconds - limit, place)
            for place, v in enumerate(found)
            if v.record in known
            and (limit := self._limit(v.row.declaration.name, v.field)) is not None
            and known[v.record].age_seconds > limit
        ]
        if old:
            worst = found[max(old, key=lambda one: (round(one[0]), -one[1]))[1]]
            raise self._too_old(worst, known[worst.record])

    def _limit(self, entity: str, field: str) -> int | None:
        return self.limits.get(entities()[entity].declaration.class_of(field_of(field)))

    def _too_old(self, value: Value, stands: FieldProvenance) -> TooOldError:
        limit = self._limit(value.row.declaration.name, value.field) or 0
        outage = degradation.current().outages.get(stands.system)
        because = f"; {outage.reason}" if outage else ""
        error = TooOldError(
            f"{value.field} of {value.row.declaration.name} {shown(value.row.key)} is"
            f" {duration(stands.age_seconds)} old, and {self.name} takes it up to"
            f" {duration(limit)}{because}",
            parameter=HEADER,
        )
        error.members = {
            "use": self.name,
            "field": value.path,
            "system": stands.system,
            "age_seconds": stands.age_seconds,
            "limit_seconds": limit,
        }
        error.retry_after = (outage and outage.retry_after) or USUAL_RETRY
        return error


def use_of(name: str | None) -> Use | None:
    """The use that a request declares; None where it declares none. Raises BadInputError."""
    if not name:
        return None
    known = _known()
    if name not in known:
        listed = ", ".join(sorted(known)) or "none is declared"
        raise BadInputError(f"unknown use {shown(name)}; known are {listed}", parameter=HEADER)
    return Use(name, known[name])


def values_of(row: Entity, sees: Sees, *, parts: bool) -> Iterator[Value]:
    """What REST shows of a record, as `hub.rest.represent` does; null stands for what is not seen."""
    found = _values(row, "", DEPTH if parts else 0)
    return (value for value in found if sees(type(value.row), field_of(value.field)))


def _values(row: Entity, prefix: str, depth: int) -> Iterator[Value]:
    yield from _own(row, prefix)
    for name in references(type(row)):
        if related(type(row), name).declaration.tree:
            target = referenced(row, name)
            if target is not None:
                yield from _own(target, f"{prefix}{name}.")
    for part in row.declaration.parts if depth else ():
        for child in live(getattr(row, part)):
            yield from _values(child, f"{prefix}{part}.{part_path(child)}.", depth - 1)


def _own(row: Entity, prefix: str) -> Iterator[Value]:
    for field, record in row.provenance.items():
        yield Value(f"{prefix}{field}", row, field, record)


class Noted:
    """Middleware of Graphene's executor: notes which values an answer is made of."""

    def __init__(self) -> None:
        self.values: list[Value] = []

    def resolve(self, following: Any, root: Any, info: Any, **arguments: Any) -> Any:
        """See graphql-core's `MiddlewareManager`."""
        if isinstance(root, Entity):
            self._note(root, info)
        return following(root, info, **arguments)

    def _note(self, row: Entity, info: Any) -> None:
        name = _field_of(type(row), info.field_name)
        path = ".".join(str(step) for step in info.path.as_list())
        # Where null stands nobody learns how old the value is, or whose.
        sees: Sees = info.context["visibility"].sees
        if name in row.provenance and sees(type(row), name):
            self.values += [
                Value(path, row, label, record)
                for label, record in row.provenance.items()
                if field_of(label) == name
            ]
        measured = row.declaration.summaries.get(name, "")
        for child in live(getattr(row, name)) if measured else ():
            if measured in child.provenance and sees(type(child), measured):
                self.values.append(Value(path, child, measured, child.provenance[measured]))


def _field_of(cls: type[Entity], called: str) -> str:
    """The attribute behind a field of the entity's GraphQL type; empty for others."""
    known = members(cls).get(called)
    return known.name if known else ""


def _known() -> Mapping[str, Mapping[str, int]]:
    global _uses, _looked
    if time.monotonic() - _looked > KNOWN_SECONDS:
        found: dict[str, dict[str, int]] = {}
        for row in UseLimit.objects.all():
            limits = found.setdefault(row.use, {})
            if row.max_age_seconds is not None:
                limits[row.data_class] = row.max_age_seconds
        _uses, _looked = found, time.monotonic()
    return _uses


def forget() -> None:
    """Look again."""
    global _looked  # noqa: PLW0603 (one a process)
    _looked = float("-inf")
