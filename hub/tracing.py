"""Provenance and explanations as both APIs serve them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from catalog.entities import Entity
from catalog.explain import (
    Explanation,
    FieldProvenance,
    explain,
    fields_with_parts,
    part_path,
    provenance_of,
)
from connectors.runtime.lineage import raw_members
from hub.problems import NotFoundError


def provenance(row: Entity) -> list[FieldProvenance]:
    """Every field of the record and its parts, and the summaries of parts, with its source."""
    found = provenance_of(list(fields_with_parts(row)))
    for part, measured in row.declaration.summaries.items():
        said = [p for p in found if p.field.startswith(f"{part}.") and p.field.endswith(measured)]
        if said:
            # An average stands on many records: the newest one stands for them.
            newest = max(said, key=lambda p: p.observed_at)
            stale = any(p.stale for p in said)
            found.append(replace(newest, field=f"{part}.average", stale=stale))
            found.append(replace(newest, field=f"{part}.count", stale=stale))
    return found


def part_at(row: Entity, path: str) -> tuple[Entity, str]:
    """The row and field that a provenance path names. Raises NotFoundError."""
    by_path = _rows_by_prefix(row, "", 3)
    prefix, _, field = path.rpartition(".")
    if prefix not in by_path:
        raise NotFoundError(f"{row} has no part {prefix!r}", parameter="field")
    return by_path[prefix], field


def _rows_by_prefix(row: Entity, prefix: str, depth: int) -> dict[str, Entity]:
    found = {prefix: row}
    if depth:
        for part in row.declaration.parts:
            for child in getattr(row, part).all():
                below = ".".join(filter(None, (prefix, part, part_path(child))))
                found |= _rows_by_prefix(child, below, depth - 1)
    return found


def explained(row: Entity, path: str) -> dict[str, Any]:
    """Why a field has its value: winner, rule, losers, raw members. Raises NotFoundError."""
    part, field = part_at(row, path)
    try:
        told = explain(part, field)
    except LookupError as error:
        raise NotFoundError(str(error), parameter="field") from error
    by_record = {
        p.source_record_id: p
        for p in provenance_of([(field, c.record.pk) for c in told.candidates])
    }
    return {
        "entity": told.entity,
        "key": told.key,
        "field": path,
        "value": told.value,
        "rule": _rule(told),
        "winner": _candidate(told, 0, by_record) if told.winner else None,
        "losing": [
            _candidate(told, place, by_record)
            for place, candidate in enumerate(told.candidates)
            if not candidate.wins
        ],
    }


def _rule(told: Explanation) -> dict[str, Any] | None:
    rule = told.rule
    if rule is None:
        return None
    return {
        "owner": rule.owner,
        "fallbacks": rule.fallbacks,
        "field": rule.field or "*",
        "reason": rule.reason,
    }


def _candidate(
    told: Explanation, place: int, by_record: dict[int, FieldProvenance]
) -> dict[str, Any]:
    candidate = told.candidates[place]
    record, stands = candidate.record, by_record[candidate.record.pk]
    raw = raw_members(candidate.system, candidate.stream, told.entity, told.field, record.payload)
    return {
        "system": candidate.system,
        "stream": candidate.stream,
        "record": record.record_key,
        "raw": [{"path": member.path, "value": member.value} for member in raw],
        "value": candidate.value,
        "observed_at": record.observed_at.isoformat(),
        "changed_at": record.changed_at.isoformat() if record.changed_at else None,
        "age_seconds": stands.age_seconds,
        "stale": stands.stale,
        "event": record.event_id,
        "run": record.run_id,
        "correlation_id": record.correlation_id,
        "allowed": candidate.allowed,
        "differs": candidate.differs,
    }
