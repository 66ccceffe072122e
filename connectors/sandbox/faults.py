"""Scripted faults: what goes wrong, for which system, after how many requests and how often.

`share` of the requests that come into question are hit, by a random sequence that begins at `seed`.
Most faults spoil the response on the wire, and the server applies them to any vendor. The last
four spoil data or paging, and vendor modules ask for them while they make a page:

``transform(system, records)``  the page's records, with a field renamed or retyped
``paging(system)``              "stuck_cursor", "overlapping_pages" or None
``overlap(length)``             of a page of that many rows, how many come again on the next one

The board in force is the one of the request being answered (a context variable), so that several
sandboxes can live in one process.
"""

from __future__ import annotations

import random
import threading
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

Record = dict[str, Any]

WIRE_KINDS = {
    "down": "the connection is closed without an answer",
    "slow": "the answer comes after `seconds`",
    "rate_limited": "429 with Retry-After: `retry_after`",
    "unauthorized": "401, and every token given out so far is revoked",
    "server_error": "`status` (503) with the vendor's error body; SAP sends HTML",
    "truncated": "half of the body, with the Content-Length of the whole",
    "garbage": "200 with a page of HTML in place of the data",
    "oversized": "200 with `megabytes` (40) of padding behind the data",
    "answer_lost": "a write is done, but answered after `seconds`; 0: the connection is closed",
    "slow_writes": "a write is done after `seconds`, reads at once",
}
#: These hit no reads.
WRITE_KINDS = frozenset({"answer_lost", "slow_writes"})
READS = frozenset({"GET", "HEAD"})
DATA_KINDS = {
    "stuck_cursor": "the next page is the same page again, for ever",
    "overlapping_pages": "the next page begins with the last tenth of this one",
    "renamed_field": "`field` is called `to`",
    "retyped_field": "`field` is a number in place of a text, or a text in place of a number",
}
KINDS = WIRE_KINDS | DATA_KINDS
# At Stripe the caller makes the cursor out of the records, so paging faults must repeat records.
_CURSOR_IS_A_RECORD = {"stripe"}


class BadFault(ValueError):
    """A fault that cannot be set; the message names the member that is wrong."""


@dataclass
class Fault:
    kind: str
    after: int = 0  # so many requests pass before it begins
    count: int | None = None  # so many requests are hit; None: until it is cleared
    share: float = 1.0  # of the requests that come into question
    seed: int = 1
    status: int = 503
    seconds: float = 3.0
    retry_after: float | str = 2
    megabytes: int = 40
    field: str = ""
    to: str = ""
    hits: int = 0

    @classmethod
    def parse(cls, given: Any) -> Fault:
        if not isinstance(given, dict):
            raise BadFault("a fault is a JSON object with a kind")
        if given.get("kind") not in KINDS:
            raise BadFault(f"kind must be one of {', '.join(KINDS)}")
        settable = cls.__dataclass_fields__.keys() - {"hits"}
        unknown = sorted(given.keys() - settable)
        if unknown:
            raise BadFault(f"unknown member {unknown[0]}; known are {', '.join(sorted(settable))}")
        for name in ("after", "count", "status", "megabytes", "seed"):
            value = given.get(name)
            if value is not None and (type(value) is not int or value < 0):
                raise BadFault(f"{name} must be a whole number from 0, not {value!r}")
        seconds = given.get("seconds", 0)
        if not isinstance(seconds, int | float) or not 0 <= seconds <= 600:
            raise BadFault(f"seconds must lie between 0 and 600, not {seconds!r}")
        share = given.get("share", 1)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise BadFault(f"share must lie above 0 and be at most 1, not {share!r}")
        if given["kind"] in {"renamed_field", "retyped_field"} and not given.get("field"):
            raise BadFault(f"{given['kind']} needs a field")
        return cls(**given)

    def to_json(self) -> Record:
        return asdict(self)


class FaultBoard:
    """At most one fault for each system. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, Fault] = {}
        self._chances: dict[str, random.Random] = {}
        self._pages: dict[tuple[str, str], list[Record]] = {}

    def set(self, system: str, fault: Fault) -> None:
        with self._lock:
            self._faults[system] = fault
            self._chances[system] = random.Random(fault.seed)
            self._pages.clear()

    def clear(self, system: str | None = None) -> None:
        with self._lock:
            for name in [system] if system else list(self._faults):
                self._faults.pop(name, None)
            self._pages.clear()

    def all(self) -> dict[str, Fault]:
        with self._lock:
            return dict(self._faults)

    def strike(self, system: str, method: str) -> Fault | None:
        """The fault that hits this request, if any: called once for each request of a system."""
        with self._lock:
            fault = self._faults.get(system)
            if fault is None or (fault.kind in WRITE_KINDS and method in READS):
                return None
            if fault.after > 0:
                fault.after -= 1
                return None
            if fault.count is not None and fault.hits >= fault.count:
                return None
            if fault.share < 1 and self._chances[system].random() >= fault.share:
                return None
            fault.hits += 1
            return fault

    def repeat(self, path: str, kind: str, system: str, records: list[Record]) -> list[Record]:
        """Stripe's paging faults: the records of the page before, all of them or its tail."""
        with self._lock:
            before = self._pages.get((system, path))
            if kind == "stuck_cursor":
                return self._pages.setdefault((system, path), records)
            self._pages[system, path] = records
            return (before[-overlap(len(before)) :] if before else []) + records


@dataclass(frozen=True)
class Active:
    """The fault that hits the request being answered."""

    board: FaultBoard
    path: str
    fault: Fault | None


ACTIVE: ContextVar[Active | None] = ContextVar("sandbox_active_fault", default=None)


def _fault(*kinds: str) -> Fault | None:
    active = ACTIVE.get()
    if active is None or active.fault is None or active.fault.kind not in kinds:
        return None
    return active.fault


def transform(system: str, records: list[Record]) -> list[Record]:
    """The records as the fault leaves them; the given ones are never changed in place."""
    active, fault = ACTIVE.get(), _fault(*DATA_KINDS)
    if active is None or fault is None:
        return records
    if fault.kind in {"stuck_cursor", "overlapping_pages"}:
        if system in _CURSOR_IS_A_RECORD:
            return active.board.repeat(active.path, fault.kind, system, records)
        return records
    return [_changed(record, fault) for record in records]


def paging(system: str) -> str | None:  # noqa: ARG001 - the request belongs to one system only
    """Which paging fault hits this request."""
    fault = _fault("stuck_cursor", "overlapping_pages")
    return fault.kind if fault else None


def overlap(length: int) -> int:
    """How many of ``length`` rows come again on the next page: a tenth, and never all."""
    return min(length - 1, max(1, length // 10)) if length > 1 else 0


def _changed(record: Record, fault: Fault) -> Record:
    """``field`` may be a path with dots, as in ``values.name``."""
    head, _, rest = fault.field.partition(".")
    if head not in record:
        return record
    if rest:
        inner, deeper = record[head], Fault(fault.kind, field=rest, to=fault.to)
        if isinstance(inner, list):
            changed: Any = [_changed(i, deeper) if isinstance(i, dict) else i for i in inner]
        else:
            changed = _changed(inner, deeper) if isinstance(inner, dict) else inner
        return {**record, head: changed}
    if fault.kind == "renamed_field":
        name = fault.to or f"{head}_v2"
        return {(name if key == head else key): value for key, value in record.items()}
    return {**record, head: _retyped(record[head])}


def _retyped(value: Any) -> Any:
    if isinstance(value, str):
        return float(value) if value.replace(".", "", 1).isdecimal() else {"value": value}
    return str(value) if isinstance(value, int | float) else "" if value is None else [value]
