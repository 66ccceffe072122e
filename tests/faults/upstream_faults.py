"""Every scripted fault of the sandbox against every connector.

For each pair some records change, the fault strikes while the streams are read, and when it is
over they are read once more. Then what is stored must be what the upstream gives out, record by
record, and no call may have gone out before a `Retry-After` was over.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import requests

from tests.faults import points
from tests.faults.house import House
from tests.faults.scenarios import Sizes
from tests.faults.traffic import Bar, Outcome
from tests.processes import until

SYSTEMS = ("sap", "akeneo", "salesforce", "stripe", "wms")
KINDS: dict[str, dict[str, Any]] = {
    "down": {},
    "slow": {"seconds": 1.5},
    "rate_limited": {},
    "unauthorized": {},
    "server_error": {},
    "truncated": {},
    "garbage": {},
    "oversized": {},
    "stuck_cursor": {},
    "overlapping_pages": {},
    "renamed_field": {},
    "retyped_field": {},
}
#: Seconds that a 429 asks for: for a sleep of the caller's, or for a place further back in its queue.
RETRY_AFTER = (2, 7)
#: A member that the contract of the system's main stream needs.
FIELDS = {"sap": "Product", "akeneo": "identifier", "salesforce": "Name", "stripe": "amount",
          "wms": "on_hand"}  # fmt: skip
RUN_SECONDS = 120.0
#: Of a call that was on its way when the refusal of another came.
UNDER_WAY_SECONDS = 0.2

WORKING = """
SELECT count(*) FROM connectors_syncrun r JOIN connectors_stream s ON s.id = r.stream_id
JOIN connectors_connection c ON c.id = s.connection_id
WHERE c.slug = %s AND (r.state = 'running' OR (r.state = 'queued' AND r.not_before <= now()))"""


def upstream_faults(house: House, sizes: Sizes) -> Outcome:
    """Each kind of fault at each system; `times` kinds of each, drawn by the seed, or all."""
    outcome, random = Outcome("upstream-faults"), Random(sizes.seed)
    become_part_of(house)
    memory = Memory(house)
    done = 0
    try:
        for system in SYSTEMS:
            _heal(house, system)
            memory.begin()
            kinds = list(KINDS)
            random.shuffle(kinds)
            for kind in kinds[: sizes.times or None]:
                outcome.against += [
                    f"{system}, {kind}: {text}" for text in _strike(house, random, system, kind)
                ]
                done += 1
    finally:
        memory.end()
        requests.delete(f"{house.sandbox}/_control/faults", timeout=10)
    outcome.figures |= {"faults": done, "megabytes": round(memory.growth)}
    outcome.bars.append(Bar("memory growth of a process, MB", memory.growth, 150))
    return outcome


def become_part_of(house: House) -> None:
    """Have this process see the house's database, as one of its own processes does."""
    os.environ.update(house.environment)
    os.environ.pop(points.VARIABLE)
    import django

    django.setup()
    # What it asks for and meets is in the summary.
    logging.disable(logging.WARNING)


def _strike(house: House, random: Random, system: str, kind: str) -> list[str]:
    """What went wrong."""
    control = f"{house.sandbox}/_control"
    for name in _collections(house, system):
        touched = {"system": system, "collection": name, "count": random.randrange(1, 20)}
        requests.post(f"{control}/touch", json=touched, timeout=10).raise_for_status()
    fault = {"kind": kind, "after": random.randrange(4), "count": random.randrange(1, 4)}
    if kind.endswith("_field"):
        fault["field"] = FIELDS[system]
    wait = RETRY_AFTER[random.randrange(len(RETRY_AFTER))] if kind == "rate_limited" else 0
    if wait:
        fault["retry_after"] = wait
    began = time.time()
    told = requests.put(f"{control}/faults/{system}", json=fault | KINDS[kind], timeout=10)
    told.raise_for_status()
    _read_all(house, system)
    requests.delete(f"{control}/faults/{system}", timeout=10).raise_for_status()
    time.sleep(wait)
    wrong = _too_early(house, system, began, wait)
    _heal(house, system)
    return wrong + _differences(house, system)


def _collections(house: House, system: str) -> list[str]:
    state = requests.get(f"{house.sandbox}/_control/state", timeout=10).json()
    return [name for name, has in state["systems"][system]["collections"].items() if has["count"]]


def _heal(house: House, system: str) -> None:
    """Read everything without a fault. What waits for its next attempt is not waited for."""
    from connectors.models import Connection, SyncRun

    row = Connection.objects.get(slug=system)
    Connection.objects.filter(pk=row.pk).update(paused_until=None)
    SyncRun.objects.filter(stream__connection=row, state=SyncRun.State.QUEUED).delete()
    _read_all(house, system)


def _read_all(house: House, system: str) -> None:
    """A full refresh of every stream; until none is at work or due."""
    from connectors.models import Stream, SyncRun
    from connectors.runtime import queue

    for stream in Stream.objects.filter(connection__slug=system):
        queue.ask(stream, SyncRun.Kind.FULL, asked_by="the fault tests")

    def rested() -> bool:
        return house.database().execute(WORKING, [system]).fetchone() == (0,)

    until(f"end of the runs of {system}", rested, RUN_SECONDS, 0.25)


def _differences(house: House, system: str) -> list[str]:
    """Where what is stored is not what the upstream gives out."""
    from catalog.source import SourceRecord
    from connectors.runtime.connector import connector_class
    from connectors.runtime.pieces import key_reader
    from tests.vendors import everything, opened

    wrong = []
    reader = opened(system, house.sandbox)
    for spec in connector_class(system).streams:
        key, expected = key_reader(spec.record_key), {}
        for raw in everything(reader, spec.slug):
            record = spec.contract.model_validate_json(raw)
            gone = spec.deleted and spec.deleted(record)
            if spec.entity_key(record) is not None and not gone:
                expected[key(raw)] = json.loads(raw)
        stored = {
            r.record_key: json.loads(r.payload)
            for r in SourceRecord.objects.filter(
                source__system=system, source__stream=spec.slug, deleted_at=None
            )
        }
        differ = [k for k in expected.keys() | stored if expected.get(k) != stored.get(k)]
        if differ:
            wrong.append(f"{len(differ)} of {spec.slug} differ, as {sorted(differ)[:3]}")
    return wrong


def _too_early(house: House, system: str, began: float, wait: float) -> list[str]:
    """Calls that did not wait as a 429 had asked."""
    log = f"{house.sandbox}/_control/requests?system={system}&limit=1000"
    asked = requests.get(log, timeout=10).json()["requests"]
    calls = sorted((r["at_ms"] / 1000, r["ms"] / 1000, r["status"], r["path"]) for r in asked)
    calls = [call for call in calls if call[0] >= began]
    return [
        f"{path} was asked {at - took - refused:.2f} s after a 429 that asked for {wait:g} s"
        for refused, _, status, _ in calls
        if status == 429
        for at, took, _, path in calls
        if refused + UNDER_WAY_SECONDS < at - took < refused + wait - 0.05
    ]


class Memory:
    """The most that a worker process has grown by since `begin`, in MB."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.growth = 0.0
        self._first: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Once more, when the processes have loaded what they need."""
        for pid in self._house.pool():
            self._first.setdefault(pid, _megabytes(pid))

    def end(self) -> None:
        self._ended.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._ended.wait(0.2):
            for pid, first in list(self._first.items()):
                self.growth = max(self.growth, _megabytes(pid) - first)


def _megabytes(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0
