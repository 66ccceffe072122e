"""The scenario of the writes: each arrives exactly once, and each command comes to a definite end.

Callers send each write under a key of its own until they are given an answer, while processes of
ours and the upstreams are killed, and upstreams are slow, answer after our time-out or not at all.
In the end the sandbox is asked what it has, and the database what became of each command:

  lost        a caller was answered, and there is no command
  open        a command without an end, or without an answer
  twice       a reference that made more than one record upstream
  missing     a confirmed command without its reservation or its order
  left        a refused command that left one behind
  changed     another answer to the same request
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count
from random import Random
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from tests.faults import faults, points
from tests.faults.house import House
from tests.faults.scenarios import Sizes, at_a_point
from tests.faults.traffic import Outcome
from tests.processes import until

THREADS = 8
CUSTOMER = "10000001"
TIME_OUT = 2.0
#: Above the web server's deadline, and the time that a killed one takes to come back.
ANSWER_SECONDS = 15.0
AGAIN_SECONDS = (0.05, 0.4)
#: What callers may meet before they have their answer; names are of broken connections.
PASSING = {"409", "503"}
FINAL = {"201", "202", "422"}

SETTINGS = """
UPDATE connectors_connection SET timeout_seconds = %s, breaker_cooldown_seconds = 2
WHERE slug IN ('wms', 'sap')"""
COMMANDS = """
SELECT c.idempotency_key, c.reference, c.state, c.status, c.attempts, c.error
FROM connectors_command c WHERE c.idempotency_key LIKE %s"""
OPEN = """
SELECT count(*) FROM connectors_command
WHERE idempotency_key LIKE %s AND finished_at IS NULL"""


@dataclass
class Journal:
    """What callers were told. Thread-safe."""

    answers: Counter[str] = field(default_factory=Counter)
    #: The final answer of each key: status and body.
    final: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, key: str, status: str, body: bytes) -> None:
        with self.lock:
            self.answers[status] += 1
            if status in FINAL:
                self.final[key] = status, body


class Callers:
    """Threads that send writes until each has its answer."""

    def __init__(self, house: House, prefix: str, number: int, seed: int, api_key: str) -> None:
        self.house, self.prefix, self._number, self._api_key = house, prefix, number, api_key
        self.journal = Journal()
        self._seed, self._next = seed, count()
        self._ended = threading.Event()
        self._skus, self._customer = _stock_of(house)
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    @property
    def answered(self) -> int:
        return len(self.journal.final)

    def reach(self, share: float) -> None:
        """Until so many have their answer. Raises TimeoutError where none gets any for long."""
        while self.answered < (wanted := int(share * self._number)):
            before = self.answered
            until("answer", lambda: self.answered > before or self.answered >= wanted, 120)  # noqa: B023 (called at once)

    def wait(self, seconds: float) -> None:
        """Until all have. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            raise TimeoutError("callers wait for answers still")

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(ANSWER_SECONDS + 1)

    def wish(self, place: int) -> bytes:
        """The body of a write: the same each time that it is sent."""
        drawn = Random(f"{self._seed}/{place}")
        wished = {"sku": drawn.choice(self._skus), "customer": self._customer}
        return json.dumps(wished | {"unwanted": drawn.random() < 0.1}).encode()

    def send(self, place: int) -> tuple[str, bytes]:
        """Once: the status, or the name of what went wrong, and what came."""
        headers = {
            "Authorization": f"Bearer {self._api_key}",
            "Content-Type": "application/json",
            "Idempotency-Key": self.key(place),
        }
        link = HTTPConnection("127.0.0.1", self.house.port, timeout=ANSWER_SECONDS)
        try:
            link.request("POST", "/api/v1/fault-orders", self.wish(place), headers)
            answer = link.getresponse()
            return str(answer.status), answer.read()
        except (OSError, HTTPException) as error:
            return type(error).__name__, b""
        finally:
            link.close()

    def key(self, place: int) -> str:
        return f"{self.prefix}-{place}"

    def _run(self) -> None:
        while (place := next(self._next)) < self._number:
            while True:
                status, body = self.send(place)
                self.journal.note(self.key(place), status, body)
                if status in FINAL:
                    break
                if self._ended.wait(random.uniform(*AGAIN_SECONDS)):
                    return


def writes(house: House, sizes: Sizes) -> Outcome:
    """`times` rounds of every fault, in an order that the seed draws, over `events` writes."""
    outcome, drawn = Outcome("writes"), Random(sizes.seed)
    house.database().execute(SETTINGS, [TIME_OUT])
    key = house.run("manage.py", "api_key", "writes", "--scope", "write:order").split()[-1]
    kinds: list[Callable[[House, Random], None]] = [
        *[faults.kill_web_worker] * 2, *[faults.kill_worker] * 2, *[faults.kill_upstreams] * 2,
        *[_upstream_fault] * 6, faults.kill_all_ours, faults.crash_postgres,
        *[at_a_point(name) for name in sorted(points.COMMAND_POINTS)],
    ] * sizes.times  # fmt: skip
    drawn.shuffle(kinds)
    done: Counter[str] = Counter()
    callers = Callers(house, f"w{sizes.seed}", sizes.events, sizes.seed, key)
    try:
        for number, fault in enumerate(kinds, start=1):
            callers.reach(number / (len(kinds) + 1))
            fault(house, drawn)
            done[fault.__name__] += 1
        _all_well(house)
        callers.wait(300)
        _settle(callers, outcome)
    except TimeoutError as error:
        outcome.against.append(str(error))
    finally:
        callers.end()
        missed = [name for name in points.COMMAND_POINTS if points.disarm(house.points, name)]
    outcome.figures |= {"faults": dict(done), "points_not_reached": missed}
    _judge(callers, outcome)
    return outcome


def _settle(callers: Callers, outcome: Outcome) -> None:
    house, pattern = callers.house, [f"{callers.prefix}-%"]

    def rest() -> bool:
        return house.database().execute(OPEN, pattern).fetchone() == (0,)

    outcome.figures["rest_after"] = round(until("end of every command", rest, 240, 0.25), 1)


def _judge(callers: Callers, outcome: Outcome) -> None:
    house, journal, wrong = callers.house, callers.journal, outcome.against
    rows = house.database().execute(COMMANDS, [f"{callers.prefix}-%"]).fetchall()
    known = {row[0]: row for row in rows}
    made = {
        system: _control(house, f"references/{system}")["references"] for system in ("wms", "sap")
    }
    reserved = made["wms"].get("reservations", {})
    ordered = made["sap"].get("A_SalesOrder", {})
    wrong += [f"lost: {key}" for key in journal.final if key not in known]
    wrong += [
        f"twice: {ref}, {n} times" for c in (reserved, ordered) for ref, n in c.items() if n > 1
    ]
    active = _active(house)
    for key, reference, state, status, *_ in rows:
        if state not in ("confirmed", "refused") or status is None:
            wrong.append(f"open: {key} is {state} {_}")
        if state == "confirmed" and not (
            f"{reference}.reserve" in reserved and f"{reference}.order" in ordered
        ):
            wrong.append(f"missing: {key} is confirmed")
        if (f"{reference}.reserve" in active) != (state == "confirmed"):
            wrong.append(f"left: {key} is {state}, its reservation is not")
    for place in range(0, len(known), max(1, len(known) // 50)):
        status, body = journal.final.get(callers.key(place), ("", b""))
        if status in ("201", "422") and callers.send(place) != (status, body):
            wrong.append(f"changed: {callers.key(place)}")
    wrong += [
        f"writes were answered {answer}, {times} times"
        for answer, times in journal.answers.items()
        if answer.isdigit() and answer not in FINAL | PASSING
    ]
    del wrong[40:]
    outcome.figures |= {
        "events": len(rows),
        "states": dict(Counter(row[2] for row in rows)),
        "answers": dict(journal.answers),
        "reservations": len(reserved),
        "orders": len(ordered),
        "most_attempts": max((row[4] for row in rows), default=0),
    }


# --- the upstreams ------------------------------------------------------------------------------

#: Beyond our time-out: the work is done, or done late, and nobody hears of it.
LATE = TIME_OUT + 1.0
UPSTREAM_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "answer_lost", "seconds": 0, "count": 3},
    {"kind": "answer_lost", "seconds": LATE, "count": 3},
    {"kind": "slow_writes", "seconds": LATE, "count": 3},
    {"kind": "slow_writes", "seconds": 0.5, "count": 10},
    {"kind": "server_error", "status": 503, "count": 3},
    {"kind": "down", "count": 3},
)


def _upstream_fault(house: House, drawn: Random) -> None:
    system, fault = drawn.choice(("wms", "sap")), drawn.choice(UPSTREAM_FAULTS)
    _when_up(house, f"faults/{system}", "PUT", fault)


def _all_well(house: House) -> None:
    _when_up(house, "faults", "DELETE", None)


def _stock_of(house: House) -> tuple[list[str], str]:
    """Skus of which there is enough for all, and a customer with credit for all."""
    rows = house.database().execute(
        "SELECT split_part(key, '/', 1) AS sku, min(warehouse) FROM catalog_stock"
        " WHERE deleted_at IS NULL GROUP BY 1 ORDER BY 1 LIMIT 20"
    )
    stock = {sku: warehouse for sku, warehouse in rows if sku}
    for sku, warehouse in stock.items():
        address = f"wms/stock/{quote(f'{warehouse}/{sku}')}"
        _control(house, address, "POST", {"on_hand": 1_000_000, "available": 1_000_000})
    return sorted(stock), CUSTOMER


def _active(house: House) -> set[str]:
    """References of reservations that were not released."""
    found: set[str] = set()
    cursor: str | None = ""
    while cursor is not None:
        address = f"{house.sandbox}/wms/api/v1/reservations?limit=500"
        address += f"&cursor={quote(cursor)}" if cursor else ""
        request = Request(address, headers={"Authorization": "Bearer wms-sandbox-token"})  # noqa: S310 (our own)
        with urlopen(request, timeout=20) as answer:  # noqa: S310
            page = json.loads(answer.read())
        found |= {one["reference"] for one in page["items"] if one["status"] == "active"}
        cursor = page["next_cursor"]
    return found


def _when_up(house: House, address: str, method: str, body: Any) -> None:
    def said() -> bool:
        try:
            _control(house, address, method, body)
        except (OSError, HTTPException):
            return False
        return True

    until("sandbox that answers", said, 60, 0.2)


def _control(house: House, address: str, method: str = "GET", body: Any = None) -> Any:
    request = Request(  # noqa: S310 (our own)
        f"{house.sandbox}/_control/{address}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    with urlopen(request, timeout=20) as answer:  # noqa: S310
        text = answer.read()
    return json.loads(text) if text else None
