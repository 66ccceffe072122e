"""Provenance and explanations as both APIs serve them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from catalog.conflicts import Conflict
from catalog.entities import Entity, LocalizedField, derived_fields, related, value_fields
from catalog.explain import (
    DEPTH,
    Explanation,
    FieldProvenance,
    Sees,
    explain,
    field_of,
    fields_with_parts,
    part_path,
    provenance_of,
)
from connectors.runtime.lineage import raw_members
from hub.auth.rights import Visibility
from hub.problems import NotFoundError
from hub.rows import average, live, referenced, references, way_to

#: A served field and the source records that it stands on; a computed one stands on several.
Stands = tuple[str, tuple[int, ...]]


def provenance(row: Entity, sees: Sees) -> list[FieldProvenance]:
    """Every field of the record, its parts and its references that the reader sees, and its source."""
    return provenances([row], sees)[0]


def provenances(
    rows: Sequence[Entity], sees: Sees, depth: int = DEPTH
) -> list[list[FieldProvenance]]:
    """The same for many rows, in three statements; `depth`: how deep parts are followed."""
    stands = [list(_stands(row, depth, sees)) for row in rows]
    wanted = {record for fields in stands for _, records in fields for record in records}
    known = {p.source_record_id: p for p in provenance_of([("", record) for record in wanted])}
    return [
        [
            _combined(path, found)
            for path, records in fields
            if (found := [known[record] for record in records if record in known])
        ]
        for fields in stands
    ]


def _stands(row: Entity, depth: int, sees: Sees) -> Iterator[Stands]:
    for path, record in fields_with_parts(row, depth, sees):
        yield path, (record,)
    yield from _of_references(row, sees)
    if row.declaration.tree:
        yield "path", _of_way(row, sees)
    if depth:
        for part, field in row.declaration.summaries.items():
            if not sees(related(type(row), part), field):
                continue
            children = live(getattr(row, part))
            records = tuple(c.provenance[field] for c in children if field in c.provenance)
            yield f"{part}.average", records
            yield f"{part}.count", records
        for derived in derived_fields(type(row)):
            if not sees(type(row), derived.name):
                continue
            yield derived.name, tuple(_of_parts([row], derived.parts, derived.measured.name))


def _of_parts(rows: Sequence[Entity], parts: Sequence[str], field: str) -> Iterator[int]:
    """The source records behind a field of the live rows at the end of a path of parts."""
    if not parts:
        yield from (row.provenance[field] for row in rows if field in row.provenance)
        return
    below = [child for row in rows for child in live(getattr(row, parts[0]))]
    yield from _of_parts(below, parts[1:], field)


def _of_references(row: Entity, sees: Sees) -> Iterator[Stands]:
    for name in references(type(row)):
        target = referenced(row, name)
        if target is None:
            continue
        for field, record in target.provenance.items():
            if sees(type(target), field_of(field)):
                yield f"{name}.{field}", (record,)
        if target.declaration.tree:
            yield f"{name}.path", _of_way(target, sees)


def _of_way(node: Entity, sees: Sees) -> tuple[int, ...]:
    return tuple(
        {
            record
            for step in way_to(node)
            for field, record in step.provenance.items()
            if sees(type(node), field_of(field))
        }
    )


def _combined(path: str, found: Sequence[FieldProvenance]) -> FieldProvenance:
    """A computed value is as old as the oldest value in it: that one stands for all.

    Of several equally old the first stored does, here as in `hub.reads.compile_provenance`.
    """
    oldest = min(found, key=lambda p: (-p.age_seconds, p.source_record_id))
    return replace(oldest, field=path, stale=any(p.stale for p in found))


def explained(row: Entity, path: str, visibility: Visibility) -> dict[str, Any]:
    """Why a field has its value: winner, rule, losers, raw members. Raises NotFoundError.

    `path` is one that provenance shows: a field, one of a part, a reference or a summary. Of a
    field that the reader may not see every member is empty; ForbiddenError where it is declared so.
    """
    if _is_computed(row, path):
        sees = visibility.sees
        records = next((records for p, records in _stands(row, DEPTH, sees) if p == path), None)
        if records is not None:
            return _computed(row, path, records)
        if _of_hidden(row, path, visibility):
            return _explanation(row, path)
    part, field = part_at(row, path)
    if field_of(field) in visibility.hidden(type(part)):
        visibility.must_not_refuse(type(part), field)
        return _explanation(part, path)
    try:
        told = explain(part, field)
    except LookupError as error:
        raise NotFoundError(str(error), parameter="field") from error
    by_record = {
        p.source_record_id: p
        for p in provenance_of([(field, c.record.pk) for c in told.candidates])
    }
    # A vendor's member may hold more than the one value (a whole address): shown to those who may
    # see all of the record.
    raw = visibility.sees_all(type(part))
    return _explanation(part, path) | {
        "value": told.value,
        "rule": _rule(told),
        "override": _override(told),
        "winner": _candidate(told, 0, by_record, raw=raw) if told.winner else None,
        "losing": [
            _candidate(told, place, by_record, raw=raw)
            for place, candidate in enumerate(told.candidates)
            if not candidate.wins
        ],
    }


def _explanation(row: Entity, path: str) -> dict[str, Any]:
    """One that says nothing."""
    return {
        "entity": row.declaration.name,
        "key": row.key,
        "field": path,
        "value": None,
        "rule": None,
        "override": None,
        "winner": None,
        "losing": [],
        "computed_from": [],
    }


def _of_hidden(row: Entity, path: str, visibility: Visibility) -> bool:
    """Whether a computed value stands on a field that the reader may not see."""
    if path in {field.name for field in derived_fields(type(row))}:
        return not visibility.sees(type(row), path)
    head = path.rpartition(".")[0]
    measured = row.declaration.summaries.get(head)
    return measured is not None and not visibility.sees(related(type(row), head), measured)


def _is_computed(row: Entity, path: str) -> bool:
    head, _, tail = path.rpartition(".")
    derived = {field.name for field in derived_fields(type(row))}
    return (
        path in derived
        or tail == "path"
        or (head in row.declaration.summaries and tail in ("average", "count"))
    )


def _computed(row: Entity, path: str, records: tuple[int, ...]) -> dict[str, Any]:
    """A value of ours: no system says it, and these source records are what it stands on."""
    head, _, tail = path.rpartition(".")
    value: Any
    if not head and tail != "path":
        value = getattr(row, tail)
    elif tail == "path":
        node = referenced(row, head) if head else row
        value = [step.key for step in way_to(node)]
    else:
        children = live(getattr(row, head))
        value = len(children)
        if tail == "average":
            value = average(children, row.declaration.summaries[head])
    stands = [asdict(p) for p in provenance_of([(path, r) for r in records])]
    return _explanation(row, path) | {"value": value, "computed_from": stands}


def part_at(row: Entity, path: str) -> tuple[Entity, str]:
    """The row and field that a provenance path names. Raises NotFoundError."""
    prefix, _, field = path.rpartition(".")
    named = dict(_rows_by_prefix(row, "", DEPTH))
    if prefix not in named:
        # one locale of a text: `name.de_DE`, `variants.P-1-01.name.de_DE`
        above, _, text = prefix.rpartition(".")
        if above in named and text in localized(type(named[above])):
            return named[above], f"{text}.{field}"
        raise NotFoundError(
            f"{row.declaration.name} {row} has no part {prefix!r}; its provenance lists every path",
            parameter="field",
        )
    return named[prefix], field


def localized(cls: type[Entity]) -> frozenset[str]:
    """The fields of an entity that hold a text for each locale."""
    return frozenset(f.name for f in value_fields(cls) if isinstance(f, LocalizedField))


def _rows_by_prefix(row: Entity, prefix: str, depth: int) -> Iterator[tuple[str, Entity]]:
    yield prefix, row
    if not prefix:
        for name in references(type(row)):
            if (target := referenced(row, name)) is not None:
                yield name, target
    if depth:
        for part in row.declaration.parts:
            for child in live(getattr(row, part)):
                below = ".".join(filter(None, (prefix, part, part_path(child))))
                yield from _rows_by_prefix(child, below, depth - 1)


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


def _override(told: Explanation) -> dict[str, Any] | None:
    made = told.override
    if made is None:
        return None
    return {"by": made.made_by, "reason": made.reason, "made_at": made.made_at, "until": made.until}


def _candidate(
    told: Explanation, place: int, by_record: dict[int, FieldProvenance], *, raw: bool
) -> dict[str, Any]:
    candidate = told.candidates[place]
    record, stands = candidate.record, by_record[candidate.record.pk]
    where = (candidate.system, candidate.stream, told.entity, field_of(told.field), record.payload)
    members = raw_members(*where) if raw else []
    return {
        "system": candidate.system,
        "stream": candidate.stream,
        "record": record.record_key,
        "raw": [{"path": member.path, "value": member.value} for member in members],
        "value": candidate.value,
        "observed_at": record.observed_at,
        "changed_at": record.changed_at,
        "age_seconds": stands.age_seconds,
        "stale": stands.stale,
        "event": record.event_id,
        "run": record.run_id,
        "correlation_id": record.correlation_id,
        "allowed": candidate.allowed,
        "differs": candidate.differs,
        "conflict": _conflict(candidate.conflict),
    }


def _conflict(kept: Conflict | None) -> dict[str, Any] | None:
    if kept is None:
        return None
    return {"state": kept.state, "since": kept.since, "rule": kept.rule}
