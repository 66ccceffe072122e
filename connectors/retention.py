"""How long this floor keeps what was received and sent."""

from __future__ import annotations

from typing import Any

from django.db import connection

from catalog import masking
from connectors.models import Stream
from connectors.runtime.box import KEPT_DAYS
from connectors.runtime.lineage import open_members
from observability import retention
from observability.errors import ConfigurationError
from observability.retention import PIECE, Kept

# A dead letter is never deleted: it stays as the fact that something was given up, and why.
LETTERS = """
UPDATE connectors_inboxevent SET body = '{}', record = NULL, headers = '{}', state = 'superseded',
    note = 'kept no longer: it was about a person' WHERE id IN (
    SELECT e.id FROM unnest(%(connections)s::bigint[], %(streams)s::text[]) AS p (connection, stream)
    JOIN connectors_inboxevent e ON e.connection_id = p.connection AND e.stream = p.stream
    WHERE e.state = 'dead' AND e.finished_at < now() - make_interval(days => %(days)s)
    ORDER BY e.id LIMIT %(piece)s)"""


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
             "emptied; the error stays", letters),
        Kept("boxes", "Inbox and outbox: what was applied or sent", "as the record", KEPT_DAYS,
             "deleted"),
    )  # fmt: skip
