"""Where a value comes from, how old it is, and why it won.

Age is the time since the hub last knew the value to be what its source says: since the record
was read, or since the watermark of its stream where that is later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from catalog import conflicts, overrides
from catalog.conflicts import Conflict
from catalog.entities import Entity, entity
from catalog.history import as_json
from catalog.overrides import Override
from catalog.ownership import STEWARD, Others, OwnershipRule, rules_in_force
from catalog.source import SourceRecord
from catalog.survivorship import Decided, survivorship
from observability import degradation
from observability.clock import database_now
from observability.freshness import Freshness, watermarks

#: How deep parts are followed: a customer's orders, their lines.
DEPTH = 3


@dataclass(frozen=True, slots=True)
class FieldProvenance:
    """Which source record stands behind one served field. Times are timezone-aware.

    `reason` says that the system is down, and since when; None while it is well.
    """

    field: str
    system: str
    stream: str
    record: str
    source_record_id: int
    observed_at: datetime
    age_seconds: float
    stale: bool
    reason: str | None
    event: int | None
    run: int | None
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one system says about a field. `wins` where its value is the one served.

    `differs` where it loses against another value; `conflict` is what is kept of that. `held`: it
    waits for a person.
    """

    record: SourceRecord
    system: str
    stream: str
    value: Any
    wins: bool
    differs: bool
    allowed: bool
    conflict: Conflict | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """One field of one record: the value, who supplied it, under which rule, against whom.

    `override` is what a person decided about it, and is in force.
    """

    entity: str
    key: str
    field: str
    value: Any
    winner: Candidate | None
    rule: OwnershipRule | None
    candidates: tuple[Candidate, ...]
    override: Override | None


def part_path(row: Entity) -> str:
    """What names a part inside its owner's provenance: `DE-EUR-2026-01-01` for a price."""
    values = (getattr(row, name) for name in row.declaration.path or ("key",))
    return "-".join(str(value) for value in values if value is not None)


def field_of(label: str) -> str:
    """The field of an entry of provenance: of `name.de_DE`, a locale by itself, `name`."""
    return label.partition(".")[0]


#: Whether the value of an entity's field is shown to whoever asks.
Sees = Callable[[type[Entity], str], bool]


def fields_with_parts(
    row: Entity, depth: int = DEPTH, sees: Sees = lambda _cls, _field: True
) -> Iterator[tuple[str, int]]:
    """(field path, source record id) of the row and of its live parts, parts prefetched or not."""
    for name, record_id in row.provenance.items():
        if sees(type(row), field_of(name)):
            yield name, record_id
    if depth == 0:
        return
    for part in row.declaration.parts:
        for child in sorted(getattr(row, part).all(), key=lambda c: c.key):
            if child.deleted_at is None:
                prefix = f"{part}.{part_path(child)}"
                for name, record_id in fields_with_parts(child, depth - 1, sees):
                    yield f"{prefix}.{name}", record_id


def provenance_of(
    pairs: Sequence[tuple[str, int]], now: datetime | None = None
) -> list[FieldProvenance]:
    """Look up the source records behind (field path, source record id) pairs.

    Two statements, and one for the database's time where it is not at hand.
    """
    records = {
        record.pk: record
        for record in SourceRecord.objects.filter(pk__in={i for _, i in pairs})
        .select_related("source")
        .defer("payload", "fields", "payload_hash")
    }
    fresh, when = watermarks(), now or database_now()
    return [
        _field_provenance(path, records[record_id], fresh, when)
        for path, record_id in pairs
        if record_id in records
    ]


def _field_provenance(
    path: str, record: SourceRecord, fresh: dict[tuple[str, str], Freshness], now: datetime
) -> FieldProvenance:
    stream = fresh.get((record.source.system, record.source.stream))
    watermark = stream.watermark if stream else None
    known_at = max(record.observed_at, watermark) if watermark else record.observed_at
    age = max(timedelta(0), now - known_at).total_seconds()
    return FieldProvenance(
        field=path,
        system=record.source.system,
        stream=record.source.stream,
        record=record.record_key,
        source_record_id=record.pk,
        observed_at=record.observed_at,
        age_seconds=round(age, 3),
        stale=stream is None or age > stream.objective_seconds,
        reason=degradation.current().reason(record.source.system),
        event=record.event_id,
        run=record.run_id,
        correlation_id=record.correlation_id,
    )


def contributions(name: str, key: str) -> list[SourceRecord]:
    """Every live source record that speaks about an entity row, payload included."""
    return list(
        SourceRecord.objects.filter(source__entity=name, entity_key=key, deleted_at__isnull=True)
        .select_related("source")
        .order_by("source_id", "-version", "id")
    )


def explain(row: Entity, field: str) -> Explanation:
    """Why `field` of `row` has its value. Raises LookupError for a field that is not declared."""
    return explain_all(row, [field])[0]


def explain_all(row: Entity, fields: Iterable[str] | None = None) -> list[Explanation]:
    """The same for several fields (default: all), with one look at the source records."""
    entity_name = row.declaration.name
    resolved = survivorship(entity_name, rules_in_force(entity_name))
    wanted = (
        list(resolved.decided()) if fields is None else [resolved.of(label) for label in fields]
    )
    said, served = contributions(entity_name, row.key), as_json(row)
    # one voice alone loses nothing, and what is overridden a steward says
    losing = conflicts.losing(type(row), row.key) if len(said) > 1 else set()
    kept = conflicts.live(entity_name, row.key) if losing else {}
    overridden = any(record.source.system == STEWARD for record in said)
    made = overrides.live(entity_name, row.key) if overridden else {}
    dimensions = resolved.dimensions(row)
    told = []
    for decided in wanted:
        rule = decided.rule(dimensions)
        candidates = _candidates((row.provenance, decided), said, rule, losing, kept)
        told.append(
            Explanation(
                entity=entity_name,
                key=row.key,
                field=decided.label,
                value=_part_of(served, decided),
                winner=next((c for c in candidates if c.wins), None),
                rule=rule,
                candidates=candidates,
                override=made.get(decided.field),
            )
        )
    return told


def _part_of(fields: Mapping[str, Any], decided: Decided) -> Any:
    """A field's value, or that of one locale of it; None where it is not said."""
    value = fields.get(decided.field)
    if not decided.locale:
        return value
    return value.get(decided.locale) if isinstance(value, Mapping) else None


def _candidates(
    served: tuple[Mapping[str, int], Decided],
    said: Sequence[SourceRecord],
    rule: OwnershipRule | None,
    losing: Collection[tuple[int, str]],
    kept: Mapping[tuple[int, str], Conflict],
) -> tuple[Candidate, ...]:
    """Winner first, then those that the rule admits in its order, then the rest."""
    provenance, decided = served
    winner_id = provenance.get(decided.label)
    speaking = [record for record in said if _part_of(record.fields, decided) is not None]
    winning = next((_part_of(r.fields, decided) for r in speaking if r.pk == winner_id), None)
    order = (STEWARD, *rule.order) if rule else ()
    open_to_all = rule is None or rule.others in (Others.FALLBACK, Others.NEWEST)
    holds = rule is not None and rule.others == Others.HOLD

    def rank(record: SourceRecord) -> tuple[bool, int]:
        system = record.source.system
        return record.pk != winner_id, order.index(system) if system in order else len(order)

    by_steward = any(r.pk == winner_id and r.source.system == STEWARD for r in speaking)
    found = []
    for record in sorted(speaking, key=rank):
        system, value = record.source.system, _part_of(record.fields, decided)
        # conflicts are kept of whole fields
        differs = (record.pk, decided.field) in losing
        if decided.locale:
            differs = record.pk != winner_id and value != winning
        found.append(
            Candidate(
                record=record,
                system=system,
                stream=record.source.stream,
                value=value,
                wins=record.pk == winner_id,
                differs=differs,
                allowed=open_to_all or system in order,
                held=holds and differs and not by_steward and system != order[1],
                conflict=None if decided.locale else kept.get((record.pk, decided.field)),
            )
        )
    return tuple(found)


def find(name: str, key: str) -> Entity | None:
    """The live entity row with a natural key, or None."""
    return entity(name)._default_manager.filter(pk=key, deleted_at__isnull=True).first()
