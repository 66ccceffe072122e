"""How long this floor keeps what was received and sent."""

from __future__ import annotations

from typing import Any

from django.db import connection

from catalog import masking
from connectors.models import Stream
from connectors.runtime.lineage import open_members
from observability import retention
from observability.errors import ConfigurationError
from observability.retention import PIECE, Kept, by_age, deleting

# A dead letter is never deleted: it stays as the fact that something was given up, and why.
LETTERS = """
UPDATE connectors_inboxevent SET body = '{}', record = NULL, headers = '{}', state = 'superseded',
    note = 'kept no longer: it was about a person' WHERE id IN (
    SELECT e.id FROM unnest(%(connections)s::bigint[], %(streams)s::text[]) AS p (connection, stream)
    JOIN connectors_inboxevent e ON e.connection_id = p.connection AND e.stream = p.stream
    WHERE e.state = 'dead' AND e.finished_at < now() - make_interval(days => %(days)s)
    ORDER BY e.id LIMIT %(piece)s)"""


COMMANDS = """
WITH old AS (
    SELECT id FROM connectors_command WHERE finished_at < now() - make_interval(days => %(days)s)
    LIMIT %(piece)s
), steps AS (DELETE FROM connectors_commandstep USING old WHERE command_id = old.id)
DELETE FROM connectors_command c USING old WHERE c.id = old.id"""

#: Dead letters stay until somebody decides.
ENDED = "m.state IN ('applied', 'superseded')"
#: So long a sender's repeated event, or a caller's repeated command, is known to be one.
ONCE_DAYS = 30


def letters(days: int) -> int:
    """Dead letters about people, of which the contents go."""
    places = [
        (stream.connection_id, stream.slug)
        for stream in Stream.objects.select_related("connection")
        if _about_people(stream)
    ]
    values: dict[str, Any] = {
        "connections": [connection_id for connection_id, _ in places],
        "streams": [slug for _, slug in places],
        "days": days,
        "piece": PIECE,
    }
    with connection.cursor() as cursor:
        cursor.execute(LETTERS, values)
        return int(cursor.rowcount)


def _about_people(stream: Stream) -> bool:
    try:
        told = {stream.spec.entity, *(child.entity for child in stream.spec.children)}
    except ConfigurationError:
        return False
    concerned = any(masking.concerns_people(name) for name in told)
    return concerned and open_members(stream.connection.connector, stream.slug) is not None


def take_part() -> None:
    """Declare them."""
    retention.declare(
        Kept("personal_letters", "Dead letters about people", "personal", 180,
             "emptied; the error stays", letters, can_be_set=True),
        Kept("inbox", "Inbox: what was applied", "as the record", ONCE_DAYS, "deleted",
             by_age("connectors_inboxevent", "received_at", ENDED)),
        Kept("outbox", "Outbox: what was sent", "as the record", ONCE_DAYS, "deleted",
             by_age("connectors_outboxcommand", "received_at", ENDED)),
        Kept("receipts", "Purge receipts", "keys", ONCE_DAYS, "deleted after their calls",
             by_age("connectors_purgereceipt", "told_at", "NOT EXISTS ("
                    "SELECT 1 FROM connectors_outboxcommand c WHERE c.receipt_id = m.id)")),
        Kept("commands", "Commands, with their steps", "as the record", ONCE_DAYS, "deleted",
             deleting(COMMANDS)),
        # What vanished may be gone still, and holds its incident open.
        Kept("member_changes", "Members of payloads that appeared", "names", 90, "deleted",
             by_age("connectors_memberchange", "last_seen_at",
                    "m.change = 'appeared' AND m.reported_at IS NOT NULL")),
    )  # fmt: skip
