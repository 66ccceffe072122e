"""The inbox as a box of messages: which columns a worker needs, and who may take what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from connectors.models import InboxEvent
from connectors.outbox.echoes import JUST_AN_ECHO, of_our_own
from connectors.runtime.box import ABANDONED, LEASE_SECONDS, WAITING, Box, columns_of

#: An attempt that took too long; like one that ended its worker, it is repeated alone.
TIME_LIMIT = "time_limit"
BATCH = 500
ECHO = "our own change, which was read back when we made it"

COLUMNS = columns_of(
    InboxEvent, "id", "token", "attempts", "connection", "event_id", "stream", "record_key",
    "received_at", "body", "headers", "record", "asked_at", "gone", "gap_since", "correlation_id", "origin",
)  # fmt: skip

BOX = Box(
    "inbox",
    InboxEvent,
    COLUMNS,
    # One more attempt than the stream has waits, or than the default has.
    attempts="""COALESCE((
        SELECT NULLIF(jsonb_array_length(s.retry_seconds), 0) + 1 FROM connectors_stream s
        WHERE s.connection_id = m.connection_id AND s.slug = m.stream), 8)""",
    place="(SELECT c.slug FROM connectors_connection c WHERE c.id = m.connection_id)",
)

#: Events of a stopped stream wait until it is resumed; there is hardly ever one.
GOES_ON = """(m.connection_id, m.stream) NOT IN (
    SELECT connection_id, slug FROM connectors_stream WHERE stopped_at IS NOT NULL)"""

TOGETHER = f"NOT m.key_only AND {GOES_ON} AND m.error_code NOT IN ('{ABANDONED}', '{TIME_LIMIT}')"
ALONE = f"NOT m.key_only AND {GOES_ON} AND m.error_code IN ('{ABANDONED}', '{TIME_LIMIT}')"

#: Claims of an asker: whoever has its post may let go of what another has left.
ASKED = "m.key_only"

OLDEST = f"""
SELECT m.id, EXTRACT(EPOCH FROM now() - m.next_attempt_at)::float8
FROM connectors_inboxevent m WHERE {WAITING} AND {TOGETHER}
ORDER BY m.next_attempt_at, m.id LIMIT 1"""  # noqa: S608 (our own constants)


@dataclass(slots=True)
class Event:
    """A claimed event."""

    id: int
    token: int
    attempts: int
    connection_id: int
    event_id: str
    stream: str
    record_key: str
    received_at: datetime
    body: bytes
    headers: str
    record: bytes | None
    asked_at: datetime | None
    gone: bool
    gap_since: datetime | None
    correlation_id: str
    origin: str


def claim_batch(limit: int = BATCH) -> list[Event]:
    """Events whose record is at hand, to be applied together."""
    return _claim(TOGETHER, limit)


def claim_alone() -> list[Event]:
    """One event that may have ended, or held up, the worker that had it.

    Of those whose worker ended most are innocent, so they go before those that take seconds.
    """
    innocent_first = f"m.error_code <> '{ABANDONED}', m.next_attempt_at"
    return _claim(ALONE, 1, first=innocent_first)


def claim_for_fetch(connection_id: int, limit: int, lease: float) -> list[Event]:
    """Events of one connection whose records the upstream has to be asked for.

    One whose asker ended comes alone, and first: its neighbours shall not pay for it twice.
    """
    asked = f"{ASKED} AND {GOES_ON} AND m.connection_id = %(of)s AND m.error_code"
    return _claim(f"{asked} = '{ABANDONED}'", 1, lease, of=connection_id) or _claim(
        f"{asked} <> '{ABANDONED}'", limit, lease, of=connection_id
    )


def dismiss_echoes() -> int:
    """End what only tells of commands of ours that are read back; how many there were."""
    return BOX.dismiss(f"m.key_only AND {JUST_AN_ECHO}", ECHO, BATCH)


def oldest() -> tuple[int, float] | None:
    """(id, seconds) of the event that is next to be applied, and for how long it has been due."""
    with connection.cursor() as cursor:
        cursor.execute(OLDEST)
        found: tuple[int, float] | None = cursor.fetchone()
    return found


def _claim(
    where: str,
    limit: int,
    lease: float = LEASE_SECONDS,
    first: str = "m.next_attempt_at",
    **parameters: Any,
) -> list[Event]:
    """Due events, without those that only tell us what we did ourselves."""
    while rows := BOX.claim(where, parameters, limit, lease, first=first):
        claimed = [Event(*row) for row in rows]
        ours = of_our_own([e.origin for e in claimed], [e.connection_id for e in claimed])
        echoes = {e.id: e.token for e in claimed if e.origin in ours}
        BOX.finish(echoes, InboxEvent.State.SUPERSEDED, ECHO)
        if news := [e for e in claimed if e.id not in echoes]:
            return news
    return []
