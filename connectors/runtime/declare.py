"""How a connector declares its streams: contract, keys, mapping, paging abilities.

    PRICES = StreamSpec(
        slug="prices",
        entity="price",
        contract=ConditionValidity,
        record_key=("ConditionRecord",),
        entity_key=lambda r: f"{r.Material}/DE/EUR/{r.start:%Y-%m-%d}",
        fields={"amount": "record.ConditionRateValue", "market": From("SalesOrganization", MARKETS.get)},
        version=From("record.LastChangeDateTime"),
    )

Mappings are data, not code, so that lineage can mark the upstream field behind a value, and an
impact analysis can follow a renamed field to the entity fields that it feeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

#: What a mapped value may be before it is written as JSON.
Value = Any


class Contract(BaseModel):
    """The expected shape of an upstream record, in the vendor's own field names.

    Unknown members are kept in the stored payload and ignored here. `VERSION` changes with the
    shape and is written on every source record that passed.
    """

    VERSION: ClassVar[str] = "1"
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


@dataclass(frozen=True, slots=True)
class From:
    """A value taken from one or more members of the contract, converted if a function is given.

    Paths are dotted (`record.ConditionRateValue`); a missing step gives None. `convert` gets one
    argument for each path and may raise ValueError, which quarantines the record. None means:
    this system says nothing about the field. Without `convert` the value is taken as it is.
    """

    path: str
    convert: Callable[..., Value] | None = None
    more: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths that are read."""
        return (self.path, *self.more)

    def reader(self) -> Callable[[Any], Value]:
        """A function from a validated record to the value."""
        getters = [_getter(path) for path in self.paths]
        convert, first = self.convert, getters[0]
        if convert is None:
            return first
        if len(getters) == 1:
            return lambda record: convert(first(record))
        return lambda record: convert(*[get(record) for get in getters])


FieldMap = Mapping[str, str | From]


def _getter(path: str) -> Callable[[Any], Any]:
    steps = path.split(".")
    if len(steps) == 1:
        name = steps[0]
        return lambda record: getattr(record, name)

    def walk(record: Any) -> Any:
        for step in steps:
            if record is None:
                return None
            record = getattr(record, step)
        return record

    return walk


class _Mapped:
    """What StreamSpec and Child share: a compiled field map."""

    slug: str
    entity: str
    fields: FieldMap

    @cached_property
    def readers(self) -> tuple[tuple[str, Callable[[Any], Value]], ...]:
        """(entity field, reader) in declaration order."""
        return tuple((name, source(spec).reader()) for name, spec in self.fields.items())

    def mapped(self, record: Any) -> dict[str, Value]:
        """The entity fields that the record speaks about; silent ones are left out."""
        return self._map(record)

    @cached_property
    def _map(self) -> Callable[[Any], dict[str, Value]]:
        """The field map as one function: all members are fetched in one step, then converted."""
        readers = self.readers
        entries = [source(spec) for spec in self.fields.values()]
        firsts = [entry.path for entry in entries]
        others = [path for entry in entries for path in entry.more]
        if len(firsts) + len(others) < 2:
            return lambda r: {n: v for n, read in readers if (v := read(r)) is not None}
        fetch, names, count = attrgetter(*firsts, *others), tuple(self.fields), len(firsts)
        converts: list[tuple[int, Callable[..., Value], slice | None]] = []
        at = count
        for place, entry in enumerate(entries):
            if entry.convert is not None:
                more = slice(at, at + len(entry.more)) if entry.more else None
                converts.append((place, entry.convert, more))
            at += len(entry.more)
        steps = any("." in path for path in (*firsts, *others))

        def mapped(record: Any) -> dict[str, Value]:
            try:
                values = list(fetch(record))
            except AttributeError:
                if not steps:
                    raise
                # A step on the way is None, so what is behind it is too.
                return {n: v for n, read in readers if (v := read(record)) is not None}
            for place, convert, more in converts:
                if more is None:
                    values[place] = convert(values[place])
                else:
                    values[place] = convert(values[place], *values[more])
            # `zip` ends with the names, before the further arguments of conversions.
            return {n: v for n, v in zip(names, values) if v is not None}  # noqa: B905 (above)

        return mapped

    def upstream_paths(self, field_name: str) -> tuple[str, ...]:
        """The members of the upstream record that feed an entity field."""
        return source(self.fields[field_name]).paths if field_name in self.fields else ()


@dataclass(frozen=True)
class Child(_Mapped):
    """Records nested in another's payload that are entities of their own (an order's lines).

    `path` leads to the JSON array in the payload (`to_Item.results`), `attribute` to the same in
    the contract. Their record key is `parent/child`. A child that is gone from its parent's
    payload is tombstoned with it.
    """

    slug: str
    entity: str
    path: str
    attribute: str
    record_key: Callable[[Any], str]
    entity_key: Callable[[Any, Any], str]
    fields: FieldMap
    parent_fields: FieldMap = field(default_factory=dict)

    @cached_property
    def parent_readers(self) -> tuple[tuple[str, Callable[[Any], Value]], ...]:
        """(entity field, reader of the parent record)."""
        return tuple((name, source(spec).reader()) for name, spec in self.parent_fields.items())


@dataclass(frozen=True)
class StreamSpec(_Mapped):
    """One collection of records of a connector.

    `record_key` names the members of the raw JSON that identify a record (joined by `/`; dotted
    for nested ones, as in `meta.id`); they are read before validation, so that a record which
    breaks its contract can still be named. `entity_key` gives the natural key of the entity, or
    None for a record that is none of our business. `version` yields a timezone-aware datetime or
    an int, the source's own ordering; without it every read that differs counts as newer.
    `deleted` recognises an announced deletion. `incremental` says that the upstream can be asked
    for what changed since; others are read in full each time. `interval`, `objective` and
    `lookback` are the defaults of the stream's row.
    """

    slug: str
    entity: str
    contract: type[Contract]
    record_key: tuple[str, ...]
    entity_key: Callable[[Any], str | None]
    fields: FieldMap
    version: From | None = None
    deleted: Callable[[Any], bool] | None = None
    children: tuple[Child, ...] = ()
    #: Members (dotted) that the contract keeps beyond those mapped: what keys and `deleted` read.
    keeps: tuple[str, ...] = ()
    incremental: bool = True
    page_size: int = 1000
    interval: timedelta = timedelta(seconds=60)
    objective: timedelta = timedelta(seconds=300)
    lookback: timedelta = timedelta(seconds=5)
    #: Records that share a stream's upstream URL, filter or query, for the connector's own use.
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """Where the vendor publishes what a stream's records look like.

    `path` is relative to the connection's address; empty where the vendor publishes elsewhere, and
    the document has to be given as a file. `shape` names the record type or its collection.
    """

    path: str
    shape: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it came: the raw JSON text of each record, and the cursor of the next page.

    `next` is an opaque text that the connector understands, None on the last page; `total` the
    number of records in the whole answer where the upstream tells.
    """

    records: Sequence[Any]
    next: str | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Which page of a stream is wanted: what changed at or after `since` (None: everything)."""

    since: datetime | None = None
    cursor: str | None = None


def source(spec: str | From) -> From:
    """A field map's entry in its long form."""
    return From(spec) if isinstance(spec, str) else spec
