"""Whether what commands write has come back: read from its owner, and merged.

Until then the catalogue shows a record as it was. Who decides by what it shows waits for that first.
"""

from __future__ import annotations

import time
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from connectors.outbox.readback import READ_BACK

# Open commands, and events that wait, are few, and have indexes of their own.
PENDING = """
SELECT EXISTS (
    SELECT 1 FROM connectors_command c
    LEFT JOIN connectors_commandstep s
        ON s.command_id = c.id AND s.kind IN ('write', 'undo') AND s.state IN ('running', 'done')
    WHERE c.state IN ('accepted', 'sent', 'acknowledged') AND c.reference <> %(reference)s
      AND (c.params @> %(params)s OR s.record_key = %(key)s)
      AND (s.id IS NOT NULL OR %(unsent)s)
) OR EXISTS (
    SELECT 1 FROM connectors_inboxevent e
    JOIN connectors_commandstep s
        ON s.idempotency_key = substr(e.event_id, length(%(read_back)s) + 1)
        AND s.connection_id = e.connection_id
    JOIN connectors_command c ON c.id = s.command_id
    WHERE e.state IN ('received', 'claimed', 'retrying') AND e.kind = %(kind)s
      AND s.idempotency_key <> '' AND c.reference <> %(reference)s
      AND (c.params @> %(params)s OR s.record_key = %(key)s))"""
PAUSE_SECONDS = 0.03


def pending(member: str, key: str, *, but: str = "", unsent: bool = False) -> bool:
    """Whether a command about `{member: key}`, other than `but`, has written what is not merged yet.

    `unsent`: or is going to.
    """
    told: dict[str, Any] = {
        "read_back": f"{READ_BACK}/", "kind": READ_BACK, "params": Jsonb({member: key}),
        "key": key, "reference": but, "unsent": unsent,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(PENDING, told)
        return bool(cursor.fetchone()[0])


def settled(member: str, key: str, *, but: str, seconds: float = 3.0) -> bool:
    """Wait until nothing is pending any more; False where something still is after so long."""
    until = time.monotonic() + seconds
    while pending(member, key, but=but):
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE_SECONDS)
    return True
