"""What belongs to a person: their keys, what systems said about them, and what refers to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Q

from catalog import masking
from catalog.conflicts import Conflict
from catalog.entities import entities, entity
from catalog.history import Revision
from catalog.matching.models import SameAs
from catalog.source import SourceRecord
from catalog.suppression import people_of

#: A shorter value, or one of a field that many share, would be found in what is about others.
SHORTEST = 6


@dataclass(frozen=True, slots=True)
class Record:
    """A source record: its number, whose it is, and by which key its system knows it."""

    id: int
    system: str
    stream: str
    entity: str
    key: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A person. `records` are about them, `referring` name them; `values` identify them in texts."""

    entity: str
    key: str
    keys: tuple[str, ...]
    records: tuple[Record, ...]
    referring: tuple[Record, ...]
    values: tuple[str, ...]

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Subject:
        said = json.loads(text)
        for name in ("records", "referring"):
            said[name] = tuple(Record(**one) for one in said[name])
        return cls(**{**said, "keys": tuple(said["keys"]), "values": tuple(said["values"])})


def find(name: str, key: str) -> Subject:
    """Collect it. Raises LookupError where the entity has no personal data, or nobody has the key."""
    cls = entity(name)
    if not masking.has_personal(cls):
        raise LookupError(f"{name} has no personal data")
    keys = _keys(name, key)
    about = _records(
        Q(entity_key__in=keys) | Q(told_key__in=keys) | Q(previous_key__in=keys), [name]
    )
    known = cls._default_manager.filter(pk__in=keys)
    if not about and not known.exists():
        raise LookupError(f"nothing is known of {name} {key}")
    return Subject(
        entity=name,
        key=key,
        keys=tuple(keys),
        records=tuple(about),
        referring=tuple(_referring(name, keys)),
        values=tuple(sorted(set(_values(name, keys, about)), key=len, reverse=True)),
    )


def _keys(name: str, key: str) -> list[str]:
    """The key, and those that were merged into it or into which it was merged."""
    found, new = {key}, {key}
    while new:
        rows = SameAs.objects.filter(Q(alias__in=new) | Q(key__in=new) | Q(root__in=new), entity=name,
                                     ended_at=None)  # fmt: skip
        new = {one for row in rows for one in (row.alias, row.key, row.root) if one} - found
        found |= new
    return sorted(found)


def _records(where: Q, names: Iterable[str]) -> list[Record]:
    rows = SourceRecord.objects.filter(where, source__entity__in=list(names)).order_by("id")
    values = rows.values_list(
        "pk", "source__system", "source__stream", "source__entity", "record_key"
    )
    return [Record(*row) for row in values]


def _referring(name: str, keys: list[str]) -> Iterator[Record]:
    """What systems said about rows that name the person: orders, payments, bids."""
    for other, cls in entities().items():
        fields = [field for field, to in people_of(other) if to == name]
        if not fields:
            continue
        named = Q(*[(f"{field}__in", keys) for field in fields], _connector=Q.OR)
        rows = list(cls._default_manager.filter(named).values_list("pk", flat=True))
        said = Q(*[(f"fields__{field}__in", keys) for field in fields], _connector=Q.OR)
        yield from _records(Q(entity_key__in=rows) | said, [other])


def _values(name: str, keys: list[str], about: list[Record]) -> Iterator[str]:
    """What anybody ever said of their personal fields, where it is long enough to name one person."""
    personal = [f for f in entity(name).declaration.guarded if masking.is_personal(name, f)]

    def told(fields: dict[str, Any]) -> Iterator[str]:
        for field in personal:
            value = fields.get(field)
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str) and len(one) >= SHORTEST:
                    yield one

    for fields in SourceRecord.objects.filter(pk__in=[r.id for r in about]).values_list(
        "fields", flat=True
    ):
        yield from told(fields)
    for changes in Revision.objects.filter(entity=name, key__in=keys).values_list(
        "changes", flat=True
    ):
        yield from told(changes)
    losing = Conflict.objects.filter(entity=name, key__in=keys, field__in=personal)
    for field, *both in losing.values_list("field", "value", "surviving"):
        yield from told({field: both})
    for row in entity(name)._default_manager.filter(pk__in=keys).values(*personal):
        yield from told(row)
