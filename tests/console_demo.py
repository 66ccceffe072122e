"""Two small systems for the console's tests: an ERP and a PIM that answer from memory.

What they say goes through the real pipeline: contract, mapping, source records, merge.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from django.db import transaction
from django.db.models.functions import Now
from pydantic import Field, SecretStr

from catalog.merge import Cause
from catalog.ownership import OwnershipRule
from catalog.stage import apply_contributions
from connectors.models import QuarantinedRecord, Stream, SyncRun
from connectors.runtime import connector
from connectors.runtime.connect import connect
from connectors.runtime.connector import Connector, register
from connectors.runtime.declare import Ask, Child, Contract, From, Page, StreamSpec
from connectors.runtime.prepare import Preparer
from observability.errors import AuthExpiredError
from observability.freshness import advance

CORRELATION = "4bf92f3577b34da6a3ce929d0e0e4736"


class ErpSettings(connector.Settings):
    """What the demo ERP has to be told."""

    user: str = Field(description="Technical user.")
    password: SecretStr = Field(description="Password of the technical user.")
    client: int = Field(100, ge=1, le=999, description="Client, 1 to 999.")
    language: Literal["EN", "DE"] = "EN"
    strict: bool = False


class Article(Contract):
    """An article of the ERP."""

    Product: str
    Gtin: str | None = None
    Text: str | None = None
    Model: str | None = None


class Condition(Contract):
    """A price condition."""

    Record: str
    Material: str
    Country: str
    Rate: str
    Currency: str


class Position(Contract):
    """A line of an order."""

    Item: int
    Material: str
    Quantity: str


class SalesOrder(Contract):
    """An order with its lines."""

    SalesOrder: str
    Status: str
    Items: list[Position]


class Model(Contract):
    """A product model of the PIM."""

    code: str
    brand: str | None = None
    name: dict[str, str]


class Erp(Connector):
    """Answers from memory."""

    slug = "demo-erp"
    label = "Demo ERP"
    Settings: ClassVar[type[connector.Settings]] = ErpSettings
    streams: ClassVar[tuple[StreamSpec, ...]] = (
        StreamSpec(
            slug="articles",
            entity="variant",
            contract=Article,
            record_key=("Product",),
            entity_key=lambda r: r.Product,
            fields={
                "gtin": "Gtin",
                "product": "Model",
                "name": From("Text", lambda t: {"en_US": t} if t else None),
            },
        ),
        StreamSpec(
            slug="prices",
            entity="price",
            contract=Condition,
            record_key=("Record",),
            entity_key=lambda r: f"{r.Material}/{r.Country}/{r.Currency}/2026-01-01",
            fields={
                "variant": "Material",
                "market": "Country",
                "amount": "Rate",
                "currency": "Currency",
                "valid_from": From("Record", lambda _: "2026-01-01"),
            },
        ),
        StreamSpec(
            slug="orders",
            entity="order",
            contract=SalesOrder,
            record_key=("SalesOrder",),
            entity_key=lambda r: r.SalesOrder,
            fields={"status": "Status"},
            children=(
                Child(
                    slug="order_lines",
                    entity="order_line",
                    path="Items",
                    attribute="Items",
                    record_key=lambda item: str(item.Item),
                    entity_key=lambda order, item: f"{order.SalesOrder}/{item.Item}",
                    fields={"position": "Item", "variant": "Material", "quantity": "Quantity"},
                    parent_fields={"order": "SalesOrder"},
                ),
            ),
        ),
    )

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        """Refuses the password `wrong`."""
        del stream, ask
        if self.settings.password.get_secret_value() == "wrong":
            raise AuthExpiredError("the ERP refuses the password", status=401)
        return Page([], total=0)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        """Nothing is there."""
        del stream, record_key
        return None


class Pim(Erp):
    """The demo PIM."""

    slug = "demo-pim"
    label = "Demo PIM"
    Settings: ClassVar[type[connector.Settings]] = connector.Settings
    streams: ClassVar[tuple[StreamSpec, ...]] = (
        StreamSpec(
            slug="products",
            entity="product",
            contract=Model,
            record_key=("code",),
            entity_key=lambda r: r.code,
            fields={"name": "name", "brand": "brand"},
        ),
        StreamSpec(
            slug="variants",
            entity="variant",
            contract=Article,
            record_key=("Product",),
            entity_key=lambda r: r.Product,
            fields={"gtin": "Gtin", "name": From("Text", lambda t: {"en_US": t} if t else None)},
        ),
    )


register(Erp)
register(Pim)

RULES: tuple[tuple[str, str, str, list[str], str], ...] = (
    ("product", "", "pim", [], "Texts are written in the PIM."),
    ("variant", "", "pim", ["erp"], "Texts are written in the PIM."),
    ("variant", "gtin", "erp", [], "Articles are numbered in the ERP."),
    ("price", "", "erp", [], "Prices are set in the ERP."),
    ("order", "", "erp", [], "Orders are fulfilled by the ERP."),
    ("order_line", "", "erp", [], "Orders are fulfilled by the ERP."),
)

ARTICLE = {"Product": "T-1-01", "Gtin": "4006381333931", "Text": "TENT 2P", "Model": "T-1"}
PRICE = {"Record": "0001", "Material": "T-1-01", "Country": "DE", "Rate": "199.90",
         "Currency": "EUR"}  # fmt: skip


def fill() -> None:
    """Both systems connected, with a product, its variants, prices, and an order with two lines."""
    for entity, field, owner, fallbacks, reason in RULES:
        OwnershipRule.objects.create(
            entity=entity, field=field, owner=owner, fallbacks=fallbacks, reason=reason
        )
    connect("erp", "demo-erp", "http://erp.test", {"user": "HW", "password": "s3cret-of-erp"})
    connect("pim", "demo-pim", "http://pim.test", {})
    names = {"en_US": "Tent for two", "de_DE": "Zelt für zwei"}
    say("pim", "products", [{"code": "T-1", "brand": "Alpina", "name": names}])
    say("erp", "articles", [ARTICLE, {**ARTICLE, "Product": "T-1-02", "Gtin": None}])
    # the PIM owns the text, and differs about the number that the ERP owns
    say("pim", "variants", [{"Product": "T-1-01", "Gtin": "0000000000000", "Text": "Tent, green"}])
    say("erp", "prices", [PRICE, {**PRICE, "Record": "0002", "Material": "T-1-02"}])
    say("erp", "orders", [{"SalesOrder": "77", "Status": "open", "Items": [
        {"Item": 10, "Material": "T-1-01", "Quantity": "1"},
        {"Item": 20, "Material": "T-1-02", "Quantity": "2"}]}])  # fmt: skip


def say(system: str, stream: str, records: list[dict[str, Any]]) -> SyncRun:
    """A finished run in which a system says these records, newer than what it said before."""
    row = Stream.objects.get(connection__slug=system, slug=stream)
    run = SyncRun.objects.create(
        stream=row, kind="incremental", state="done", correlation_id=CORRELATION,
        started_at=Now(), finished_at=Now(), read=len(records), stored=len(records), pages=1,
    )  # fmt: skip
    preparer = Preparer(system, row.spec)
    raw = [json.dumps(record).encode() for record in records]
    prepared = preparer.page(raw, run.pk)
    assert not prepared.broken, prepared.broken
    with transaction.atomic():
        apply_contributions(
            prepared.contributions,
            Cause(run_id=run.pk, correlation_id=CORRELATION),
            entities=preparer.entities,
        )
        advance(system, stream, datetime.now(UTC) - timedelta(seconds=12))
    return run


def quarantined() -> QuarantinedRecord:
    """A record that the ERP sent with a number where a text belongs."""
    broken = {**PRICE, "Record": "0009", "Rate": 17}
    return QuarantinedRecord.objects.create(
        stream=Stream.objects.get(connection__slug="erp", slug="prices"),
        record_key="0009",
        payload=json.dumps(broken),
        path="Rate",
        reason="Input should be a valid string (came: '17')",
        contract="1",
        correlation_id=CORRELATION,
    )


def many_runs() -> dict[str, SyncRun]:
    """One run in each state, by state."""
    streams = list(Stream.objects.order_by("pk"))
    made = {}
    for stream, (state, values) in zip(streams, STATES.items(), strict=False):
        made[state] = SyncRun.objects.create(
            stream=stream, kind="full", state=state, correlation_id=CORRELATION, **values
        )
    return made


STATES: dict[str, dict[str, Any]] = {
    "running": {"started_at": Now(), "read": 300, "expected": 1200, "pages": 3, "stored": 280},
    "failed": {
        "started_at": Now(), "finished_at": Now(), "read": 40, "error_code": "upstream.garbled",
        "error": "the answer is not JSON; status 200; came: '<html>Maintenance'; correlation id "
        + CORRELATION,
    },
    "held": {
        "started_at": Now(), "finished_at": Now(), "read": 12, "error_code": "mass_delete",
        "error": "would tombstone 1,180 of 1,192 records (99 %); the guard allows 20 %",
    },
    "queued": {},
}  # fmt: skip
