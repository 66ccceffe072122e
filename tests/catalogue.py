"""A small shop for the tests: five systems connected, and what each of them says.

Every record is in its vendor's own form and takes the real way: contract, mapping, source
records, merge. `fill()` makes products P-1 … P-n, each with two variants.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.management import call_command
from django.db import transaction
from django.db.models.functions import Now

from catalog.merge import Cause
from catalog.source import source_id
from catalog.stage import apply_contributions, withdraw
from connectors.auction import rounds
from connectors.models import Stream, SyncRun
from connectors.runtime.prepare import Preparer
from observability.freshness import advance

CORRELATION = "7d1c0a4e5b9f4c6e8a2b3c4d5e6f7081"
NEVER = "/Date(253402214400000)/"
DAY_ONE = "/Date(1767225600000)/"


def fill(products: int = 2) -> None:
    """The whole shop. Product 1 has reviews; every third product is sold out."""
    connect()
    numbers = range(1, products + 1)
    skus = [sku for n in numbers for sku in skus_of(n)]
    say("akeneo", "categories", CATEGORIES)
    say("akeneo", "products", [model(n) for n in numbers])
    say("akeneo", "variants", [variant(sku) for sku in skus])
    say("sap", "products", [article(sku) for sku in skus])
    say("sap", "prices", [p for sku in skus for p in prices(sku)])
    say("wms", "stock", [s for sku in skus for s in stock(sku)])
    say("salesforce", "reviews", [review("a01000000000001AAA", 4), review("a01000000000002AAA", 5)])
    say("salesforce", "accounts", [ACCOUNT])
    say("sap", "customers", [PARTNER])
    say("stripe", "accounts", [{"id": "cus_1", "created": 1767225600, "metadata": CUSTOMER_TAG}])
    say("sap", "orders", [ORDER])
    say("stripe", "payments", [PAYMENT])
    say("stripe", "refunds", [REFUND])
    say("stripe", "payouts", [PAYOUT])
    auction()


def auction() -> None:
    """A lot, and a customer who leads."""
    say("salesforce", "lots", [lot("L-1")])
    with transaction.atomic():
        rounds.enter(
            "L-1", "cmd_1", bidder="10000001", amount=Decimal(100), currency="EUR",
            spendable=Decimal(1000), payment="pi_1", correlation_id=CORRELATION,
        )  # fmt: skip
        rounds.decide("L-1", "cmd_1")


def connect() -> None:
    """The five systems and the ownership rules, as `make run` connects them; nothing is called."""
    call_command("connect_sandbox", "http://127.0.0.1:9", stdout=io.StringIO())


def say(system: str, stream: str, records: Iterable[dict[str, Any]]) -> SyncRun:
    """A finished run in which a system says these records."""
    row = Stream.objects.get(connection__slug=system, slug=stream)
    raw = [json.dumps(record).encode() for record in records]
    run = SyncRun.objects.create(
        stream=row, kind="incremental", state="done", correlation_id=CORRELATION,
        started_at=Now(), finished_at=Now(), read=len(raw), stored=len(raw), pages=1,
    )  # fmt: skip
    preparer = Preparer(system, row.spec)
    prepared = preparer.page(raw, run.pk)
    assert not prepared.broken, prepared.broken
    with transaction.atomic():
        cause = Cause(run_id=run.pk, correlation_id=CORRELATION)
        apply_contributions(prepared.contributions, cause, entities=preparer.entities)
        advance(system, stream, datetime.now(UTC) - timedelta(seconds=12))
    return run


def withdrawn(system: str, stream: str, entity: str, key: str) -> None:
    """A system no longer has a record."""
    with transaction.atomic():
        withdraw(source_id(system, stream, entity), [key], Cause(), entity=entity)


def skus_of(number: int) -> list[str]:
    return [f"P-{number}-01", f"P-{number}-02"]


CATEGORIES: list[dict[str, Any]] = [
    {"code": "cat_1", "parent": None, "labels": {"en_US": "Outdoor", "de_DE": "Draußen"}},
    {"code": "cat_2", "parent": "cat_1", "labels": {"en_US": "Camping", "de_DE": "Zelten"}},
    {"code": "cat_3", "parent": "cat_2", "labels": {"en_US": "Tents", "de_DE": "Zelte"}},
    {"code": "cat_4", "parent": "cat_1", "labels": {"en_US": "Climbing", "de_DE": "Klettern"}},
]


def model(number: int, *, name: str = "Tent", at: str = "2026-02-01T00:00:00+00:00") -> Any:
    """A product model of the PIM: no French texts, and the description in English alone."""
    values = {
        "slug": [_value(f"tent-{number}")],
        "name": [_value(f"{name} {number}", "en_US"), _value(f"Zelt {number}", "de_DE")],
        "description": [_value("Stands in every wind.", "en_US")],
        "brand": [_value("Alpina" if number % 2 else "Borea")],
    }
    category = "cat_4" if number % 5 == 0 else "cat_3"
    return {"code": f"P-{number}", "categories": [category], "values": values, "updated": at}


def variant(sku: str) -> dict[str, Any]:
    """A product of the PIM; its EAN differs from the ERP's, which owns it."""
    values = {"ean": [_value("0000000000000")], "color": [_value("green")], "size": [_value("M")]}
    return {
        "identifier": sku,
        "parent": sku.rpartition("-")[0],
        "values": values,
        "updated": "2026-02-01T00:00:00+00:00",
    }


def article(sku: str) -> dict[str, Any]:
    return {
        "Product": sku,
        "CrossPlantConfigurableProduct": sku.rpartition("-")[0],
        "ProductGroup": "L001",
        "BaseUnit": "PC",
        "ProductStandardID": "4006381333931",
        "LastChangeDateTime": "/Date(1769904000000+0000)/",
    }


def prices(sku: str, amount: str = "129.90") -> list[dict[str, Any]]:
    """One price in each market."""
    return [
        {
            "ConditionRecord": f"{sku}-{organization}",
            "ConditionValidityStartDate": DAY_ONE,
            "ConditionValidityEndDate": NEVER,
            "ConditionType": "PPR0",
            "SalesOrganization": organization,
            "Material": sku,
            "to_SlsPrcgConditionRecord": {
                "ConditionRateValue": amount,
                "ConditionRateValueUnit": currency,
            },
        }
        for organization, currency in (("1010", "EUR"), ("1710", "USD"))
    ]


def stock(sku: str) -> list[dict[str, Any]]:
    """Some in Amsterdam unless the product's number divides by three; none in Lyon."""
    sold_out = int(sku.split("-")[1]) % 3 == 0
    return [
        {
            "sku": sku,
            "warehouse": warehouse,
            "on_hand": on_hand,
            "reserved": 0,
            "available": on_hand,
            "updated_at": "2026-02-01T00:00:00Z",
        }
        for warehouse, on_hand in (("AMS", 0 if sold_out else 12), ("LYS", 0))
    ]


def review(identifier: str, rating: int) -> dict[str, Any]:
    return {
        "Id": identifier,
        "ProductCode__c": "P-1",
        "Rating__c": float(rating),
        "Title__c": "Good",
        "Body__c": "Kept us dry.",
        "Author__c": "Ada",
        "CreatedDate": "2026-02-01T00:00:00.000+0000",
        "SystemModstamp": "2026-02-01T00:00:00.000+0000",
        "IsDeleted": False,
    }


def lot(number: str = "L-1", **changes: Any) -> dict[str, Any]:
    """An open lot: first bid 100.00 EUR, then 5.00 more each, not sold below 150.00."""
    return {
        "Id": f"a01{number.removeprefix('L-'):0>12}AAA",
        "LotNumber__c": number,
        "Title__c": "Tent 1",
        "ProductSku__c": "P-1-01",
        "OpensAt__c": "2026-01-01T00:00:00.000+0000",
        "ClosesAt__c": "2126-01-01T00:00:00.000+0000",
        "CurrencyIsoCode": "EUR",
        "StartPrice__c": 100.0,
        "BidIncrement__c": 5.0,
        "ReservePrice__c": 150.0,
        "Status__c": "Published",
        "SystemModstamp": "2026-02-01T00:00:00.000+0000",
        "IsDeleted": False,
        **changes,
    }


CUSTOMER_TAG = {"customer_number": "10000001", "order_number": "0000000001"}
ACCOUNT: dict[str, Any] = {
    "Id": "001000000000001AAA",
    "Name": "Ada Lovelace",
    "AccountNumber": "10000001",
    "Phone": "+49 30 1",
    "BillingStreet": "Unter den Linden 1",
    "BillingCity": "Berlin",
    "BillingPostalCode": "10117",
    "BillingCountry": "DE",
    "SystemModstamp": "2026-02-01T00:00:00.000+0000",
    "IsDeleted": False,
}
PARTNER: dict[str, Any] = {
    "BusinessPartner": "10000001",
    "BusinessPartnerFullName": "LOVELACE ADA",
    "LastChangeDate": DAY_ONE,
    "LastChangeTime": "PT00H00M00S",
}
ORDER: dict[str, Any] = {
    "SalesOrder": "0000000001",
    "SoldToParty": "10000001",
    "SalesOrganization": "1010",
    "TransactionCurrency": "EUR",
    "TotalNetAmount": "259.80",
    "OverallSDProcessStatus": "C",
    "CreationDate": DAY_ONE,
    "LastChangeDateTime": "/Date(1769904000000+0000)/",
    "to_Item": {
        "results": [
            {
                "SalesOrderItem": "10",
                "Material": "P-1-01",
                "RequestedQuantity": "2",
                "NetAmount": "259.80",
            }
        ]
    },
}
PAYMENT: dict[str, Any] = {
    "id": "pi_1",
    "amount": 25980,
    "amount_received": 25980,
    "currency": "eur",
    "status": "succeeded",
    "created": 1767225600,
    "metadata": CUSTOMER_TAG,
}
REFUND: dict[str, Any] = {
    "id": "re_1",
    "amount": 2500,
    "currency": "eur",
    "status": "succeeded",
    "reason": "requested_by_customer",
    "created": 1767229200,
    "payment_intent": "pi_1",
}
PAYOUT: dict[str, Any] = {
    "id": "po_1",
    "amount": 23066,
    "currency": "eur",
    "status": "paid",
    "created": 1767398400,
    "arrival_date": 1767484800,
    "transactions": {
        "data": [
            {
                "id": "txn_1",
                "type": "charge",
                "amount": 25980,
                "fee": 414,
                "net": 25566,
                "currency": "eur",
                "created": 1767225602,
                "source": {"id": "ch_1", "object": "charge", "payment_intent": "pi_1"},
            },
            {
                "id": "txn_2",
                "type": "refund",
                "amount": -2500,
                "fee": 0,
                "net": -2500,
                "currency": "eur",
                "created": 1767229200,
                "source": {"id": "re_1", "object": "refund", "payment_intent": "pi_1"},
            },
        ]
    },
}
for _category in CATEGORIES:
    _category["updated"] = "2026-02-01T00:00:00+00:00"


def _value(data: str, locale: str | None = None) -> dict[str, Any]:
    return {"data": data, "locale": locale, "scope": None}
