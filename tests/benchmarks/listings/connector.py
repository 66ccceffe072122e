"""The connector of the pre-rendered upstream: contracts, streams, paging, events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, ClassVar

import msgspec

from connectors.runtime import connector
from connectors.runtime.declare import Ask, Contract, From, Page, StreamSpec
from connectors.runtime.session import decode
from connectors.webhooks.declare import Received, Scheme, Webhook
from connectors.webhooks.schemes import StandardScheme


class Attributes(Contract):
    color: str
    material: str
    size: str
    origin: str


class Shipping(Contract):
    days: int
    cost: str


class ListingRecord(Contract):
    id: int
    sku: str
    title: str
    description: str
    brand: str
    status: str
    price: Decimal
    currency: str
    quantity: int
    weight_kg: float
    ean: str
    url: str
    seller: str
    attributes: Attributes
    images: list[str]
    shipping: Shipping
    updated_at: datetime


def members(contract: type[Contract]) -> Callable[[Any], dict[str, Any]]:
    """A function from a nested record to a JSON object."""
    names = tuple(contract.model_fields)
    values = attrgetter(*names)
    return lambda record: dict(zip(names, values(record), strict=True))


MEMBERS = [
    "title",
    "description",
    "brand",
    "status",
    "price",
    "currency",
    "quantity",
    "weight_kg",
    "ean",
    "url",
    "seller",
    "images",
    "updated_at",
]

LISTINGS = StreamSpec(
    slug="listings",
    entity="listing",
    contract=ListingRecord,
    record_key=("id",),
    entity_key=lambda r: r.sku,
    fields={
        "number": "id",
        **{name: name for name in MEMBERS},
        "attributes": From("attributes", members(Attributes)),
        "shipping": From("shipping", members(Shipping)),
    },
    version=From("updated_at"),
)


class ItemRecord(Contract):
    id: int
    qty: int
    price: Decimal
    updated_at: datetime


ITEMS = StreamSpec(
    slug="items",
    entity="item",
    contract=ItemRecord,
    record_key=("id",),
    entity_key=lambda r: str(r.id),
    fields={"number": "id", "quantity": "qty", "price": "price"},
    version=From("updated_at"),
)


class ItemEvent(msgspec.Struct):
    data: msgspec.Raw


class Identified(msgspec.Struct):
    id: int


class ItemWebhook(Webhook):
    """Standard Webhooks whose body is `{"data": {an item}}`."""

    scheme: ClassVar[Scheme] = StandardScheme()
    headers: ClassVar[tuple[str, ...]] = ("webhook-id",)

    def read(self, event: bytes, headers: Mapping[str, str]) -> Sequence[Received]:
        data = msgspec.json.decode(event, type=ItemEvent).data
        key = str(msgspec.json.decode(data, type=Identified).id)
        return [Received(headers["webhook-id"], "item.changed", "items", key, bytes(data))]


class Listing(msgspec.Struct):
    data: list[msgspec.Raw]
    next: str | None


class BenchSettings(connector.Settings):
    version: int = 0


@connector.register
class BenchConnector(connector.Connector):
    slug: ClassVar[str] = "bench"
    label: ClassVar[str] = "Benchmark upstream"
    Settings: ClassVar[type[connector.Settings]] = BenchSettings
    streams: ClassVar[tuple[StreamSpec, ...]] = (LISTINGS, ITEMS)
    webhook: ClassVar[Webhook | None] = ItemWebhook()

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        url = ask.cursor or f"listings?page=1&v={self.settings.version}"
        body = decode(Listing, self.session.checked(self.session.get(url)))
        return Page(body.data, self.session.relative(body.next) if body.next else None)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        raise NotImplementedError


def upstream_settings(version: int) -> dict[str, Any]:
    """What the connection has to be told to read one of the two versions."""
    return {"version": version}
