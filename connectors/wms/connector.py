"""The warehouse management system: plain REST with a cursor."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import msgspec
from pydantic import SecretStr

from connectors.runtime import connector
from connectors.runtime.declare import Ask, From, Page, StreamSpec
from connectors.runtime.session import AuthBase, BearerAuth, decode
from connectors.webhooks.declare import Webhook
from connectors.wms.contracts import StockLevel
from connectors.wms.webhook import WmsWebhook

ROOT = "wms/api/v1/"

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
)


class Levels(msgspec.Struct):
    items: list[msgspec.Raw]
    next_cursor: str | None = None


class WmsSettings(connector.Settings):
    token: SecretStr


class WmsConnector(connector.Connector):
    """Reads stock levels; `changed_since` is inclusive."""

    slug: ClassVar[str] = "wms"
    label: ClassVar[str] = "Warehouse management"
    Settings: ClassVar[type[connector.Settings]] = WmsSettings
    streams: ClassVar[tuple[StreamSpec, ...]] = (STOCK,)
    webhook: ClassVar[Webhook | None] = WmsWebhook()

    @classmethod
    def auth(cls, settings: Any, base_url: str) -> AuthBase | None:  # noqa: ARG003 (needs no address)
        return BearerAuth(settings.token.get_secret_value())

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        query = {"limit": str(stream.page_size)}
        if ask.since is not None:
            query["changed_since"] = ask.since.isoformat()
        if ask.cursor is not None:
            query["cursor"] = ask.cursor
        response = self.session.checked(self.session.get(f"{ROOT}stock?{urlencode(query)}"))
        body = decode(Levels, response, self.session.connection)
        return Page(body.items, body.next_cursor)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:  # noqa: ARG002 (one stream)
        warehouse, sku = record_key.split("/", 1)
        response = self.session.get(f"{ROOT}stock/{quote(warehouse)}/{quote(sku, safe='')}")
        return None if response.status_code == 404 else self.session.checked(response).content
