"""Asks upstreams for the records of events that carry only a key.

One claim holds events of one connection. Several events of one record are answered by one call,
begun after the last of them came. The answer is stored as received, with the time of the
question, and the event goes back into the inbox as one whose record is at hand.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from catalog.prepared import call
from connectors.inbox.events import BOX, GOES_ON, Event, claim_for_fetch
from connectors.models import Connection, Message, Stream
from connectors.runtime import queue, wake
from connectors.runtime.box import Leases, failure, wait_for_no_disk
from connectors.runtime.connector import Connector
from connectors.runtime.pause import pauses
from connectors.runtime.retry import policy
from observability.clock import database_now
from observability.context import correlation
from observability.errors import HubError

log = structlog.get_logger(__name__)

BATCH = 20
#: Beyond the connection's own time-out: what is left of a lease when a call came to nothing.
MARGIN_SECONDS = 15.0

COVERED = "the answer to a later event of the same record covers it"
BACKFILL = "the sender left events out; the stream is read again from then on"

#: Rung after each answer that is in the inbox.
ANSWERS = wake.Bell(wake.INBOX)

DUE = f"""
SELECT m.connection_id, count(*) FROM connectors_inboxevent m
JOIN connectors_connection c ON c.id = m.connection_id
WHERE m.state IN ('received', 'retrying') AND m.key_only AND m.next_attempt_at <= now()
  AND c.enabled AND (c.paused_until IS NULL OR c.paused_until <= now()) AND {GOES_ON}
GROUP BY m.connection_id"""  # noqa: S608 (our own constants)

ANSWERED = """
UPDATE connectors_inboxevent SET state = 'received', key_only = false, attempts = 0,
    record = %(record)s, gone = %(record)s::bytea IS NULL, asked_at = %(asked)s,
    lease_until = NULL, next_attempt_at = now()
WHERE id = %(id)s AND token = %(token)s AND state = 'claimed'"""


def due_connections() -> list[tuple[int, int]]:
    """(id, events to ask about) of the connections that have some, and may be asked."""
    with connection.cursor() as cursor:
        cursor.execute(call(DUE))
        found: list[tuple[int, int]] = cursor.fetchall()
    return found


def fetch_batch(connection_id: int) -> int:
    """Ask about one batch of a connection's events; how many were claimed."""
    row = Connection.objects.get(pk=connection_id)
    lease = row.timeout_seconds + MARGIN_SECONDS
    events = claim_for_fetch(connection_id, BATCH, lease)
    if not events:
        return 0
    leases = Leases(BOX, {e.id: e.token for e in events}, lease)
    try:
        connector = row.open()
    except HubError as error:
        _refused(row, events, error)
        return len(events)
    try:
        for same in _by_record(events):
            if not leases.take(*(event.id for event in same)):
                continue
            if same[0].gap_since is not None:
                _read_again(row, same)
            elif not _ask(row, connector, same):
                # The upstream is not to be asked for now; the others have not been tried.
                leases.give_back()
                break
    finally:
        connector.session.close()
    return len(events)


def _by_record(events: list[Event]) -> list[list[Event]]:
    grouped: dict[tuple[str, str, bool], list[Event]] = defaultdict(list)
    for event in events:
        grouped[event.stream, event.record_key, event.gap_since is not None].append(event)
    return list(grouped.values())


def _ask(row: Connection, connector: Connector, same: list[Event]) -> bool:
    """One call for all events of one record; False: the connection is paused now."""
    latest = same[-1]
    asked = database_now()
    with correlation(latest.correlation_id or None):
        try:
            record = connector.record(type(connector).stream(latest.stream), latest.record_key)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001 (written down with the event)
            _failed(row, same, error)
            return not pauses(row.pk, error)
    _answered(same, record, asked)
    return True


def _read_again(row: Connection, same: list[Event]) -> None:
    """The sender left events out: what the stream says since then is read by a run."""
    stream = Stream.objects.get(connection=row, slug=same[0].stream)
    with transaction.atomic():
        if BOX.finish({e.id: e.token for e in same}, Message.State.APPLIED, BACKFILL):
            since = min(e.gap_since for e in same if e.gap_since)
            queue.ask_since(stream, since, asked_by=f"{row.slug} left events out")


def _answered(same: list[Event], record: bytes | None, asked: datetime) -> None:
    *covered, latest = same
    with transaction.atomic(), connection.cursor() as cursor:
        wait_for_no_disk()
        BOX.finish({e.id: e.token for e in covered}, Message.State.SUPERSEDED, COVERED)
        cursor.execute(
            ANSWERED,
            {"record": record, "asked": asked, "id": latest.id, "token": latest.token},
        )
    ANSWERS.ring()


def _failed(row: Connection, same: list[Event], error: Exception) -> None:
    stream = Stream.objects.filter(connection=row, slug=same[-1].stream).first()
    allowed = policy(stream.retry_seconds if stream else None)
    log.warning(
        "an upstream could not be asked for a record",
        connection=row.slug,
        stream=same[-1].stream,
        record=same[-1].record_key,
        error=str(error)[:500],
        exc_info=not isinstance(error, HubError),
    )
    BOX.fail(failure(error, e.id, e.token, e.attempts, allowed) for e in same)


def _refused(row: Connection, events: list[Event], error: HubError) -> None:
    for same in _by_record(events):
        _failed(row, same, error)
    pauses(row.pk, error)
