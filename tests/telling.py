"""A connector whose upstream is this process: records in a dict, events handed to the inbox.

Its webhook's events are `{"id", "key"[, "record"]}`; its stream is stock by sku and warehouse.
A record with a member `poison` makes its own mapping fail, hang, or end the process.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from connectors.inbox import events
from connectors.inbox.apply import Applier
from connectors.inbox.arrive import Arrival, Inlet
from connectors.models import Connection, InboxEvent, SyncRun
from connectors.runtime import connector, queue
from connectors.runtime.connect import connect
from connectors.runtime.connector import Push
from connectors.runtime.declare import Ask, From, Page, StreamSpec
from connectors.runtime.pull import execute
from connectors.webhooks.arrivals import Reader
from connectors.webhooks.declare import Received, Webhook
from connectors.wms.connector import STOCK
from connectors.wms.contracts import StockLevel
from observability.errors import HubError

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Poisonable(StockLevel):
    poison: str = ""


def available(value: Any, poison: str) -> Any:
    """The mapping of a field that may go wrong in every way."""
    if poison == "exit":
        os._exit(9)
    if poison == "hang":
        time.sleep(60)
    if poison == "defect":
        raise RuntimeError("a defect of the mapping")
    if TellingConnector.mapping_broken:
        raise LookupError(f"no unit of measure for {value!r}")
    return value


LEVELS: StreamSpec = replace(
    STOCK,
    contract=Poisonable,
    fields={**STOCK.fields, "available": From("available", available, more=("poison",))},
)


class Events(Webhook):
    def read(self, event: bytes, headers: Mapping[str, str]) -> Sequence[Received]:  # noqa: ARG002
        told = json.loads(event)
        if TellingConnector.webhook_broken:
            raise ValueError(f"the event of {told['key']} has no type")
        record = told.get("record")
        return [
            Received(
                told["id"],
                "stock.changed",
                "stock",
                told["key"],
                None if record is None else json.dumps(record).encode(),
                origin=told.get("origin", ""),
            )
        ]


@connector.register
class TellingConnector(connector.Connector):
    slug: ClassVar[str] = "telling"
    label: ClassVar[str] = "An upstream in this process"
    streams: ClassVar[tuple[StreamSpec, ...]] = (LEVELS,)
    webhook: ClassVar[Webhook | None] = Events()

    #: What the upstream holds by record key, or the error that it answers with.
    held: ClassVar[dict[str, dict[str, Any] | HubError]] = {}
    asked: ClassVar[list[str]] = []
    #: The idempotency key of each push that it took.
    pushed: ClassVar[list[str]] = []
    #: Defects of its code that a test mends: every mapping, every reading of an event fails.
    mapping_broken: ClassVar[bool] = False
    webhook_broken: ClassVar[bool] = False

    def page(self, stream: StreamSpec, ask: Ask) -> Page:  # noqa: ARG002
        return Page([json.dumps(r).encode() for r in self.held.values() if isinstance(r, dict)])

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:  # noqa: ARG002
        self.asked.append(record_key)
        found = self.held.get(record_key)
        if isinstance(found, HubError):
            raise found
        return None if found is None else json.dumps(found).encode()

    def push(self, stream: StreamSpec, push: Push) -> str:
        if push.operation != "update":
            return super().push(stream, push)
        self.pushed.append(push.idempotency_key)
        found = self.held.get(push.record_key)
        if isinstance(found, HubError):
            raise found
        self.held[push.record_key] = json.loads(push.body)
        return push.record_key


def telling() -> Connection:
    """The connection `telling`, fresh."""
    TellingConnector.held.clear()
    TellingConnector.asked.clear()
    TellingConnector.pushed.clear()
    TellingConnector.mapping_broken = TellingConnector.webhook_broken = False
    return connect("telling", "telling", "http://127.0.0.1:9", {})


def level(sku: str, quantity: int, second: float, **more: Any) -> dict[str, Any]:
    """A stock level of Amsterdam as of so many seconds after the epoch of these tests."""
    return {
        "sku": sku,
        "warehouse": "AMS",
        "on_hand": str(quantity),
        "reserved": "0",
        "available": str(quantity),
        "updated_at": (EPOCH + timedelta(seconds=second)).isoformat(),
        **more,
    }


def key(sku: str) -> str:
    return f"AMS/{sku}"


@contextmanager
def inlet() -> Iterator[Inlet]:
    made = Inlet()
    try:
        yield made
    finally:
        made.close()


Told = tuple[str, str, dict[str, Any] | None]


def tell(
    row: Connection,
    event_id: str,
    sku: str,
    record: dict[str, Any] | None = None,
    origin: str = "",
) -> bool:
    """Commit an event to the inbox as the receiver does; whether it was new."""
    return tell_many(row, [(event_id, sku, record)], origin) == 1


def tell_many(row: Connection, told: Sequence[Told], origin: str = "") -> int:
    """Commit (event id, sku, record) of one delivery; how many were new."""
    with inlet() as made:
        arrivals = [_arrival(*one, origin) for one in told]
        return made.put(row.pk, arrivals, {}, f"corr-{told[0][0]}")


def _arrival(event_id: str, sku: str, record: dict[str, Any] | None, origin: str) -> Arrival:
    body = {"id": event_id, "key": key(sku), **({} if record is None else {"record": record})}
    return Arrival(
        event_id,
        json.dumps(body).encode(),
        "stock.changed",
        "stock",
        key(sku),
        key_only=record is None,
        origin=origin,
    )


def deliver(row: Connection, body: bytes) -> None:
    """Commit what came as the receiver does, also what nobody can read."""
    assert TellingConnector.webhook is not None
    arrivals = Reader.of(TellingConnector, TellingConnector.webhook).read(body, {})
    with inlet() as made:
        made.put(row.pk, arrivals, {}, "corr-delivery")


def work() -> None:
    """Claim and apply until nothing is due."""
    applier = Applier()
    while batch := events.claim_alone() or events.claim_batch():
        applier.apply(batch)


def outcome(event_id: str) -> InboxEvent:
    return InboxEvent.objects.get(event_id=event_id)


def worked(row: Connection, kind: str, **options: Any) -> SyncRun:
    """A run of the stream, asked for and worked as far as it goes."""
    run = queue.ask(row.streams.get(), kind, asked_by="test", **options)
    taken = queue.claim()
    assert taken is not None
    assert taken[0].pk == run.pk
    execute(*taken)
    run.refresh_from_db()
    return run
