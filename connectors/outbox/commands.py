"""The outbox as a box of messages: putting commands in, and claiming those of one target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection

from catalog.prepared import call
from connectors.models import OutboxCommand
from connectors.runtime.box import WAITING, Box, columns_of

BOX = Box(
    "outbox",
    OutboxCommand,
    columns_of(
        OutboxCommand, "id", "token", "attempts", "kind", "stream", "record_key",
        "idempotency_key", "body", "reply", "correlation_id",
    ),
    # One more attempt than the subscriber has waits, or than the default has.
    attempts="""COALESCE((
        SELECT NULLIF(jsonb_array_length(s.retry_seconds), 0) + 1 FROM connectors_subscriber s
        WHERE s.id = m.subscriber_id), 8)""",
    place="""COALESCE((SELECT s.slug FROM connectors_subscriber s WHERE s.id = m.subscriber_id),
        (SELECT c.slug FROM connectors_connection c WHERE c.id = m.connection_id),
        (SELECT h.slug FROM observability_channel h WHERE h.id = m.channel_id))""",
)  # fmt: skip

TARGETS = f"""
SELECT t.target, t.failing FROM (
    SELECT 'subscriber/' || s.id AS target, s.failures > 0 AS failing FROM connectors_subscriber s
    WHERE s.enabled AND (s.paused_until IS NULL OR s.paused_until <= now())
    UNION ALL
    SELECT 'connection/' || c.id, false FROM connectors_connection c
    WHERE c.enabled AND (c.paused_until IS NULL OR c.paused_until <= now())
    UNION ALL
    SELECT 'channel/' || h.id, false FROM observability_channel h WHERE h.enabled) AS t
WHERE EXISTS (SELECT 1 FROM connectors_outboxcommand m WHERE m.target = t.target AND {WAITING})"""  # noqa: S608 (our own constants)

PUT = """
INSERT INTO connectors_outboxcommand
    (target, connection_id, subscriber_id, channel_id, kind, stream, record_key, idempotency_key, body,
     correlation_id, asked_by, receipt_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (target, idempotency_key) DO NOTHING"""


@dataclass(slots=True)
class Command:
    """A claimed command."""

    id: int
    token: int
    attempts: int
    kind: str
    stream: str
    record_key: str
    idempotency_key: str
    body: bytes
    reply: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A command to be put in. One of `connection`, `subscriber`, `channel` is the id of whom it is for."""

    kind: str
    idempotency_key: str
    body: bytes
    connection: int | None = None
    subscriber: int | None = None
    stream: str = ""
    record_key: str = ""
    correlation_id: str = ""
    asked_by: str = ""
    #: The id of the receipt that it is told under.
    receipt: int | None = None
    channel: int | None = None

    @property
    def target(self) -> str:
        """As `OutboxCommand.target`."""
        if self.connection is not None:
            return f"connection/{self.connection}"
        if self.channel is not None:
            return f"channel/{self.channel}"
        return f"subscriber/{self.subscriber}"


def put(drafts: Iterable[Draft]) -> int:
    """Put commands in, in the caller's transaction; the number of those that were not there.

    Who commits rings `wake.OUTBOX`; a bell that is not rung costs a second.
    """
    rows = [
        (
            d.target, d.connection, d.subscriber, d.channel, d.kind, d.stream, d.record_key,
            d.idempotency_key, d.body, d.correlation_id, d.asked_by, d.receipt,
        )
        for d in drafts
    ]  # fmt: skip
    if not rows:
        return 0
    with connection.cursor() as cursor:
        cursor.executemany(PUT, rows)
        return int(cursor.rowcount)


def due_targets() -> list[tuple[str, bool]]:
    """(target, whether it failed the last time) of all that may be told something now."""
    with connection.cursor() as cursor:
        cursor.execute(call(TARGETS))
        found: list[tuple[str, bool]] = cursor.fetchall()
    return found


def claim_of(target: str, limit: int, lease: float) -> list[Command]:
    """Due commands of one target, oldest first."""
    rows: list[tuple[Any, ...]] = BOX.claim(
        "m.target = %(target)s", {"target": target}, limit, lease
    )
    return [Command(*row) for row in rows]
