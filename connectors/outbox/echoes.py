"""Events that only tell us what we did ourselves.

An upstream that is pushed to tells of the change like of any other. Where it says which call caused
it, and that was a push or a command's step of ours whose result has been read back, the event holds
no news. One whose write is still on its way is treated like any other event: that costs a call, and nothing
else.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

OURS = """
SELECT m.idempotency_key FROM connectors_outboxcommand m
WHERE m.idempotency_key = ANY(%(keys)s) AND m.connection_id = ANY(%(connections)s)
  AND m.state = 'applied'
UNION
SELECT s.idempotency_key FROM connectors_commandstep s
WHERE s.idempotency_key = ANY(%(keys)s) AND s.connection_id = ANY(%(connections)s)
  AND s.idempotency_key <> '' AND s.read_back_at IS NOT NULL"""


def of_our_own(origins: Iterable[str], connections: Iterable[int]) -> set[str]:
    """Which of these causes are writes of ours to these connections that were read back."""
    named = [origin for origin in origins if origin]
    if not named:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(OURS, {"keys": named, "connections": list(set(connections))})
        return {row[0] for row in cursor.fetchall()}
