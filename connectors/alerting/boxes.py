"""Signals about messages: what waits, what was given up, whom nobody can tell, what was left behind.

What is about a subscriber names it as the system.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from connectors.commands.declare import operations
from connectors.runtime.box import WAITING
from observability.signals import Row, Signal

INBOX = f"""
SELECT c.slug, m.stream, '', EXTRACT(EPOCH FROM max(now() - m.next_attempt_at))::float8,
    count(*) || ' events wait, the oldest since '
        || to_char(min(m.received_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC', 'inbox'
FROM connectors_inboxevent m JOIN connectors_connection c ON c.id = m.connection_id AND c.enabled
WHERE {WAITING} AND NOT (m.key_only AND c.paused_until > now()) GROUP BY 1, 2"""  # noqa: S608 (our own SQL)

OUTBOX = f"""
SELECT COALESCE(c.slug, u.slug, h.slug), '', 'outbox',
    EXTRACT(EPOCH FROM max(now() - m.next_attempt_at))::float8,
    count(*) || ' commands wait, the oldest since '
        || to_char(min(m.received_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC',
    CASE WHEN min(m.connection_id) IS NULL THEN 'subscriber' ELSE 'outbox' END
FROM connectors_outboxcommand m
LEFT JOIN connectors_connection c ON c.id = m.connection_id
LEFT JOIN connectors_subscriber u ON u.id = m.subscriber_id
LEFT JOIN observability_channel h ON h.id = m.channel_id
WHERE {WAITING} AND COALESCE(c.enabled, u.enabled, h.enabled)
  AND COALESCE(c.paused_until, u.paused_until, now()) <= now() GROUP BY 1"""  # noqa: S608 (our own SQL)

#: Dead letters stay until somebody decides; that they came is news for a day.
LETTERS = """
SELECT {system}, {stream}, '{box}', count(*)::float8,
    count(*) || ' were given up within a day, the last one of '
        || (array_agg(m.error_code ORDER BY m.finished_at DESC))[1], {hop}
FROM {table} m {joins}
WHERE m.state = 'dead' AND m.finished_at > now() - interval '1 day' GROUP BY 1, 2"""

DEAD = f"""{
    LETTERS.format(
        system="c.slug",
        stream="m.stream",
        box="inbox",
        table="connectors_inboxevent",
        hop="CASE WHEN bool_or(m.error_code LIKE 'contract%%') THEN 'contract' ELSE 'inbox' END",
        joins="JOIN connectors_connection c ON c.id = m.connection_id",
    )
}
UNION ALL {
    LETTERS.format(
        system="COALESCE(c.slug, u.slug, h.slug)",
        stream="m.stream",
        box="outbox",
        table="connectors_outboxcommand",
        hop="CASE WHEN min(m.connection_id) IS NULL THEN 'subscriber' ELSE 'outbox' END",
        joins="LEFT JOIN connectors_connection c ON c.id = m.connection_id"
        " LEFT JOIN connectors_subscriber u ON u.id = m.subscriber_id"
        " LEFT JOIN observability_channel h ON h.id = m.channel_id",
    )
}"""

SUBSCRIBER_OFF = """
SELECT slug, '', '', 1::float8, left(disabled_because, 300), 'subscriber'
FROM connectors_subscriber WHERE NOT enabled AND disabled_because <> ''"""

SUBSCRIBER_FAILING = """
SELECT slug, '', '', EXTRACT(EPOCH FROM now() - failing_since)::float8 / 60,
    failures || ' calls failed in a row, since '
        || to_char(failing_since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC',
    CASE kind WHEN 'webhook' THEN 'subscriber' ELSE 'cache' END
FROM connectors_subscriber WHERE enabled AND failing_since IS NOT NULL"""

#: What cannot be taken back stays in the systems; people have a week to see to it.
LEFT = """
SELECT COALESCE((array_agg(n.slug ORDER BY t.id))[1], ''), '', c.reference, count(*)::float8,
    c.operation || ' failed, and could not take back: ' || string_agg(t.name, ', ' ORDER BY t.id),
    'outbox'
FROM connectors_command c
JOIN connectors_commandstep t ON t.command_id = c.id AND t.state = 'done'
    AND t.kind IN ('write', 'decide') AND c.operation || '.' || t.name <> ALL (%s)
LEFT JOIN connectors_connection n ON n.id = t.connection_id
WHERE c.state = 'failed' AND c.finished_at > now() - interval '7 days'
GROUP BY c.id, c.reference, c.operation"""


def left_behind() -> Iterable[Row]:
    """What commands that failed have written and not taken back; without what is meant to stay."""
    stays = [
        f"{slug}.{step.name}"
        for slug, operation in operations().items()
        for step in operation.steps
        if getattr(step, "stays", False)
    ]
    with connection.cursor() as cursor:
        cursor.execute(LEFT, [stays])
        found: list[Row] = cursor.fetchall()
    return found


SIGNALS = (
    Signal("inbox_waiting", "has events that wait", "s", INBOX),
    Signal("outbox_waiting", "is not told what it should be", "s", OUTBOX),
    Signal("dead_letters", "has dead letters", "letters in a day", DEAD, 20),
    Signal(
        "subscriber_off", "was switched off: it is told nothing", "subscribers", SUBSCRIBER_OFF, 20
    ),
    Signal("subscriber_failing", "takes no calls", "minutes", SUBSCRIBER_FAILING),
    Signal("command_left", "keeps what a failed command wrote", "steps", left_behind, 20),
)
