"""Which systems may stand behind what an answer reads (`hub.usage.uses`).

Nobody asks while all systems are well and no use has a limit, so nothing here is for the hot path.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from catalog.entities import Entity, entities, related, value_fields
from catalog.ownership import OwnershipRule
from catalog.source import Source
from catalog.survivorship import survivorship
from connectors.models import Connection
from connectors.runtime.declare import Child
from connectors.runtime.lineage import declared_in
from hub.rows import references
from hub.usage.uses import Field, of_rest
from observability.clock import database_now

#: (system, stream).
Stream = tuple[str, str]
#: Fields that speak of all that a record holds and refers to.
TRACING = frozenset({"provenance", "explain"})

KNOWN_SECONDS = 10.0


def behind(reads: Iterable[Field]) -> dict[Field, frozenset[Stream]]:
    """The values among what an answer reads, with the streams that may stand behind each."""
    known = supply()
    values = (value for field in reads for value in _values(field))
    return {value: known[value] for value in values if value in known}


def systems(reads: Iterable[Field]) -> set[str]:
    """The systems that may stand behind an answer."""
    return {system for streams in behind(reads).values() for system, _ in streams}


def _values(field: Field) -> Iterable[Field]:
    entity, name = field
    return _traced(entities()[entity]) if name in TRACING else (field,)


@lru_cache(maxsize=64)
def _traced(cls: type[Entity]) -> frozenset[Field]:
    return record(cls).union(*(_own(related(cls, name)) for name in references(cls)))


def record(cls: type[Entity]) -> frozenset[Field]:
    """What a record with its parts is read from."""
    return of_rest(cls, many=False, parts=True, provenance=False).fields


def _own(cls: type[Entity]) -> Iterator[Field]:
    yield from ((cls.declaration.name, field.name) for field in value_fields(cls))


Supply = Mapping[Field, frozenset[Stream]]
_supply: Supply = {}
_supplied_at = float("-inf")


def supply() -> Supply:
    """The streams that tell a field and that its ownership rule admits, {(entity, field): streams}.

    Four statements, and none within ten seconds.
    """
    global _supply, _supplied_at
    if time.monotonic() - _supplied_at > KNOWN_SECONDS:
        _supply, _supplied_at = _supply_now(), time.monotonic()
    return _supply


def forget() -> None:
    """Look again."""
    global _supplied_at  # noqa: PLW0603 (one a process)
    _supplied_at = float("-inf")


def _supply_now() -> Supply:
    rules, now = list(OwnershipRule.objects.all()), database_now()
    connectors = dict(Connection.objects.values_list("slug", "connector"))
    resolved = {name: survivorship(name, rules, now) for name in entities()}
    found: dict[Field, set[Stream]] = defaultdict(set)
    for source in Source.objects.all():
        for field in _told(source, connectors.get(source.system, "")):
            rules_of = resolved.get(source.entity)
            if rules_of is None or rules_of.admitted(field, source.system):
                found[source.entity, field].add((source.system, source.stream))
    return {pair: frozenset(streams) for pair, streams in found.items()}


def _told(source: Source, connector: str) -> Sequence[str]:
    """The fields that a source speaks about; all where its declaration is gone."""
    declared = declared_in(connector, source.stream, source.entity)
    if declared is None:
        cls = entities().get(source.entity)
        return [] if cls is None else [field.name for field in value_fields(cls)]
    parent = declared.parent_fields if isinstance(declared, Child) else {}
    return [*declared.fields, *parent]
