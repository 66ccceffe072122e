"""A dry run of events: applied for real, in a transaction that is rolled back.

What it would change is read from inside that transaction, so it is what the replay does and not
what somebody thinks it does. Nobody is called: an event that needs its upstream is listed as the
call that the replay would make.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import structlog
from django.contrib.postgres.functions import TransactionNow
from django.db import OperationalError, connection, transaction
from django.db.models import Max, QuerySet

from catalog.entities import entity
from catalog.history import Revision, as_json
from connectors.inbox.apply import Applier
from connectors.inbox.events import BOX, COLUMNS, TIME_LIMIT, Event
from connectors.inbox.reread import arrivals_of, put_anew
from connectors.models import InboxEvent, Message
from connectors.replay.causes import in_turn, with_cause
from connectors.replay.rehearsal import RecordChange, Rehearsal
from connectors.runtime.box import ABANDONED, failure
from connectors.runtime.retry import DEFAULT
from observability.display import Tone

#: Letters that one dry run tries; a cause is seen from far fewer.
MOST_TRIED = 500
#: Each transaction keeps workers from the records that it touches.
CHUNK = 100

PATIENCE = "SET LOCAL lock_timeout = '3s'; SET LOCAL statement_timeout = '20s'"

TAKE = f"""
UPDATE connectors_inboxevent m
SET state = 'claimed', attempts = 1, token = token + 1, lease_until = now() + interval '1 minute'
WHERE m.id = ANY(%s) AND (m.state = 'dead' OR m.state = 'received')
RETURNING {", ".join(f"m.{column}" for column in COLUMNS)}"""  # noqa: S608 (our own columns)

ASKED = "its upstream would be asked, and what it answers applied"
DANGEROUS = "not tried here: it ended, or held up, its worker; a worker tries it alone"


def rehearse(letters: QuerySet[InboxEvent]) -> Rehearsal:
    """Try some letters of each cause. Raises OperationalError where their records are held by others."""
    made = Rehearsal()
    rows = list(in_turn(letters).select_related("connection").defer("body", "record")[:MOST_TRIED])
    made.tried = len(rows)
    tried: list[InboxEvent] = []
    for row in rows:
        if row.key_only:
            made.comes_to(Tone.BUSY, ASKED, row.pk)
            made.calls_for(_call(row))
        elif row.error_code in (ABANDONED, TIME_LIMIT):
            made.comes_to(Tone.WARN, DANGEROUS, row.pk)
        else:
            tried.append(row)
    for chunk in _chunks(tried):
        with transaction.atomic(), structlog.contextvars.bound_contextvars(dry_run=True):
            _try(made, chunk)
            transaction.set_rollback(True)
    return made


def _chunks(rows: list[InboxEvent]) -> Iterator[list[InboxEvent]]:
    """Events of one record stay together: the newest of them speaks for all."""
    rows.sort(key=_place)
    chunk: list[InboxEvent] = []
    for _, same in groupby(rows, key=_place):
        if len(chunk) >= CHUNK:
            yield chunk
            chunk = []
        chunk += same
    if chunk:
        yield chunk


def _place(row: InboxEvent) -> tuple[int, str, str]:
    # Deliveries that nobody could read have no key in common.
    return row.connection_id, row.stream, row.record_key or str(row.pk)


def _try(made: Rehearsal, rows: list[InboxEvent]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(PATIENCE)
    last = Revision.objects.aggregate(last=Max("id"))["last"] or 0
    events = _take([row.pk for row in rows])
    # Sources that are registered here are gone with the transaction: each has its own applier.
    applier = Applier()
    found = _read_anew(made, [event for event in events if not event.stream])
    applier.apply([event for event in events if event.stream])
    if found:
        applier.apply(found)
    for row in _now([event.id for event in events if event.stream]):
        _judge(made, row)
    for row in _now([event.id for event in found]):
        _judge(made, row)
    for change in _changes(last):
        made.changes(change)


def _take(ids: list[int]) -> list[Event]:
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [ids])
        return sorted((Event(*row) for row in cursor.fetchall()), key=lambda event: event.id)


def _read_anew(made: Rehearsal, unread: Iterable[Event]) -> list[Event]:
    """Of deliveries that nobody could read: the events in them whose records are at hand."""
    ready: list[int] = []
    for event in unread:
        try:
            ids = put_anew(event, arrivals_of(event)) or []
        except OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 (a defect of the webhook's code is an outcome)
            BOX.fail([failure(error, event.id, event.token, event.attempts, DEFAULT)])
            _judge(made, *_now([event.id]))
            continue
        made.comes_to(Tone.GOOD, f"read anew: {len(ids)} new in the inbox", event.id)
        for row in _now(ids):
            if row.state == Message.State.RECEIVED and row.key_only:
                made.calls_for(_call(row))
            elif row.state == Message.State.RECEIVED:
                ready.append(row.pk)
            else:
                _judge(made, row)
    return _take(ready)


def _now(ids: list[int]) -> list[Any]:
    """The rows as the transaction left them, with their `plain_error`."""
    rows = InboxEvent.objects.filter(pk__in=ids).select_related("connection")
    return list(with_cause(rows).defer("body", "record").order_by("id"))


def _judge(made: Rehearsal, row: Any) -> None:
    match row.state:
        case Message.State.APPLIED:
            made.comes_to(Tone.GOOD, "applied", row.pk)
        case Message.State.SUPERSEDED:
            made.comes_to(Tone.QUIET, f"superseded: {row.note}", row.pk)
        case Message.State.RECEIVED:
            made.comes_to(Tone.BUSY, ASKED, row.pk)
            made.calls_for(_call(row))
        case _:
            # By cause: five hundred that fail alike are one line.
            again = f"fails again: {row.error_code}: {row.plain_error}"
            made.comes_to(Tone.BAD, again, row.pk)


def _call(row: InboxEvent) -> str:
    system = row.connection.slug
    if row.gap_since is not None:
        return (
            f"GET what changed in stream {row.stream} at {system} since {row.gap_since:%F %T} UTC"
        )
    return f"GET record {row.record_key} of stream {row.stream} at {system}"


def _changes(last: int) -> Iterator[RecordChange]:
    """What the current transaction did to entity rows, in its own order."""
    made = list(Revision.objects.filter(id__gt=last, at=TransactionNow()).order_by("id"))
    values: dict[tuple[str, str], dict[str, Any]] = {}
    for name, same in groupby(sorted(made, key=lambda r: r.entity), key=lambda r: r.entity):
        keys = [r.key for r in same if r.kind == Revision.Kind.CREATED]
        rows = entity(name)._default_manager.filter(key__in=keys)
        values |= {(name, row.key): as_json(row) for row in rows}
    for revision in made:
        fields = {name: list(both) for name, both in revision.changes.items()}
        if revision.kind == Revision.Kind.CREATED:
            now = values.get((revision.entity, revision.key), {})
            fields = {name: [None, value] for name, value in now.items() if value is not None}
        yield RecordChange(revision.entity, revision.key, revision.kind, fields, revision.event_id)
