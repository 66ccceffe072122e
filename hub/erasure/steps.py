"""The steps of an erasure. Each is idempotent, works in sets, and says how many rows it touched.

Nothing is deleted that others are linked to: rows stay, and are empty. A natural key stays where it names
a row (an order's customer number): it is a pseudonym once nothing tells whose it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from catalog import guard, masking, suppression
from catalog.conflicts import Conflict
from catalog.entities import entity, value_fields
from catalog.entities.derived import quoted
from catalog.held import HeldValue
from catalog.history import Revision
from catalog.labels import RecordLabel
from catalog.matching.models import MatchCandidate, SameAs
from catalog.merge import Cause
from catalog.overrides import Override
from catalog.payload import scrubbed
from catalog.source import SourceRecord
from catalog.stage import merge_again
from connectors.models import Command, CommandStep, InboxEvent, OutboxCommand
from hub.erasure.find import Record, Subject
from observability.context import ensure_id
from observability.errors import ConflictError

ERASED = "a person was erased"
Counts = Mapping[str, int]

OF_RECORDS = """
FROM unnest(%(systems)s::text[], %(streams)s::text[], %(keys)s::text[]) AS r (system, stream, key)
JOIN connectors_connection c ON c.slug = r.system"""

INBOX = f"""
UPDATE connectors_inboxevent e SET body = '{{}}', record = NULL, headers = '{{}}', error = '',
    errors = '[]', note = '{ERASED}', lease_until = NULL,
    finished_at = COALESCE(e.finished_at, now()),
    state = CASE WHEN e.state = 'applied' THEN e.state ELSE 'superseded' END
{OF_RECORDS} WHERE e.connection_id = c.id AND e.stream = r.stream AND e.record_key = r.key"""

OUTBOX = f"""
UPDATE connectors_outboxcommand e SET body = '{{}}', reply = '', error = '', errors = '[]',
    note = '{ERASED}', lease_until = NULL, finished_at = COALESCE(e.finished_at, now()),
    state = CASE WHEN e.state = 'applied' THEN e.state ELSE 'superseded' END
{OF_RECORDS} WHERE e.connection_id = c.id AND e.stream = r.stream AND e.record_key = r.key"""

QUARANTINE = f"""
DELETE FROM connectors_quarantinedrecord q USING connectors_stream s, (SELECT c.id, r.* {OF_RECORDS}) r
WHERE q.stream_id = s.id AND s.connection_id = r.id AND s.slug = r.stream AND q.record_key = r.key"""

EVIDENCE = f"""
UPDATE connectors_memberchange m SET "values" = m."values" - r.keys
FROM (SELECT s.id, array_agg(r.key) AS keys FROM (SELECT c.id, r.* {OF_RECORDS}) r
      JOIN connectors_stream s ON s.connection_id = r.id AND s.slug = r.stream GROUP BY 1) r
WHERE m.stream_id = r.id AND m."values" ?| r.keys"""

INCIDENTS = """
UPDATE observability_incident i SET details = (
    SELECT jsonb_object_agg(d.name, CASE WHEN jsonb_typeof(d.said) = 'object'
        AND d.said ->> 'record' = ANY(%(keys)s) THEN d.said - 'value' ELSE d.said END)
    FROM jsonb_each(i.details) d (name, said))
WHERE i.system = ANY(%(systems)s) AND EXISTS (
    SELECT FROM jsonb_each(i.details) d (name, said)
    WHERE jsonb_typeof(d.said) = 'object' AND d.said ? 'value'
      AND d.said ->> 'record' = ANY(%(keys)s))"""

COMMANDS = f"""
SELECT id FROM connectors_command WHERE params ->> 'number' = ANY(%(persons)s)
UNION SELECT id FROM connectors_command WHERE params ->> 'customer' = ANY(%(persons)s)
UNION SELECT s.command_id {OF_RECORDS}
JOIN connectors_commandstep s ON s.connection_id = c.id AND s.stream = r.stream
    AND s.record_key = r.key"""


def suppress(subject: Subject) -> Counts:
    """First of all nothing more about them is let in."""
    keys = suppression.suppress(subject.entity, subject.keys)
    for one in subject.records:
        suppression.suppress(suppression.place(one.system, one.stream), [one.key])
    return {"keys": len(keys), "records": len(subject.records)}


def overrides(subject: Subject) -> Counts:
    """What people decided about their fields ends, and is told no more."""
    rows = Override.objects.filter(entity=subject.entity, key__in=subject.keys)
    rows.filter(ended_at=None).update(ended_at=Now(), ended_by="", ended_because=ERASED)
    return {"overrides": rows.update(value="erased", reason=ERASED)}


def source_records(subject: Subject) -> Counts:
    """What systems said is emptied and withdrawn; the merge tombstones the record and tells of it."""
    rows = SourceRecord.objects.filter(pk__in=[one.id for one in subject.records])
    count = rows.update(payload="{}", fields={}, deleted_at=Now(), previous_key=None)
    cause = Cause(correlation_id=ensure_id())
    merged = merge_again({subject.entity: subject.keys}, cause)
    return {"source_records": count, "tombstoned": merged.deleted}


def entity_rows(subject: Subject) -> Counts:
    """The row keeps its key and its tombstone, and no value; by its names nobody finds it."""
    cls = entity(subject.entity)
    emptied = ", ".join(f"{quoted(str(f.column))} = NULL" for f in value_fields(cls))
    statement = f"""
WITH emptied AS (
    UPDATE {quoted(cls._meta.db_table)} SET {emptied}, provenance = '{{}}' WHERE key = ANY(%(keys)s)
    RETURNING key)
SELECT count(*) FROM emptied"""
    labels = RecordLabel.objects.filter(entity=subject.entity, key__in=subject.keys).delete()[0]
    with connection.cursor() as cursor:
        rows = guard.written(cursor, statement, {"keys": list(subject.keys)})[0]
    return {"rows": rows, "labels": labels}


def history(subject: Subject) -> Counts:
    """Revisions stay as the fact that something changed."""
    rows = Revision.objects.filter(entity=subject.entity, key__in=subject.keys)
    return {"revisions": rows.exclude(changes={}).update(changes={})}


def conflicts(subject: Subject) -> Counts:
    """Values that lost, that wait for a person, and pairs that were compared."""
    where: dict[str, Any] = {"entity": subject.entity, "key__in": subject.keys}
    told = Conflict.objects.filter(**where).update(value="erased", surviving=None,
                                                   settled_because="")  # fmt: skip
    held = HeldValue.objects.filter(**where).delete()[0]
    pairs = MatchCandidate.objects.filter(entity=subject.entity)
    pairs = pairs.filter(first__in=subject.keys) | pairs.filter(second__in=subject.keys)
    same = SameAs.objects.filter(entity=subject.entity, alias__in=subject.keys)
    same.update(reason=ERASED)
    return {"conflicts": told, "held_values": held, "match_candidates": pairs.delete()[0]}


def referring(subject: Subject) -> Counts:
    """Of orders and the like the members of payloads that may hold personal data are emptied."""
    count = 0
    for one, row in _stored(subject.referring):
        opened = masking.open_members(one.system, one.stream, one.entity)
        if opened is None:
            continue
        left = scrubbed(row.payload, masking.but(opened))
        if left != row.payload:
            count += SourceRecord.objects.filter(pk=row.pk).update(payload=left)
    return {"source_records": count}


def boxes(subject: Subject) -> Counts:
    """What was received about them and what was sent, dead letters included."""
    told = {
        "inbox": _run(INBOX, _places(subject.records)),
        "outbox": _run(OUTBOX, _places(subject.records)),
    }
    for name, model in (("inbox_referring", InboxEvent), ("outbox_referring", OutboxCommand)):
        told[name] = sum(_scrub_bodies(model, one) for one in subject.referring)
    # What could not be read, or has no key, is known by its text alone.
    loose = ("(e.stream = '' OR e.state = 'dead')", "e.connection_id IS NOT NULL")
    for name, where in zip(("inbox", "outbox"), loose, strict=True):
        table = {"inbox": "connectors_inboxevent", "outbox": "connectors_outboxcommand"}[name]
        told[f"{name}_by_text"] = _run(
            f"UPDATE {table} e SET body = '{{}}', error = '', errors = '[]', note = '{ERASED}'"
            f" WHERE {where} AND EXISTS (SELECT FROM unnest(%(values)s::text[]) v"
            " WHERE position(convert_to(v, 'UTF8') IN e.body) > 0)",
            {"values": spelled(subject.values)},
        )
    return told


def evidence(subject: Subject) -> Counts:
    """What was held for breaking its contract, and what stands as proof of drift."""
    places = _places((*subject.records, *subject.referring))
    return {
        "quarantine": _run(QUARANTINE, places),
        "member_changes": _run(EVIDENCE, places),
        "incidents": _run(INCIDENTS, places),
    }


def commands(subject: Subject) -> Counts:
    """What was asked to be changed about them. Raises ConflictError while some of it goes on."""
    with connection.cursor() as cursor:
        cursor.execute(COMMANDS, {**_places(subject.records), "persons": list(subject.keys)})
        found = [pk for (pk,) in cursor.fetchall()]
    rows = Command.objects.filter(pk__in=found)
    waiting = list(rows.filter(state__in=Command.OPEN).values_list("reference", flat=True)[:10])
    if waiting:
        raise ConflictError(
            f"commands about them are not at their end: {', '.join(waiting)}; wait, or give them up"
        )
    steps = CommandStep.objects.filter(command__in=rows)
    return {
        "commands": rows.update(params={}, result=None, problem=None, error="",
                                given_up_because=""),
        "steps": steps.update(body="", result=None, error=""),
    }  # fmt: skip


#: In this order; a step that is done is not done again.
STEPS: dict[str, Callable[[Subject], Counts]] = {
    "suppress": suppress,
    "commands": commands,
    "overrides": overrides,
    "source_records": source_records,
    "entity_rows": entity_rows,
    "history": history,
    "conflicts": conflicts,
    "referring": referring,
    "boxes": boxes,
    "evidence": evidence,
}


def spelled(values: Iterable[str]) -> list[str]:
    """Values as they may stand in a text: as they are, in lower case, and as JSON escapes them."""
    cases = {one for value in values for one in (value, value.lower())}
    return sorted({*cases, *(json.dumps(one)[1:-1] for one in cases)})


def _places(records: Iterable[Record]) -> dict[str, list[str]]:
    known = list(records)
    return {
        "systems": [one.system for one in known],
        "streams": [one.stream for one in known],
        "keys": [one.key for one in known],
    }


def _run(statement: str, values: Mapping[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def _stored(records: Iterable[Record]) -> Iterable[tuple[Record, SourceRecord]]:
    known = {one.id: one for one in records}
    rows = SourceRecord.objects.filter(pk__in=known).only("payload").order_by("id")
    return ((known[row.pk], row) for row in rows.iterator(500))


def _scrub_bodies(model: Any, one: Record) -> int:
    opened = masking.open_members(one.system, one.stream, one.entity)
    if opened is None:
        return 0
    covered, count = masking.but(opened), 0
    rows = model.objects.filter(connection__slug=one.system, stream=one.stream, record_key=one.key)
    for row in rows:
        row.body = scrubbed(row.text, covered).encode()
        kept = ["body"]
        if getattr(row, "record", None) is not None:
            row.record = scrubbed(bytes(row.record).decode("utf-8", "replace"), covered).encode()
            kept.append("record")
        row.save(update_fields=kept)
        count += 1
    return count
