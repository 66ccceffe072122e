"""Events that only tell us what we did ourselves.

An upstream that is pushed to tells of the change like of any other. Where it says which call caused
it, and that was a push or a command's step of ours whose result has been read back, or will be, the
event holds no news. Events of commands come while these are under way, so they wait a moment in the
inbox (`PATIENCE_SECONDS`). One whose write is still on its way then is treated like any other event: that
costs a call, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from catalog.prepared import call

#: How the idempotency keys of commands' steps begin, which are made of their references.
COMMANDS = "cmd_"
#: Most commands are acknowledged by then, and confirmed.
PATIENCE_SECONDS = 1.5

#: SQL about a step `s` of a command `c`: its result has been read back, or will be.
READ_BACK = """
s.idempotency_key <> '' AND (s.read_back_at IS NOT NULL
    -- it is read back by who confirms the command, which is after now
    OR (c.state = 'acknowledged' AND s.kind = 'write' AND s.state = 'done' AND s.stream <> ''))"""

OURS = f"""
SELECT m.idempotency_key FROM connectors_outboxcommand m
WHERE m.idempotency_key = ANY(%(keys)s) AND m.connection_id = ANY(%(connections)s)
  AND m.state = 'applied'
UNION
SELECT s.idempotency_key FROM connectors_commandstep s
JOIN connectors_command c ON c.id = s.command_id
WHERE s.idempotency_key = ANY(%(keys)s) AND s.connection_id = ANY(%(connections)s)
  AND {READ_BACK}"""  # noqa: S608 (our own constants)

#: SQL about `m`, an event that has just fallen due: it tells of a command's step that is read back.
#: Of those that were left when they fell due, whoever claims them finds out.
JUST_AN_ECHO = f"""
m.next_attempt_at > now() - {10 * PATIENCE_SECONDS} * interval '1 second'
AND m.origin LIKE '{COMMANDS.replace("_", "!_")}%%' ESCAPE '!' AND EXISTS (
    SELECT FROM connectors_commandstep s JOIN connectors_command c ON c.id = s.command_id
    WHERE s.idempotency_key = m.origin AND s.connection_id = m.connection_id AND {READ_BACK})"""


def of_our_own(origins: Iterable[str], connections: Iterable[int]) -> set[str]:
    """Which of these causes are writes of ours to these connections that were read back."""
    named = [origin for origin in origins if origin]
    if not named:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            call(OURS, {"keys": "text[]", "connections": "bigint[]"}),
            {"keys": named, "connections": list(set(connections))},
        )
        return {row[0] for row in cursor.fetchall()}
