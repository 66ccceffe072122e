"""What an upstream says after a write of ours goes through the inbox like any other of its records.

So there is one way of applying, and the write shows in the record's history as an event of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from connectors.runtime.connector import Connector
from observability.clock import database_now

READ_BACK = "command.read_back"

TOLD = """
INSERT INTO connectors_inboxevent
    (connection_id, event_id, kind, stream, record_key, origin, body, record, gone, asked_at,
     correlation_id)
SELECT connection, event_id, %(kind)s, stream, record_key, '', body, record, record IS NULL, asked,
       correlation
FROM unnest(%(connections)s::bigint[], %(event_ids)s::text[], %(streams)s::text[],
            %(record_keys)s::text[], %(bodies)s::bytea[], %(records)s::bytea[],
            %(asked)s::timestamptz[], %(correlations)s::text[])
    AS said (connection, event_id, stream, record_key, body, record, asked, correlation)
ON CONFLICT (connection_id, event_id) DO UPDATE SET
    state = 'received', record = excluded.record, gone = excluded.gone,
    asked_at = excluded.asked_at, attempts = 0, next_attempt_at = now()"""


@dataclass(frozen=True, slots=True)
class Written:
    """A write that its upstream has acknowledged."""

    connection_id: int
    stream: str
    record_key: str
    idempotency_key: str
    body: bytes
    correlation_id: str


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the upstream said after a write; None: it has the record no more."""

    written: Written
    record: bytes | None
    asked: datetime


def ask(connector: Connector, written: Sequence[Written]) -> list[ReadBack]:
    """Ask for the records that were written, all of one stream. Raises UpstreamError."""
    asked = database_now()
    stream = connector.stream(written[0].stream)
    records = connector.records(stream, {one.record_key for one in written})
    return [ReadBack(one, records[one.record_key], asked) for one in written]


def tell_inbox(said: Sequence[ReadBack]) -> None:
    """Put them into the inbox, in the caller's transaction, who rings `wake.INBOX`."""
    written = [one.written for one in said]
    with connection.cursor() as cursor:
        cursor.execute(
            TOLD,
            {
                "kind": READ_BACK,
                "connections": [one.connection_id for one in written],
                "event_ids": [f"{READ_BACK}/{one.idempotency_key}" for one in written],
                "streams": [one.stream for one in written],
                "record_keys": [one.record_key for one in written],
                "bodies": [one.body for one in written],
                "records": [one.record for one in said],
                "asked": [one.asked for one in said],
                "correlations": [one.correlation_id for one in written],
            },
        )
