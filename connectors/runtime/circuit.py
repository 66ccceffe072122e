"""The row of a breaker: each transition is one conditional statement, in PostgreSQL's time.

Of several processes that want the same transition one gets it, and the incident is opened or
resolved in the same transaction. `connectors.runtime.breaker` documents the states.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import connection, transaction

from observability import incidents

log = structlog.get_logger(__name__)

#: Who changes a state where no person does.
ITSELF = "the breaker"
DOWN = incidents.Incident.Kind.SYSTEM_DOWN

LOOK = """
SELECT state, down_since, reason, EXTRACT(EPOCH FROM retry_at - now())::float8
FROM connectors_breaker WHERE connection_id = %(id)s"""

OPEN = """
INSERT INTO connectors_breaker AS b
    (connection_id, state, down_since, reason, changed_by, retry_at)
VALUES (%(id)s, 'open', now(), %(reason)s, %(by)s, now() + %(cooldown)s * interval '1 second')
ON CONFLICT (connection_id) DO UPDATE SET state = 'open', since = now(),
    down_since = COALESCE(b.down_since, now()), reason = excluded.reason,
    changed_by = excluded.changed_by, retry_at = excluded.retry_at, probing = 0, passed = 0
WHERE b.state = 'closed' OR %(anyway)s
RETURNING retry_at"""

REOPEN = """
UPDATE connectors_breaker SET state = 'open', since = now(), reason = %(reason)s,
    changed_by = %(by)s, retry_at = now() + %(cooldown)s * interval '1 second', probing = 0, passed = 0
WHERE connection_id = %(id)s AND state = 'half_open' RETURNING retry_at"""

# A probe whose process died gives its place back after the lease.
PROBE = """
UPDATE connectors_breaker SET state = 'half_open',
    since = CASE WHEN state = 'open' THEN now() ELSE since END,
    changed_by = %(by)s, passed = CASE WHEN state = 'open' THEN 0 ELSE passed END,
    probing = CASE WHEN state = 'open' OR probe_until < now() THEN 1 ELSE probing + 1 END,
    probe_until = now() + %(lease)s * interval '1 second'
WHERE connection_id = %(id)s AND (
    (state = 'open' AND retry_at <= now())
    OR (state = 'half_open' AND (probing < %(probes)s OR probe_until < now())))"""

PASSED = """
UPDATE connectors_breaker SET probing = GREATEST(probing - 1, 0), passed = passed + 1,
    state = CASE WHEN passed + 1 >= %(probes)s THEN 'closed' ELSE state END
WHERE connection_id = %(id)s AND state = 'half_open' RETURNING state"""

GIVE_BACK = """
UPDATE connectors_breaker SET probing = GREATEST(probing - 1, 0)
WHERE connection_id = %(id)s AND state = 'half_open'"""

CLOSED = """
UPDATE connectors_breaker SET state = 'closed', since = now(), down_since = NULL, reason = '',
    changed_by = %(by)s, retry_at = NULL, probing = 0, passed = 0
WHERE connection_id = %(id)s AND down_since IS NOT NULL"""

# What waited for the upstream is due at once: whatever its last attempt met, the cause is gone.
DUE_AGAIN = (
    "UPDATE connectors_connection SET paused_until = NULL, paused_because = '' WHERE id = %(id)s",
    """UPDATE connectors_syncrun r SET not_before = now() FROM connectors_stream s
       WHERE s.id = r.stream_id AND s.connection_id = %(id)s AND r.state = 'queued'
         AND r.not_before > now() AND r.error_code LIKE 'upstream.%%'""",
    """UPDATE connectors_inboxevent SET next_attempt_at = now() WHERE connection_id = %(id)s
       AND state = 'retrying' AND key_only AND error_code LIKE 'upstream.%%'""",
    """UPDATE connectors_outboxcommand SET next_attempt_at = now()
       WHERE target = 'connection/' || %(id)s AND state = 'retrying'
         AND error_code LIKE 'upstream.%%'""",
    """UPDATE connectors_command SET next_attempt_at = now() WHERE waits_for_id = %(id)s
       AND lease_until IS NULL AND state IN ('accepted', 'sent', 'acknowledged')""",
    """SELECT pg_notify('headwater_upstream', ''), pg_notify('headwater_outbox', ''),
       pg_notify('headwater_commands', '')""",
)

PROBE_NOW = """
UPDATE connectors_breaker SET state = 'open', probing = 0, passed = 0, retry_at = now(),
    changed_by = %(by)s
WHERE connection_id = %(id)s AND state <> 'closed'"""

UNPROBED = """
SELECT b.connection_id FROM connectors_breaker b
JOIN connectors_connection c ON c.id = b.connection_id AND c.enabled
WHERE b.state <> 'closed' AND b.retry_at + interval '5 seconds' < now()
  AND (b.state = 'open' OR b.probe_until < now() OR b.probing = 0)"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A breaker as it was a moment ago. `retry_in`: seconds; None: not by itself."""

    state: str = "closed"
    down_since: datetime | None = None
    reason: str = ""
    retry_in: float | None = None


@dataclass(frozen=True, slots=True)
class Circuit:
    """The row of one connection."""

    id: int
    system: str

    def look(self) -> Seen:
        """As it is now."""
        row = self._run(LOOK)
        return Seen(*row) if row else Seen()

    def open(
        self, reason: str, cooldown: float | None, by: str = ITSELF, *, anyway: bool = False
    ) -> bool:
        """Closed to open; whether it was this call that did it. `anyway`: from any state."""
        return self._opened(OPEN, reason, cooldown, by, anyway=anyway)

    def reopen(self, reason: str, cooldown: float) -> bool:
        """Half-open to open."""
        return self._opened(REOPEN, reason, cooldown, ITSELF)

    def probe(self, probes: int, lease: float) -> bool:
        """Take a probe's place; whether there was one."""
        return self._changed(PROBE, probes=probes, lease=lease)

    def passed(self, probes: int) -> bool:
        """A probe went well; whether the breaker is closed now."""
        with transaction.atomic():
            row = self._run(PASSED, probes=probes)
            return row is not None and row[0] == "closed" and self.close()

    def give_back(self) -> None:
        """A probe came to no verdict."""
        self._changed(GIVE_BACK)

    def close(self, by: str = ITSELF) -> bool:
        """To closed, from any state. What waited is due, and the incident resolved."""
        with transaction.atomic():
            if not self._changed(CLOSED, by=by):
                return False
            for statement in DUE_AGAIN:
                self._run(statement)
            incidents.resolve(DOWN, self.system, by=by)
        log.warning("breaker closed", connection=self.system, by=by)
        return True

    def probe_now(self, by: str) -> bool:
        """Let probes through at once; False where it is closed."""
        return self._changed(PROBE_NOW, by=by)

    def _opened(
        self, statement: str, reason: str, cooldown: float | None, by: str, *, anyway: bool = False
    ) -> bool:
        with transaction.atomic():
            row = self._run(statement, reason=reason, cooldown=cooldown, by=by, anyway=anyway)
            if row is None:
                return False
            incidents.find(
                DOWN, self.system, f"{self.system} is down", cause=reason, details={"by": by},
                next_look_at=row[0],
            )  # fmt: skip
        log.warning("breaker open", connection=self.system, because=reason, by=by)
        return True

    def _changed(self, statement: str, **values: Any) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(statement, {"id": self.id, "by": ITSELF, **values})
            return bool(cursor.rowcount > 0)

    def _run(self, statement: str, **values: Any) -> tuple[Any, ...] | None:
        with connection.cursor() as cursor:
            cursor.execute(statement, {"id": self.id, **values})
            row: tuple[Any, ...] | None = cursor.fetchone() if cursor.description else None
        return row


def unprobed() -> list[int]:
    """Connections whose breaker waits for a probe that nobody makes."""
    with connection.cursor() as cursor:
        cursor.execute(UNPROBED)
        return [row[0] for row in cursor.fetchall()]
