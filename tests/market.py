"""The sandbox's company connected and read, and callers who write to it over REST."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import requests
from django.core.management import call_command
from django.db import connection

from connectors.commands import doors, drain, ledger
from connectors.inbox import events
from connectors.inbox.apply import Applier
from connectors.models import Connection, Stream
from connectors.runtime import queue
from connectors.runtime.pull import execute
from hub.auth.keys import issue_key
from tests.sandboxes import running
from tests.web import Inside

PRODUCTS = 60
#: What operations look up here.
READ = (
    ("akeneo", "variants"), ("sap", "prices"), ("salesforce", "accounts"), ("salesforce", "lots"),
    ("stripe", "accounts"),
)  # fmt: skip


@contextmanager
def opened() -> Iterator[Market]:
    """A sandbox of its own, connected to the database of the test."""
    with running(PRODUCTS) as server:
        doors.forget()
        call_command("connect_sandbox", server.url, stdout=io.StringIO())
        Connection.objects.update(timeout_seconds=5)
        for system, stream in READ:
            row = Stream.objects.get(connection__slug=system, slug=stream)
            queue.ask(row, "full", asked_by="tests")
        while taken := queue.claim():
            execute(*taken)
        try:
            yield Market(server.url)
        finally:
            doors.forget()


class Market:
    """Callers of the hub, and what the simulated systems say came of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = issue_key("tests", ["write:*", "read:*"])

    def send(
        self, path: str, body: Any, *, key: str = "", authority: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """POST; the status and the JSON."""
        headers = {
            "Authorization": f"Bearer {authority or self.key}", "Content-Type": "application/json",
            "Idempotency-Key": key or f'"{uuid4()}"',
        }  # fmt: skip
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = Inside(0).request("POST", f"/api/v1/{path}", raw, headers)
        return answer.status, json.loads(answer.body)

    def at_once(
        self, sends: list[Callable[[], tuple[int, dict[str, Any]]]]
    ) -> list[tuple[int, dict[str, Any]]]:
        """Requests of threads that begin together; the answers in the order of the requests."""
        answers: dict[int, tuple[int, dict[str, Any]]] = {}
        gate = threading.Barrier(len(sends))

        def run(place: int) -> None:
            try:
                gate.wait()
                answers[place] = sends[place]()
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=(n,)) for n in range(len(sends))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [answers[place] for place in range(len(sends))]

    def settle(self) -> None:
        """What the drains do, until nothing is due: commands, and what they read back."""
        while drain.send_due() or drain.confirm_due() or _went_on():
            pass
        applier = Applier()
        while batch := events.claim_alone() or events.claim_batch():
            applier.apply(batch)

    def wrote(self, *systems: str) -> dict[str, int]:
        """How many records our references made, by collection."""
        found: dict[str, int] = {}
        for system in systems or ("sap", "salesforce", "wms", "stripe"):
            told = requests.get(f"{self.url}/_control/references/{system}", timeout=5).json()
            for name, counts in told["references"].items():
                if counts:
                    found[name] = sum(counts.values())
        return found

    def record(self, system: str, collection: str, key: str) -> Any:
        """A record as the simulated system has it."""
        address = f"{self.url}/_control/{system}/{collection}/{key}"
        return requests.get(address, timeout=5).json()

    def patch(self, system: str, collection: str, key: str, change: dict[str, Any]) -> None:
        """Somebody changes a record in a system; the hub is not told."""
        address = f"{self.url}/_control/{system}/{collection}/{key}"
        requests.post(address, json=change, timeout=5).raise_for_status()


def _went_on() -> bool:
    command = ledger.claim()
    if command is not None:
        drain.go_on(command)
    return command is not None
