"""Leaves an upstream alone for a while: for events and for runs, in every process."""

from __future__ import annotations

from django.db import connection

from connectors.runtime.box import PAUSE_SECONDS
from observability.errors import SPARING, Action, HubError, RetryableError, action_for

#: A dead upstream costs one call in this time, not one for each message.
DOWN_SECONDS = 2.0

PAUSE = """
UPDATE connectors_connection
SET paused_until = GREATEST(paused_until, now() + %s * interval '1 second'), paused_because = %s
WHERE id = %s"""


def pause(connection_id: int, seconds: float, because: str) -> None:
    """Ask nothing of the upstream for so long; a longer pause that runs already stays."""
    with connection.cursor() as cursor:
        cursor.execute(PAUSE, [seconds, because.replace("\x00", "")[:500], connection_id])


def pauses(connection_id: int, error: Exception) -> bool:
    """Pause the connection where the error speaks about it and not about one record."""
    if isinstance(error, SPARING) or action_for(error) is Action.PAUSE:
        wished = error.retry_after if isinstance(error, HubError) else None
        pause(connection_id, wished or PAUSE_SECONDS, str(error))
        return True
    if isinstance(error, RetryableError):
        pause(connection_id, error.retry_after or DOWN_SECONDS, str(error))
        return True
    return False


def resume(connection_id: int) -> None:
    """Ask again at once: somebody has entered new credentials, or says so."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE connectors_connection SET paused_until = NULL, paused_because = ''"
            " WHERE id = %s",
            [connection_id],
        )
