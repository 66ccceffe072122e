"""Puts received events into the inbox: one statement, one commit, then the bell."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from connectors.runtime import wake

INSERT = """
INSERT INTO connectors_inboxevent
    (connection_id, event_id, kind, stream, record_key, key_only, sequence, occurred_at, origin,
     gap_since, body, headers, correlation_id, state, note, error_code, error, finished_at)
SELECT %(connection)s, e.*, %(headers)s::jsonb, %(correlation)s,
       CASE WHEN %(unread)s <> '' THEN 'dead' WHEN e.stream = '' THEN 'superseded'
            ELSE 'received' END,
       CASE WHEN %(unread)s = '' AND e.stream = '' THEN 'about no record of ours' ELSE '' END,
       CASE WHEN %(unread)s <> '' THEN 'contract' ELSE '' END, %(unread)s,
       CASE WHEN %(unread)s <> '' OR e.stream = '' THEN now() END
FROM unnest(%(ids)s::text[], %(kinds)s::text[], %(streams)s::text[], %(keys)s::text[],
            %(bare)s::bool[], %(sequences)s::bigint[], %(times)s::timestamptz[],
            %(origins)s::text[], %(gaps)s::timestamptz[], %(bodies)s::bytea[])
    AS e (id, kind, stream, key, key_only, sequence, occurred_at, origin, gap_since, body)
ON CONFLICT (connection_id, event_id) DO NOTHING
RETURNING key_only"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event as it came, with what the receiver could tell of it."""

    event_id: str
    body: bytes
    kind: str = ""
    stream: str = ""
    record_key: str = ""
    key_only: bool = False
    sequence: int | None = None
    occurred_at: datetime | None = None
    gap_since: datetime | None = None
    origin: str = ""


class Inlet:
    """Writes arrivals over a connection of its own for each thread."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._inbox, self._upstream = wake.Bell(wake.INBOX), wake.Bell(wake.UPSTREAM)

    def put(
        self,
        connection_id: int,
        arrivals: Sequence[Arrival],
        headers: dict[str, str],
        correlation_id: str,
        unread: str = "",
    ) -> int:
        """Commit arrivals; the number of those that are new. `unread` says why nobody can read them.

        Raises psycopg.OperationalError where PostgreSQL cannot be reached: nothing is committed,
        or (the answer was lost) the sender's repetition will be a duplicate.
        """
        parameters = {
            "connection": connection_id,
            "headers": json.dumps(headers),
            "correlation": correlation_id,
            "unread": unread,
            "ids": [a.event_id for a in arrivals],
            "kinds": [a.kind for a in arrivals],
            "streams": [a.stream for a in arrivals],
            "keys": [a.record_key for a in arrivals],
            "bare": [a.key_only for a in arrivals],
            "sequences": [a.sequence for a in arrivals],
            "times": [a.occurred_at for a in arrivals],
            "gaps": [a.gap_since for a in arrivals],
            "origins": [a.origin for a in arrivals],
            "bodies": [a.body for a in arrivals],
        }
        new = [row[0] for row in self._execute(parameters)]
        if False in new:
            self._inbox.ring()
        if True in new:
            self._upstream.ring()
        return len(new)

    def close(self) -> None:
        """Give back the connection of this thread, and the bells'."""
        kept: psycopg.Connection[Any] | None = getattr(self._local, "connection", None)
        if kept is not None:
            self._local.connection = None
            kept.close()
        self._inbox.close()
        self._upstream.close()

    def _execute(self, parameters: dict[str, Any]) -> list[tuple[bool]]:
        kept: psycopg.Connection[Any] | None = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                return kept.execute(INSERT, parameters).fetchall()
            except psycopg.OperationalError:
                # PostgreSQL was restarted since; a second try is harmless: ids are unique.
                self._local.connection = None
                kept.close()
        fresh = wake.dedicated()
        found = fresh.execute(INSERT, parameters).fetchall()
        self._local.connection = fresh
        return found
