"""What was opened for a fault, and whether it is green again."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.drill.faults import OURSELVES, Fault
from tests.drill.house import DrillHouse
from tests.processes import until

#: Within which the first incident has to name system and hop.
WITHIN_SECONDS = 60.0
#: For what else a fault opens, once it is found.
AFTER_SECONDS = 3.0
GREEN_SECONDS = 150.0
#: Looks in a row, half a second apart, at which nothing is open.
CALM = 8

OPENED = """
SELECT i.id, i.kind, i.system, i.hop, i.title, EXTRACT(EPOCH FROM
           COALESCE((i.pack ->> 'assembled_at')::timestamptz, now()) - %(since)s::timestamptz)::float8,
       i.pack -> 'milliseconds'
FROM observability_incident i
WHERE GREATEST(i.opened_at, i.reopened_at) >= %(since)s AND i.part_of_id IS NULL ORDER BY i.id"""

OPEN = "SELECT count(*) FROM observability_incident WHERE resolved_at IS NULL"

#: An hour goes by: what a fault left behind is no evidence for the next.
AGE = """
UPDATE observability_incident SET resolved_at = resolved_at - interval '1 hour'
WHERE resolved_at IS NOT NULL;
UPDATE catalog_revision SET at = at - interval '1 hour' WHERE at > now() - interval '1 hour';
UPDATE catalog_rulechange SET at = at - interval '1 hour';
UPDATE observability_start SET at = at - interval '3 hours';
DELETE FROM observability_refusal;
DELETE FROM observability_fieldchanges;
UPDATE observability_measurement m SET total = 0, high = 0 FROM observability_series s
WHERE s.id = m.series_id AND s.name = 'freshness_late' AND m.total > 0;
UPDATE connectors_connection SET created_at = created_at - interval '1 day';
UPDATE connectors_syncrun SET finished_at = finished_at - interval '1 hour',
    queued_at = queued_at - interval '1 hour', asked_by = 'an hour ago' WHERE asked_by LIKE 'gap: %'"""

#: What would wait for its next attempt, as an operator's resync does not; and nobody wants letters.
HURRY = """
DELETE FROM connectors_inboxevent WHERE state = 'dead';
DELETE FROM connectors_outboxcommand WHERE state = 'dead';
UPDATE connectors_inboxevent SET next_attempt_at = now() WHERE state = 'retrying';
UPDATE connectors_connection SET paused_until = NULL, paused_because = '';
UPDATE connectors_syncrun SET not_before = now() WHERE state = 'queued';
UPDATE connectors_breaker SET retry_at = now() WHERE state = 'open' AND retry_at IS NOT NULL"""


@dataclass
class Result:
    """One fault. `seconds`: from when it was in place to the pack; None: no incident in time."""

    fault: str
    expected: tuple[str, str]
    found: tuple[str, str] | None = None
    kind: str = ""
    seconds: float | None = None
    pack_milliseconds: int | None = None
    right: bool = False
    others: list[str] = field(default_factory=list)
    green_after: float | None = None
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def now(house: DrillHouse) -> Any:
    """PostgreSQL's."""
    row = house.database().execute("SELECT now()").fetchone()
    assert row is not None
    return row[0]


def opened(house: DrillHouse, since: Any) -> list[tuple[Any, ...]]:
    """(id, kind, system, hop, title, seconds to its pack, milliseconds of it) of what is no part."""
    return house.database().execute(OPENED, {"since": since}).fetchall()


def judged(house: DrillHouse, fault: Fault, since: Any) -> Result:
    """Wait for the first incident since a moment, and hold it against what was done until now."""
    result, done = Result(fault.name, (fault.system, fault.hop)), now(house)
    with suppress(TimeoutError):
        until("incident", lambda: [row for row in opened(house, since)[:1] if row[3]],
              WITHIN_SECONDS, 0.25)  # fmt: skip
    time.sleep(AFTER_SECONDS)
    rows = opened(house, since)
    if rows:
        _, result.kind, system, hop, _, seconds, result.pack_milliseconds = rows[0]
        seconds = max(0.0, seconds - (done - since).total_seconds())
        result.found, result.seconds = (system or OURSELVES, hop), round(seconds, 1)
        result.right = result.found == result.expected and seconds <= WITHIN_SECONDS
    result.others = [f"{kind} of {system}: {hop}" for _, kind, system, hop, *_ in rows[1:]]
    return result


def settle(house: DrillHouse, system: str) -> float | None:
    """Wait until nothing is open any more; the seconds. None: something had to be closed by hand."""
    from connectors.models import Stream
    from connectors.runtime import queue

    began = time.monotonic()
    database = house.database()
    asked, calm = 0.0, 0
    while time.monotonic() - began < GREEN_SECONDS:
        row = database.execute(OPEN).fetchone()
        calm = calm + 1 if row == (0,) else 0
        if calm == CALM:
            break
        if not calm and time.monotonic() - asked > 10:
            asked = time.monotonic()
            database.execute(HURRY)
            database.execute(AGE)
            for stream in Stream.objects.filter(connection__slug=system):
                queue.ask(stream, queue.natural_kind(stream), asked_by="the drill")
        time.sleep(0.5)
    else:
        database.execute(
            "UPDATE observability_incident SET resolved_at = now(), resolved_by = 'the drill'"
            " WHERE resolved_at IS NULL"
        )
    took = round(time.monotonic() - began, 1)
    database.execute(AGE)
    return took if took < GREEN_SECONDS else None
