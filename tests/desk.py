"""A connector whose upstream is this process, and that is able to do every operation's writes.

`Desk.wrote` counts what each idempotency key did; `Desk.sent` is what it was told, oldest first.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from connectors.commands import doors
from connectors.commands.declare import Write, operations
from connectors.models import Connection
from connectors.runtime import connector
from connectors.runtime.connect import connect
from connectors.runtime.connector import Capability, Push
from connectors.runtime.declare import Ask, Page, StreamSpec
from tests.telling import LEVELS


def _able() -> set[str]:
    """Every capability that a step of an operation takes, or the undoing of one."""
    writes = [s for o in operations().values() for s in o.steps if isinstance(s, Write)]
    return {s.capability for s in writes} | {s.undo.capability for s in writes if s.undo}


def _body(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {**values, "reference": key}


@connector.register
class Desk(connector.Connector):
    slug: ClassVar[str] = "desk"
    label: ClassVar[str] = "An upstream in this process that does whatever it is told"
    streams: ClassVar[tuple[StreamSpec, ...]] = (LEVELS,)
    capabilities: ClassVar[tuple[Capability, ...]] = tuple(
        Capability(slug, "stock", _body) for slug in sorted(_able())
    )

    wrote: ClassVar[Counter[str]] = Counter()
    sent: ClassVar[list[tuple[str, dict[str, Any]]]] = []
    #: What the next writes meet in place of the work; how long each takes, in seconds.
    away: ClassVar[list[Exception]] = []
    seconds: ClassVar[float] = 0.0
    lock: ClassVar[threading.Lock] = threading.Lock()

    def page(self, stream: StreamSpec, ask: Ask) -> Page:  # noqa: ARG002
        return Page([])

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:  # noqa: ARG002
        return None

    def push(self, stream: StreamSpec, push: Push) -> str:  # noqa: ARG002
        time.sleep(Desk.seconds)
        with Desk.lock:
            if Desk.away:
                raise Desk.away.pop(0)
            Desk.wrote[push.idempotency_key] += 1
            Desk.sent.append((push.operation, json.loads(push.body)))
            return f"AMS/{len(Desk.sent)}"

    def find(self, stream: StreamSpec, push: Push) -> str | None:  # noqa: ARG002
        return "AMS/1" if Desk.wrote[push.idempotency_key] else None


def sitting() -> Connection:
    """The desk, alone: no other connection does any work."""
    doors.forget()
    Desk.wrote, Desk.sent, Desk.away, Desk.seconds = Counter(), [], [], 0.0
    row = connect("desk", "desk", "http://127.0.0.1:9", {})
    Connection.objects.exclude(pk=row.pk).update(enabled=False)
    return row
