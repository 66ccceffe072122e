"""Names that appear in records, and names that vanish, where no contract is broken by it.

A few changed records of a page are compared, name by name, with the same records as they are
stored; a record that is new, with its neighbours in the store. That is one statement and some
tens of small documents for the first page of a run; a later one is compared only if its sample has
other names than the one before, and a page without news not at all. What
the contract does not describe (free maps, members that nobody reads) is not looked into.

A member that the contract lets be absent may be cleared by somebody on purpose. Only when it is
gone from every record that is compared, and another has appeared beside it in all of them, are
the records held as if it were demanded: the value would be lost, and was likely renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from time import monotonic
from typing import Any, get_args

from django.db import connection
from pydantic.fields import FieldInfo

from connectors.drift.breaches import document_of, value_at
from connectors.drift.renaming import renamed
from connectors.runtime.declare import Contract, StreamSpec, source

#: Changed records of a page that are looked at.
SAMPLE = 16
#: Records that a new one is compared with.
NEIGHBOURS = 8
#: From so many records on it is no accident that all of them lost the same member.
ENOUGH = 3
#: Events come one by one: one in so many seconds is looked at for each stream.
EVENT_SECONDS = 0.25

STORED = """
SELECT record_key, payload::text FROM catalog_sourcerecord
WHERE source_id = %s AND record_key = ANY(%s) AND deleted_at IS NULL"""

BESIDE = """
SELECT record_key, payload::text FROM catalog_sourcerecord
WHERE source_id = %s AND record_key > %s AND deleted_at IS NULL ORDER BY record_key LIMIT %s"""


@dataclass(slots=True)
class Noticed:
    """One name that appeared or vanished: in how many records, and what stood, or stands, there."""

    records: int = 0
    first: str = ""
    last: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, key: str, value: Any) -> None:
        """One record more."""
        self.records, self.first, self.last = self.records + 1, self.first or key, key
        self.values[key] = value


@dataclass(slots=True)
class Look:
    """What one look at some records came to. `present` are the names that they have."""

    appeared: dict[str, Noticed] = field(default_factory=dict)
    vanished: dict[str, Noticed] = field(default_factory=dict)
    present: frozenset[str] = frozenset()

    @property
    def differs(self) -> bool:
        """Whether a name came or went, or might be there again."""
        return bool(self.appeared or self.vanished)

    def renames(self, used: Iterable[str]) -> dict[str, str]:
        """Used members that were likely renamed, and the one that appeared beside each."""
        found: dict[str, str] = {}
        for path in used:
            lost = self.vanished.get(path)
            if lost is None or lost.records < ENOUGH or path in self.present:
                continue
            beside = path.rpartition(".")[0]
            rivals = [
                name
                for name, new in self.appeared.items()
                if name.rpartition(".")[0] == beside and set(lost.values) <= set(new.values)
            ]
            if rivals:
                # The one whose values agree; which they do, the detective tells in full.
                found[path] = max(rivals, key=lambda name: _agreement(lost, self.appeared[name]))
        return found


class Watch:
    """Looks at the records of one stream."""

    def __init__(self, spec: StreamSpec, source_id: int) -> None:
        self._contract, self._source = spec.contract, source_id
        self.used = frozenset(used_members(spec))
        #: Used, and allowed to be absent: their going breaks no contract.
        self.optional = frozenset(p for p in self.used if not _demanded(spec.contract, p))
        self._event_at = 0.0
        #: The names of the last sample that differed from the store in none.
        self._usual: frozenset[str] | None = None

    def due(self) -> bool:
        """Whether an event is to be looked at."""
        if monotonic() < self._event_at:
            return False
        self._event_at = monotonic() + EVENT_SECONDS
        return True

    def look(self, news: Sequence[tuple[str, Any]], aliases: Mapping[str, str]) -> Look | None:
        """Compare some of the records (key, raw); None where there is nothing to compare with.

        Both sides are read under their contract's names: stored is what came, aliases or not.
        """
        sample = dict(news[:: max(1, len(news) // SAMPLE)][:SAMPLE])
        now = {k: names(self._contract, _read(raw, aliases)) for k, raw in sample.items()}
        present = frozenset[str]().union(*now.values())
        if present == self._usual:
            return None
        before = self._stored(list(sample), aliases)
        beside = self._beside(min(sample), aliases) if sample.keys() - before.keys() else []
        if not before and not beside:
            return None
        look = Look(present=present)
        known = frozenset[str]().union(*beside)
        always = frozenset.intersection(*beside) if len(beside) >= ENOUGH else frozenset[str]()
        for key, raw in sample.items():
            old = before.get(key)
            if old is not None:
                then = names(self._contract, old)
                appeared, vanished = now[key] - then, then - now[key]
            elif beside:
                appeared, vanished = now[key] - known, always - now[key]
            else:
                continue
            after = _read(raw, aliases) if appeared else None
            for path in appeared:
                look.appeared.setdefault(path, Noticed()).add(key, value_at(after, path))
            for path in vanished:
                look.vanished.setdefault(path, Noticed()).add(key, value_at(old, path))
        self._usual = None if look.differs else present
        return look

    def lost(self, records: Mapping[str, Any], paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """By key: which of the members a record had as it is stored, and lacks as it came."""
        lacking: dict[str, list[str]] = {}
        for key, raw in records.items():
            now = names(self._contract, document_of(raw))
            if gone := [path for path in paths if path not in now]:
                lacking[key] = gone
        if not lacking:
            return {}
        before = {k: names(self._contract, d) for k, d in self._stored(list(lacking), {}).items()}
        return {
            key: had
            for key, gone in lacking.items()
            if (had := tuple(path for path in gone if path in before.get(key, ())))
        }

    def _stored(self, keys: list[str], aliases: Mapping[str, str]) -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute(STORED, (self._source, keys))
            return {key: _read(payload.encode(), aliases) for key, payload in cursor.fetchall()}

    def _beside(self, key: str, aliases: Mapping[str, str]) -> list[frozenset[str]]:
        with connection.cursor() as cursor:
            cursor.execute(BESIDE, (self._source, key, NEIGHBOURS))
            found = cursor.fetchall()
            if not found:
                cursor.execute(BESIDE, (self._source, "", NEIGHBOURS))
                found = cursor.fetchall()
        return [names(self._contract, _read(text.encode(), aliases)) for _, text in found]


def _read(raw: Any, aliases: Mapping[str, str]) -> Any:
    return document_of(renamed(raw, aliases) if aliases else raw)


def used_members(spec: StreamSpec) -> Iterable[str]:
    """The members that mappings, keys and versions read, dotted, in the vendor's spelling."""
    read = [path for entry in spec.fields.values() for path in source(entry).paths]
    for child in spec.children:
        inner = [path for entry in child.fields.values() for path in source(entry).paths]
        read += [f"{child.attribute}.{path}" for path in inner]
        read += [path for entry in child.parent_fields.values() for path in source(entry).paths]
    read += spec.version.paths if spec.version else ()
    return (spelled(spec.contract, path) for path in (*read, *spec.keeps))


def spelled(contract: type[Contract], path: str) -> str:
    """A path of the contract's attributes in the vendor's spelling."""
    steps = list[str]()
    at: type[Contract] | None = contract
    for step in path.split("."):
        info = at.model_fields.get(step) if at is not None else None
        steps.append(step if info is None else _spelling(step, info))
        at = _inner(info) if info is not None else None
    return ".".join(steps)


def names(contract: type[Contract], document: Any) -> frozenset[str]:
    """The members that a record has, as far as its contract describes it, and those beside them."""
    found: set[str] = set()
    _collect(contract, document, "", found)
    return frozenset(found)


def _collect(contract: type[Contract], document: Any, prefix: str, found: set[str]) -> None:
    for one in document if isinstance(document, list) else (document,):
        if not isinstance(one, dict):
            continue
        shape = _shape(contract)
        for name, value in one.items():
            found.add(prefix + name)
            inner = shape.get(name)
            if inner is not None and value:
                _collect(inner, value, f"{prefix}{name}.", found)


@lru_cache(maxsize=256)
def _shape(contract: type[Contract]) -> dict[str, type[Contract] | None]:
    """By the vendor's name of each member: the contract of what is inside it."""
    return {_spelling(name, info): _inner(info) for name, info in contract.model_fields.items()}


def names_member(spec: StreamSpec, path: str) -> bool:
    """Whether the contract has such a member."""
    at: type[Contract] | None = spec.contract
    for step in path.split("."):
        fields = at.model_fields.items() if at is not None else ()
        info = next((info for name, info in fields if _spelling(name, info) == step), None)
        if info is None:
            return False
        at = _inner(info)
    return True


def _demanded(contract: type[Contract], path: str) -> bool:
    at: type[Contract] | None = contract
    for step in path.split("."):
        fields = at.model_fields.items() if at is not None else ()
        info = next((info for name, info in fields if _spelling(name, info) == step), None)
        if info is None or not info.is_required():
            return False
        at = _inner(info)
    return True


def _spelling(name: str, info: FieldInfo) -> str:
    return info.validation_alias if isinstance(info.validation_alias, str) else info.alias or name


def _inner(info: FieldInfo) -> type[Contract] | None:
    todo = [info.annotation]
    while todo:
        one = todo.pop()
        if isinstance(one, type) and issubclass(one, Contract):
            return one
        todo += get_args(one)
    return None


def _agreement(lost: Noticed, new: Noticed) -> int:
    return sum(new.values.get(key) == value for key, value in lost.values.items())
