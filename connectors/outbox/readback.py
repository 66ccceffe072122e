"""What an upstream says after a write of ours goes through the inbox like any other of its records.

So there is one way of applying, and the write shows in the record's history as an event of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from catalog.explain import database_now
from connectors.runtime.connector import Connector

READ_BACK = "command.read_back"

TOLD = """
INSERT INTO connectors_inboxevent
    (connection_id, event_id, kind, stream, record_key, origin, body, record, gone, asked_at,
     correlation_id)
VALUES (%(connection)s, %(event_id)s, %(kind)s, %(stream)s, %(record_key)s, '', %(body)s,
        %(record)s, %(record)s::bytea IS NULL, %(asked)s, %(correlation)s)
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


def ask(connector: Connector, written: Written) -> ReadBack:
    """Ask for the record that was written. Raises UpstreamError."""
    asked = database_now()
    record = connector.record(connector.stream(written.stream), written.record_key)
    return ReadBack(written, record, asked)


def tell_inbox(said: ReadBack) -> None:
    """Put it into the inbox, in the caller's transaction, who rings `wake.INBOX`."""
    written = said.written
    with connection.cursor() as cursor:
        cursor.execute(
            TOLD,
            {
                "connection": written.connection_id,
                "event_id": f"{READ_BACK}/{written.idempotency_key}",
                "kind": READ_BACK,
                "stream": written.stream,
                "record_key": written.record_key,
                "body": written.body,
                "record": said.record,
                "asked": said.asked,
                "correlation": written.correlation_id,
            },
        )
