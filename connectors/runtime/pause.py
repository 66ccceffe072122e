"""Leaves an upstream alone for a while: for events and for runs, in every process."""

from __future__ import annotations

from django.db import connection

PAUSE = """
UPDATE connectors_connection
SET paused_until = GREATEST(paused_until, now() + %s * interval '1 second'), paused_because = %s
WHERE id = %s"""


def pause(connection_id: int, seconds: float, because: str) -> None:
    """Ask nothing of the upstream for so long; a longer pause that runs already stays."""
    with connection.cursor() as cursor:
        cursor.execute(PAUSE, [seconds, because.replace("\x00", "")[:500], connection_id])


def resume(connection_id: int) -> None:
    """Ask again at once: somebody has entered new credentials, or says so."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE connectors_connection SET paused_until = NULL, paused_because = ''"
            " WHERE id = %s",
            [connection_id],
        )
