"""What is looked after every few seconds: gaps in an upstream's events.

A gap is a missing number in a sender's own numbering, or the sender's word that it left events
out. Either way the streams are read again from before the gap on: a bounded backfill, which the
store's own guard makes harmless. A gap may be an event that is late, so it is given a moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction

from connectors.models import Connection, EventPosition, Stream, SyncRun
from connectors.runtime import queue
from connectors.runtime.connector import connector_class
from observability.clock import database_now

log = structlog.get_logger(__name__)

#: Senders number in order but deliver as they can; so long a number may be missing.
LATE_SECONDS = 10.0
#: The clocks of senders are theirs.
MARGIN = timedelta(minutes=5)
#: Of the time for which a sender keeps its events: from here on people are warned.
WARN_SHARE = 0.75

# The contiguous run after the known position, and the first number beyond it, if one is missing.
POSITIONS = """
WITH numbered AS (
    SELECT e.connection_id, e.sequence, e.received_at, p.sequence AS known
    FROM connectors_inboxevent e
    JOIN connectors_eventposition p ON p.connection_id = e.connection_id
    WHERE e.sequence > p.sequence
), placed AS (
    SELECT *, sequence - known = rank() OVER (PARTITION BY connection_id ORDER BY sequence)
           AS contiguous FROM numbered
)
SELECT connection_id, max(sequence) FILTER (WHERE contiguous),
       min(sequence) FILTER (WHERE NOT contiguous),
       COALESCE(EXTRACT(EPOCH FROM now() - min(received_at)
           FILTER (WHERE NOT contiguous)), 0)::float8
FROM placed GROUP BY connection_id"""

BEGIN = """
INSERT INTO connectors_eventposition (connection_id, sequence, received_at)
SELECT connection_id, min(sequence), now() FROM connectors_inboxevent e
WHERE sequence IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM connectors_eventposition p WHERE p.connection_id = e.connection_id)
GROUP BY connection_id"""

LAST_BEFORE = """
SELECT max(received_at) FROM connectors_inboxevent
WHERE connection_id = %s AND sequence <= %s"""


def look_after() -> None:
    """One round. Raises django.db.DatabaseError."""
    find_gaps()
    warn_of_retention()


def find_gaps() -> list[SyncRun]:
    """Plan a backfill for each gap that has lasted; the runs that were asked for."""
    asked: list[SyncRun] = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('connectors.inbox.gaps'))")
        if not cursor.fetchone()[0]:
            return []
        cursor.execute(BEGIN)
        cursor.execute(POSITIONS)
        for pk, contiguous, beyond, seconds in cursor.fetchall():
            position = EventPosition.objects.select_for_update().get(connection=pk)
            if contiguous is not None:
                position.sequence = contiguous
            if beyond is not None and seconds > LATE_SECONDS:
                asked += _backfill(position.connection, position.sequence, beyond)
                # What lies beyond is in the inbox; further gaps begin a round of their own.
                position.sequence = beyond
            position.received_at = database_now()
            position.save()
    return asked


def _backfill(row: Connection, before: int | None, beyond: int) -> list[SyncRun]:
    with connection.cursor() as cursor:
        cursor.execute(LAST_BEFORE, [row.pk, before])
        since = cursor.fetchone()[0]
    log.warning("events are missing; a backfill is planned", connection=row.slug,
                after=before, before=beyond, since=str(since))  # fmt: skip
    because = f"gap: events {(before or 0) + 1} to {beyond - 1} never came"
    return [
        queue.ask_since(stream, since - MARGIN if since else None, asked_by=because)
        for stream in Stream.objects.filter(connection=row, enabled=True)
    ]


@dataclass(frozen=True, slots=True)
class AtRisk:
    """A stream whose upstream will soon throw away what the hub has not read."""

    stream: Stream
    lag: timedelta
    kept: timedelta

    @property
    def left(self) -> timedelta:
        """Until the first of it is gone; negative: it is."""
        return self.kept - self.lag


def at_risk() -> list[AtRisk]:
    """Streams that have used most of the time for which their upstream keeps its events."""
    rows = Stream.objects.filter(enabled=True).select_related("connection", "checkpoint")
    return those_at_risk(rows.order_by("connection__slug", "slug"), database_now())


def those_at_risk(streams: Iterable[Stream], now: datetime) -> list[AtRisk]:
    """The same of streams that were read with their connections and checkpoints."""
    found = []
    for stream in streams:
        mark = getattr(stream, "checkpoint", None)
        webhook = connector_class(stream.connection.connector).webhook
        if webhook is None or webhook.retention is None or mark is None or mark.watermark is None:
            continue
        lag = now - mark.watermark
        if stream.enabled and stream.connection.enabled and lag > webhook.retention * WARN_SHARE:
            found.append(AtRisk(stream, lag, webhook.retention))
    return found


_warned: set[int] = set()


def warn_of_retention() -> list[AtRisk]:
    """Say so, once, before what an upstream keeps for us is thrown away; what was said now."""
    risks = {risk.stream.pk: risk for risk in at_risk()}
    news = [risk for pk, risk in risks.items() if pk not in _warned]
    for risk in news:
        log.warning(
            "an upstream is about to forget what the hub has not read",
            stream=str(risk.stream),
            lag_seconds=int(risk.lag.total_seconds()),
            kept_seconds=int(risk.kept.total_seconds()),
        )
    _warned.clear()
    _warned.update(risks)
    return news
