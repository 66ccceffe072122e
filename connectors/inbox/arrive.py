"""Puts received events into the inbox: one statement, one commit, then the bell."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from connectors.outbox.echoes import COMMANDS, PATIENCE_SECONDS
from connectors.runtime import wake

INSERT = """
INSERT INTO connectors_inboxevent
    (connection_id, event_id, body, kind, stream, record_key, key_only, sequence, occurred_at,
     gap_since, origin, headers, correlation_id, state, note, error_code, error, finished_at,
     next_attempt_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
        CASE WHEN %s THEN now() END, now() + %s * interval '1 second')
ON CONFLICT (connection_id, event_id) DO NOTHING"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event as it came, with what the receiver could tell of it.

    `unread` says why nobody can read it: it is kept as a dead letter.
    """

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
    unread: str = ""

    def row(self) -> tuple[Any, ...]:
        """The columns that the event itself fills."""
        return (
            self.event_id,
            self.body,
            self.kind,
            self.stream,
            self.record_key,
            self.key_only,
            self.sequence,
            self.occurred_at,
            self.gap_since,
            self.origin,
        )

    def outcome(self) -> tuple[Any, ...]:
        """State, note, error code, error, whether that is the end of it, and seconds to wait."""
        if self.unread:
            return "dead", "", "contract", self.unread, True, 0.0
        if not self.stream:
            return "superseded", "about no record of ours", "", "", True, 0.0
        return "received", "", "", "", False, PATIENCE_SECONDS if self.echo else 0.0

    @property
    def echo(self) -> bool:
        """Whether it tells of a command of ours."""
        return self.origin.startswith(COMMANDS)


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
    ) -> int:
        """Commit arrivals; the number of those that are new.

        Raises psycopg.OperationalError where PostgreSQL cannot be reached: nothing is committed,
        or (the answer was lost) the sender's repetition will be a duplicate.
        """
        kept = json.dumps(headers)
        new = self._insert(
            [(connection_id, *a.row(), kept, correlation_id, *a.outcome()) for a in arrivals]
        )
        for key_only, bell in ((False, self._inbox), (True, self._upstream)):
            if any(a.key_only is key_only and not a.echo for a in arrivals):
                bell.ring()
        return new

    def close(self) -> None:
        """Give back the connection of this thread, and the bells'."""
        kept: psycopg.Connection[Any] | None = getattr(self._local, "connection", None)
        if kept is not None:
            self._local.connection = None
            kept.close()
        self._inbox.close()
        self._upstream.close()

    def _insert(self, rows: Sequence[tuple[Any, ...]]) -> int:
        kept: psycopg.Connection[Any] | None = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                return _insert(kept, rows)
            except psycopg.OperationalError:
                # PostgreSQL was restarted since; a second try is harmless: ids are unique.
                self._local.connection = None
                kept.close()
        # Kept before it is used: a row that is refused says nothing against the connection.
        self._local.connection = fresh = wake.dedicated()
        return _insert(fresh, rows)


def _insert(kept: psycopg.Connection[Any], rows: Sequence[tuple[Any, ...]]) -> int:
    if len(rows) == 1:
        return kept.execute(INSERT, rows[0]).rowcount
    with kept.transaction():
        return sum(kept.execute(INSERT, row).rowcount for row in rows)
