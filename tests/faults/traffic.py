"""A scenario's own traffic: events from its seed, somebody who reads, and the verdict at rest."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from tests.faults.house import House
from tests.faults.journal import Journal
from tests.faults.measure import longest_stall, slowest
from tests.faults.model import Verdict, compare, still_open
from tests.faults.sender import POISONS, Caller, Script, Sender
from tests.faults.upstream import SLUG
from tests.processes import until

#: Answers that callers may see while something is broken. A name is a broken connection's.
WEBHOOK_ANSWERS = {"202", "503"}
READ_ANSWERS = {"200", "503"}


@dataclass(frozen=True)
class Bar:
    """A figure and what it may be at most."""

    what: str
    value: float
    most: float

    @property
    def holds(self) -> bool:
        return self.value <= self.most


@dataclass
class Outcome:
    """What came of a scenario."""

    name: str
    verdict: Verdict | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    bars: list[Bar] = field(default_factory=list)
    #: What went against a rule that is no figure: an answer of 500, a fault that did not strike.
    against: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def correct(self) -> bool:
        return (self.verdict is None or self.verdict.holds) and not self.against

    @property
    def in_time(self) -> bool:
        return all(bar.holds for bar in self.bars)

    def as_json(self) -> dict[str, Any]:
        return {
            **(self.verdict.as_json() if self.verdict else {}),
            "figures": self.figures,
            "bars": {b.what: [round(b.value, 3), b.most, b.holds] for b in self.bars},
            "against": self.against,
            "seconds": round(self.seconds, 1),
        }


class Traffic:
    """See `traffic`."""

    def __init__(
        self,
        house: House,
        name: str,
        seed: int,
        *,
        rate: float,
        events: int | None,
        poison: float,
        kinds: Sequence[str],
        retry: list[float],
    ) -> None:
        self.house, self.name = house, name
        self._events = events
        self._attempts = len(retry) + 1
        house.database().execute(
            "UPDATE connectors_stream s SET retry_seconds = %s FROM connectors_connection c"
            " WHERE c.id = s.connection_id AND c.slug = %s",
            [json.dumps(retry), SLUG],
        )
        self.journal = Journal(house.directory / f"journal-{name}.jsonl")
        script = Script(name, seed, house.upstream, poison=poison, kinds=kinds)
        self.began = time.time()
        self.sender = Sender(house, script, self.journal, rate=rate, count=events)
        self.caller = Caller(house)

    def reach(self, share: float) -> None:
        """Until so much of the script has been sent."""
        assert self._events is not None
        while self.sender.taken < share * self._events and self.sender.running:
            time.sleep(0.02)

    def recovered(self, since: float, seconds: float = 60.0) -> float:
        """Seconds from `since` until an event that came later was accepted, and has an outcome."""

        def again() -> bool:
            try:
                row = self.house.database().execute(
                    "SELECT 1 FROM connectors_inboxevent WHERE received_at > to_timestamp(%s)"
                    " AND finished_at IS NOT NULL AND event_id LIKE %s LIMIT 1",
                    [since, f"{self.name}-%"],
                )
            except psycopg.Error:
                return False
            return row.fetchone() is not None

        until("recovery", again, seconds)
        return time.time() - since

    def settle(self, outcome: Outcome, seconds: float = 120.0) -> None:
        """End the traffic, wait until everything has an outcome, and judge."""
        try:
            self.sender.finish(seconds)
        except TimeoutError as error:
            outcome.against.append(str(error))
        self.caller.end()
        try:
            outcome.figures["drained_seconds"] = round(
                until("rest", self._at_rest, seconds, 0.25), 1
            )
        except TimeoutError:
            outcome.against.append(f"events without an outcome {seconds:g} s after the last one")
        outcome.verdict = compare(
            self.house.database(),
            self.name,
            self.journal,
            self.house.upstream.held["stock"],
            attempts=self._attempts,
        )
        stall, since = longest_stall(outcome.verdict.rows)
        outcome.figures |= {
            "events": len(self.journal.sent),
            "acknowledged": len(self.journal.acknowledged),
            "answers": dict(self.journal.answers),
            "reads": dict(self.caller.answers),
            "longest_stall": round(stall, 2),
            "stalled_at": datetime.fromtimestamp(since, UTC).strftime("%H:%M:%S.%f"),
            "slowest": slowest(outcome.verdict.rows),
        }
        outcome.against += [
            f"{where} were answered {answer}, {count} times"
            for where, answers, allowed in (
                ("webhooks", self.journal.answers, WEBHOOK_ANSWERS),
                ("reads", self.caller.answers, READ_ANSWERS),
            )
            for answer, count in answers.items()
            if answer.isdigit() and answer not in allowed
        ]

    def _at_rest(self) -> bool:
        return still_open(self.house.database(), self.name) == 0

    def close(self) -> None:
        self.sender.abandon()
        self.caller.end()
        self.journal.close()


@contextmanager
def traffic(
    house: House,
    name: str,
    seed: int,
    *,
    rate: float,
    events: int | None = None,
    poison: float = 0.0,
    kinds: Sequence[str] = POISONS,
    retry: list[float] | None = None,
) -> Iterator[Traffic]:
    """Send `events` (None: until `settle`) at `rate` a second.

    `poison` is the share that is bad, in one of the ways of `kinds`; `retry` are the waits between attempts.
    """
    made = Traffic(
        house,
        name,
        seed,
        rate=rate,
        events=events,
        poison=poison,
        kinds=kinds,
        retry=retry or [],
    )
    try:
        yield made
    finally:
        made.close()
