"""A connector whose upstream is this process, and takes writes: what it holds, and how it fails.

`Upstream.made` counts what each idempotency key made, which must be one. Faults wait in
`Upstream.faults`, one for each push: `before` is raised instead of the work, `after` when it is done.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from connectors.commands import Accepted, accept, carry_out, doors
from connectors.commands.declare import Operation, Write, register
from connectors.models import Command, Connection
from connectors.runtime import connector
from connectors.runtime.connect import connect
from connectors.runtime.connector import Capability, Push
from connectors.runtime.declare import Ask, Page, StreamSpec
from tests.telling import LEVELS, level


@dataclass
class Fault:
    before: Exception | None = None
    after: Exception | None = None


@dataclass
class Upstream:
    """What all connections of this connector write to."""

    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: How often each idempotency key did something.
    made: Counter[str] = field(default_factory=Counter)
    #: Record keys by idempotency key.
    keys: dict[str, str] = field(default_factory=dict)
    #: (what, name of the thing) in the order in which it came.
    calls: list[tuple[str, str]] = field(default_factory=list)
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    seconds: float = 0.0
    find_fails: Exception | None = None
    record_fails: Exception | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, what: str, *faults: Fault) -> None:
        """Have the next pushes of a capability fail so."""
        self.faults.setdefault(what, deque()).extend(faults)


def _body(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {**values, "key": key}


@connector.register
class WritingConnector(connector.Connector):
    slug: ClassVar[str] = "writing"
    label: ClassVar[str] = "An upstream in this process that takes writes"
    streams: ClassVar[tuple[StreamSpec, ...]] = (LEVELS,)
    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("stock.set", "stock", _body),
        Capability("stock.more", "stock", _body),
        Capability("stock.drop", "stock", _body, key=lambda values: str(values["place"])),
    )
    questions: ClassVar[Mapping[str, Any]] = {
        "stock.level": lambda self, values: self.level(values["sku"])
    }
    upstream: ClassVar[Upstream] = Upstream()

    def page(self, stream: StreamSpec, ask: Ask) -> Page:  # noqa: ARG002
        return Page([json.dumps(record).encode() for record in self.upstream.held.values()])

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:  # noqa: ARG002
        self.upstream.calls.append(("record", record_key))
        if self.upstream.record_fails is not None:
            raise self.upstream.record_fails
        found = self.upstream.held.get(record_key)
        return None if found is None else json.dumps(found).encode()

    def push(self, stream: StreamSpec, push: Push) -> str:  # noqa: ARG002
        upstream, values = self.upstream, json.loads(push.body)
        waiting = upstream.faults.get(push.operation)
        fault = waiting.popleft() if waiting else Fault()
        upstream.calls.append((push.operation, values.get("sku", push.record_key)))
        time.sleep(upstream.seconds)
        if fault.before is not None:
            raise fault.before
        with upstream.lock:
            upstream.made[push.idempotency_key] += 1
            if push.operation == "stock.drop":
                upstream.held.pop(push.record_key, None)
                upstream.keys[push.idempotency_key] = push.record_key
            else:
                key = f"AMS/{values['sku']}"
                upstream.held[key] = level(values["sku"], int(values["quantity"]), 1)
                upstream.keys[push.idempotency_key] = key
        if fault.after is not None:
            raise fault.after
        return upstream.keys[push.idempotency_key]

    def find(self, stream: StreamSpec, push: Push) -> str | None:  # noqa: ARG002
        self.upstream.calls.append(("find", push.idempotency_key))
        if self.upstream.find_fails is not None:
            raise self.upstream.find_fails
        return self.upstream.keys.get(push.idempotency_key)

    def level(self, sku: str) -> dict[str, Any]:
        self.upstream.calls.append(("ask", sku))
        found = self.upstream.held.get(f"AMS/{sku}")
        return {"available": found["available"] if found else "0"}


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sku: str = "A"
    quantity: int = 1


def writing(**settings: Any) -> Connection:
    """The connection `writing`, fresh, with a time-out of a second."""
    WritingConnector.upstream = Upstream()
    doors.forget()
    row = connect("writing", "writing", "http://127.0.0.1:9", {})
    row.timeout_seconds = 1
    for name, value in settings.items():
        setattr(row, name, value)
    row.save()
    return row


def put(name: str, capability: str = "stock.set", suffix: str = "", **more: Any) -> Write:
    """A write of a level whose sku is the command's, with a suffix."""
    return Write(
        name,
        capability,
        lambda work: {"sku": work.params.sku + suffix, "quantity": work.params.quantity},
        **more,
    )


def operation(*steps: Any, slug: str = "stock.arrange", **more: Any) -> Operation:
    """An operation of these steps, registered."""
    given: dict[str, Any] = {
        "title": "Arrange stock", "description": "For tests.", "method": "POST", "path": "",
        "scope": "write:stock", "params": Params, "result_model": Params,
        "result": lambda work: {"reference": work.reference, "steps": dict(work.results)},
        "deadline_seconds": 3.0,
    }  # fmt: skip
    return register(Operation(slug=slug, steps=steps, **{**given, **more}))


def asked(made: Operation, key: str = "key-1", caller: str = "key:1", **params: Any) -> Accepted:
    """A caller's request, accepted."""
    body = made.params(**params).model_dump(mode="json")
    return accept(made, body, caller, key, f"corr-{key}")


def done(made: Operation, key: str = "key-1", **params: Any) -> Command:
    """A caller's request, accepted and carried out."""
    return carry_out(asked(made, key, **params).command)
