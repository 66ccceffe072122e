"""Which systems are down or in maintenance, as every read knows it: at most a second old, and without
a query each.

It is read from the open incidents and the silences for maintenance, so that it needs no Redis, by whichever request finds that the
last look is a second ago. While PostgreSQL does not answer, what was known last stays.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog
from django.db import Error as DatabaseError
from django.db import connection

from observability.incidents import Incident

log = structlog.get_logger(__name__)

#: How long a look is good for, in seconds.
KNOWN_SECONDS = 1.0

# Where a system is both, that it is in maintenance says why; when it is asked again, its breaker.
AWAY = """
SELECT system, COALESCE(reopened_at, opened_at), cause,
    GREATEST(1, CEIL(EXTRACT(EPOCH FROM next_look_at - now())))::int, false
FROM observability_incident WHERE kind = %s AND resolved_at IS NULL
UNION ALL
SELECT system, min(starts_at),
    'until ' || to_char(max(until) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC, '
        || (array_agg(reason ORDER BY until DESC))[1],
    CEIL(EXTRACT(EPOCH FROM max(until) - now()))::int, true
FROM observability_silence
WHERE maintenance AND starts_at <= now() AND until > now() GROUP BY system
ORDER BY 1, 5"""


@dataclass(frozen=True, slots=True)
class Outage:
    """A system that is down, or in maintenance. `retry_after`: seconds until the hub tries again;
    None: unknown.
    """

    system: str
    since: datetime
    cause: str
    retry_after: int | None
    maintenance: bool = False

    @property
    def reason(self) -> str:
        """`sap is down since 2026-11-21 12:03 UTC: connection refused`."""
        since = f"{self.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        state = "in maintenance" if self.maintenance else "down"
        return f"{self.system} is {state} since {since}" + (f": {self.cause}" if self.cause else "")


@dataclass(frozen=True, slots=True)
class State:
    """All systems that are down or in maintenance, by slug.

    `version` changes when one goes down, comes back or gives another cause: a part of the key of
    any cache of answers, since an answer says which systems it was given without. `reasons` is
    JSON, {system: reason}.
    """

    outages: Mapping[str, Outage] = field(default_factory=dict)
    version: str = ""
    reasons: str = "{}"

    def reason(self, system: str) -> str | None:
        """Why values of a system may be older than promised; None while it is well."""
        outage = self.outages.get(system)
        return outage.reason if outage else None


WELL = State()
_lock = threading.Lock()
_state, _looked = WELL, float("-inf")


def current() -> State:
    """What is known now. Costs a look at the clock, and a statement once a second a process."""
    if time.monotonic() - _looked > KNOWN_SECONDS and _lock.acquire(blocking=_looked < 0):
        try:
            if time.monotonic() - _looked > KNOWN_SECONDS:
                look()
        finally:
            _lock.release()
    return _state


def look() -> None:
    """Look now."""
    global _state, _looked  # noqa: PLW0603 (one state a process)
    try:
        with connection.cursor() as cursor:
            cursor.execute(AWAY, [Incident.Kind.SYSTEM_DOWN])
            away = [Outage(*row) for row in cursor.fetchall()]
    except DatabaseError as error:
        # The request finds out itself, and says so; a connection that is broken helps nobody.
        if not connection.in_atomic_block:
            connection.close()
        log.warning("which systems are down could not be looked up", error=str(error).strip())
    else:
        _state = _state_of(away) if away else WELL
    _looked = time.monotonic()


def forget() -> None:
    """Know nothing, so that the next read looks."""
    global _state, _looked
    _state, _looked = WELL, float("-inf")


def _state_of(away: Iterable[Outage]) -> State:
    outages: dict[str, Outage] = {}
    for one in away:
        down = outages.get(one.system)
        outages[one.system] = replace(one, retry_after=down.retry_after) if down else one
    reasons = {system: outage.reason for system, outage in outages.items()}
    text = json.dumps(reasons)
    return State(outages, text, text)
