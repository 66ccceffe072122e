"""Whether what commands wrote has come back: read from its owner, and merged.

Until then the catalogue shows a record as it was. Who decides by what it shows waits for that first.
"""

from __future__ import annotations

import time
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from connectors.outbox.readback import READ_BACK

#: Whoever did not come back in an hour is a matter for the admin, and no reason to wait.
PENDING = """
SELECT EXISTS (
    SELECT 1
    FROM connectors_command c
    JOIN connectors_commandstep s ON s.command_id = c.id AND s.kind IN ('write', 'undo')
    LEFT JOIN connectors_inboxevent e
        ON e.connection_id = s.connection_id AND e.event_id = %(read_back)s || s.idempotency_key
    WHERE (c.params @> %(params)s OR s.record_key = %(key)s)
      AND c.reference <> %(reference)s AND c.accepted_at > now() - interval '1 hour'
      AND s.state = 'done'
      AND (s.read_back_at IS NULL OR e.state IN ('received', 'claimed', 'retrying')))"""
PAUSE_SECONDS = 0.03


def pending(member: str, key: str, *, but: str = "") -> bool:
    """Whether a command about `{member: key}`, other than `but`, is done and not merged yet."""
    told: dict[str, Any] = {
        "read_back": f"{READ_BACK}/", "params": Jsonb({member: key}), "key": key, "reference": but,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(PENDING, told)
        return bool(cursor.fetchone()[0])


def settled(member: str, key: str, *, but: str, seconds: float = 3.0) -> bool:
    """Wait until nothing is pending any more; False where it still is after so long."""
    until = time.monotonic() + seconds
    while pending(member, key, but=but):
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE_SECONDS)
    return True
