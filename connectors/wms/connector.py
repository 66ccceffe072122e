"""The warehouse management system: plain REST with a cursor."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import msgspec
from pydantic import SecretStr

from connectors.runtime import connector
from connectors.runtime.connector import Capability, Push, Questions
from connectors.runtime.declare import Ask, From, Page, StreamSpec
from connectors.runtime.session import AuthBase, BearerAuth, decode
from connectors.webhooks.declare import Webhook
from connectors.wms import reservations
from connectors.wms.contracts import StockLevel
from connectors.wms.reservations import ROOT
from connectors.wms.webhook import WmsWebhook

STOCK = StreamSpec(
    slug="stock",
    entity="stock",
    contract=StockLevel,
    record_key=("warehouse", "sku"),
    entity_key=lambda r: f"{r.sku}/{r.warehouse}",
    fields={
        "variant": "sku",
        "warehouse": "warehouse",
        "on_hand": "on_hand",
        "reserved": "reserved",
        "available": "available",
    },
    version=From("updated_at"),
    interval=timedelta(seconds=30),
    objective=timedelta(seconds=120),
    options={"path": "stock"},
)


class Levels(msgspec.Struct):
    items: list[msgspec.Raw]
    next_cursor: str | None = None


class WmsSettings(connector.Settings):
    token: SecretStr


class WmsConnector(connector.Connector):
    """Reads stock levels, `changed_since` is inclusive; reserves and releases."""

    slug: ClassVar[str] = "wms"
    label: ClassVar[str] = "Warehouse management"
    Settings: ClassVar[type[connector.Settings]] = WmsSettings
    streams: ClassVar[tuple[StreamSpec, ...]] = (STOCK, reservations.RESERVATIONS)
    webhook: ClassVar[Webhook | None] = WmsWebhook()
    capabilities: ClassVar[tuple[Capability, ...]] = (reservations.RESERVE, reservations.RELEASE)
    questions: ClassVar[Questions] = {
        "stock.available": lambda self, values: reservations.available(self.session, values)
    }

    @classmethod
    def auth(cls, settings: Any, base_url: str) -> AuthBase | None:  # noqa: ARG003 (needs no address)
        return BearerAuth(settings.token.get_secret_value())

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        query = {"limit": str(stream.page_size)}
        if ask.since is not None:
            query["changed_since"] = ask.since.isoformat()
        if ask.cursor is not None:
            query["cursor"] = ask.cursor
        response = self.session.checked(
            self.session.get(f"{ROOT}{stream.options['path']}?{urlencode(query)}")
        )
        body = decode(Levels, response, self.session.connection)
        return Page(body.items, body.next_cursor)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        steps = record_key.split("/", len(stream.record_key) - 1)
        path = "/".join(quote(step, safe="") for step in steps)
        response = self.session.get(f"{ROOT}{stream.options['path']}/{path}")
        return None if response.status_code == 404 else self.session.checked(response).content

    def push(self, stream: StreamSpec, push: Push) -> str:
        if push.operation == reservations.RESERVE.slug:
            return reservations.reserve(self.session, push)
        if push.operation == reservations.RELEASE.slug:
            return reservations.release(self.session, push)
        return super().push(stream, push)

    def find(self, stream: StreamSpec, push: Push) -> str | None:
        if push.operation == reservations.RESERVE.slug:
            return reservations.find(self.session, push)
        return super().find(stream, push)
