"""The connector of the harness, and the poison that its records may hold.

Its webhook follows Standard Webhooks; an event is `{"id", "key"[, "record"]}`. What an event does
not carry is asked of `upstream`. Both streams are stock levels: `stock` lives on events, `counted`
is pulled.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote

from connectors.runtime import connector
from connectors.runtime.declare import Ask, From, Page, StreamSpec
from connectors.webhooks.declare import Received, Scheme, Webhook
from connectors.webhooks.schemes import StandardScheme
from connectors.wms.connector import STOCK
from connectors.wms.contracts import StockLevel
from tests.faults.upstream import SLUG


class PoisonableLevel(StockLevel):
    poison: str = ""


def available(value: Any, poison: str) -> Any:
    """The mapping of a field that may fail, hang, or take its process along."""
    if poison == "exit":
        os._exit(9)
    if poison == "hang":
        time.sleep(600)
    if poison == "defect":
        raise RuntimeError("a defect of the mapping")
    return value


LEVELS: StreamSpec = replace(
    STOCK,
    contract=PoisonableLevel,
    fields={**STOCK.fields, "available": From("available", available, more=("poison",))},
)
COUNTED: StreamSpec = replace(LEVELS, slug="counted", page_size=50)


class Events(Webhook):
    scheme: ClassVar[Scheme] = StandardScheme()

    def read(self, event: bytes, headers: Mapping[str, str]) -> Sequence[Received]:  # noqa: ARG002
        told = json.loads(event)
        record = told.get("record")
        payload = None if record is None else json.dumps(record).encode()
        return [Received(told["id"], "stock.changed", LEVELS.slug, told["key"], payload)]


@connector.register
class FaultyConnector(connector.Connector):
    slug: ClassVar[str] = SLUG
    label: ClassVar[str] = "The upstream of the fault tests"
    streams: ClassVar[tuple[StreamSpec, ...]] = (LEVELS, COUNTED)
    webhook: ClassVar[Webhook | None] = Events()

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        start = int(ask.cursor or 0)
        address = f"{stream.slug}?start={start}&limit={stream.page_size}"
        records = json.loads(self.session.get_bytes(address))
        following = str(start + len(records)) if len(records) == stream.page_size else None
        return Page([json.dumps(record).encode() for record in records], following)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        response = self.session.get(f"{stream.slug}/{quote(record_key, safe='')}")
        return None if response.status_code == 404 else self.session.checked(response).content
