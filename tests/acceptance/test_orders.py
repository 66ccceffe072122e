"""Orders as a shop places them: all of it in four systems, or nothing of it in any."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import requests

from connectors.commands import ledger
from connectors.models import Command
from connectors.sandbox.world import World
from tests import bidding, market
from tests.market import Market
from tests.sandboxes import set_fault

pytestmark = pytest.mark.django_db(transaction=True)

BLOCKED, EXHAUSTED = "10000014", "10000008"
(CUSTOMER,) = islice(bidding.solvent(market.PRODUCTS, 20_000), 1)
WORLD = World(market.PRODUCTS)
#: Two variants of which the warehouses have enough.
STOCKED = [
    (WORLD.sku(j), WORLD.price_minor(j, "1010"))
    for j in range(WORLD.variant_count())
    if min(WORLD.on_hand(j, w) - WORLD.reserved(j, w) for w in ("AMS", "LYS")) >= 5
][:2]


@pytest.fixture
def shop() -> Iterator[Market]:
    with market.opened() as opened:
        yield opened


def lines() -> list[dict[str, Any]]:
    return [
        {"sku": sku, "quantity": number, "unit_price": f"{cents / 100:.2f}"}
        for number, (sku, cents) in enumerate(STOCKED, start=1)
    ]


def order(shop: Market, key: str = "", **change: Any) -> tuple[int, dict[str, Any]]:
    body = {
        "customer": CUSTOMER, "market": "DE", "currency": "EUR", "lines": lines(),
        "payment_method": "pm_card_visa", **change,
    }  # fmt: skip
    return shop.send("orders", body, key=key)


def nothing_left(shop: Market, said: dict[str, Any]) -> None:
    """What was done of a refused order is taken back."""
    shop.settle()
    command = Command.objects.get(reference=said["command"])
    assert command.state == "refused"
    undone = {step.name: step.state for step in command.steps.filter(capability="stock.reserve")}
    assert set(undone.values()) <= {"undone", "skipped", "refused"}, undone
    for step in command.steps.exclude(record_key="").filter(kind="write"):
        if step.capability == "payment.authorise":
            payment = shop.record("stripe", "payment_intents", step.record_key)
            assert payment["status"] == "canceled"
        if step.capability == "order.create":
            assert shop.record("sap", "A_SalesOrder", step.record_key)[
                "OverallSDDocumentRejectionSts"
            ] == "C"  # fmt: skip


def test_an_order_is_reserved_paid_for_and_in_the_erp_and_the_crm(shop: Market) -> None:
    status, said = order(shop)
    assert status == 201, said
    total = sum(cents * number for number, (_, cents) in enumerate(STOCKED, start=1)) / 100
    assert said["total"] == f"{total:.2f}"
    erp = shop.record("sap", "A_SalesOrder", said["order"])
    assert erp["SoldToParty"] == CUSTOMER
    assert erp["TotalNetAmount"] == f"{total:.2f}"
    assert shop.record("stripe", "payment_intents", said["payment"])["status"] == "requires_capture"
    assert len(said["reservations"]) == len(STOCKED)
    shop.settle()
    placed, copied = Command.objects.order_by("id")
    assert (placed.state, copied.operation, copied.state) == (
        "confirmed",
        "order.copy",
        "confirmed",
    )
    assert set(shop.wrote("sap", "wms").values()) == {1, len(STOCKED)}


def test_a_stale_price_is_refused_with_the_current_one_and_nothing_is_sent(shop: Market) -> None:
    sku, cents = STOCKED[0]
    edit = {"sku": sku, "sales_org": "1010", "amount": f"{cents / 100 + 1:.2f}"}
    requests.post(f"{shop.url}/_control/price", json=edit, timeout=5).raise_for_status()
    status, said = order(shop)
    assert (status, said["code"]) == (422, "price_changed")
    (changed,) = said["lines"]
    assert changed["sku"] == sku
    assert (changed["offered"], changed["current_price"]) == (
        f"{cents / 100:.2f}", f"{cents / 100 + 1:.2f}",
    )  # fmt: skip
    assert shop.wrote() == {}
    current = [{**line, **({"unit_price": changed["current_price"]} if line["sku"] == sku else {})}
               for line in lines()]  # fmt: skip
    assert order(shop, lines=current)[0] == 201


def test_what_the_erp_refuses_is_taken_back_everywhere(shop: Market) -> None:
    sku = STOCKED[1][0]
    # The catalogue does not know yet that the article is gone.
    requests.delete(f"{shop.url}/_control/sap/A_Product/{sku}", timeout=5).raise_for_status()
    status, said = order(shop)
    assert (status, said["code"]) == (422, "unknown_material"), said
    assert "payment_intents" in shop.wrote("stripe")
    nothing_left(shop, said)


def test_a_declined_card_gives_the_stock_back(shop: Market) -> None:
    status, said = order(shop, payment_method="pm_card_chargeDeclined")
    assert (status, said["code"]) == (422, "card_declined"), said
    nothing_left(shop, said)
    assert shop.wrote("sap") == {}


def test_more_than_there_is_is_refused_by_the_warehouse(shop: Market) -> None:
    status, said = order(shop, lines=[{**lines()[0], "quantity": 900}])
    assert status == 422
    assert said["code"] in {"insufficient_stock", "credit_exceeded"}, said
    assert shop.wrote("sap") == {}


def test_the_order_stands_while_the_crm_is_away_and_its_copy_follows(shop: Market) -> None:
    set_fault(shop.url, "salesforce", kind="down")
    status, said = order(shop)
    assert status == 201, said
    shop.settle()
    copy = Command.objects.get(operation="order.copy")
    assert copy.finished_at is None
    set_fault(shop.url, "salesforce", kind="slow", seconds=0)
    Command.objects.filter(pk=copy.pk).update(next_attempt_at=copy.accepted_at)
    assert sum(ledger.due())


def test_the_same_key_places_one_order(shop: Market) -> None:
    first = order(shop, key="once")
    assert order(shop, key="once") == first
    assert shop.wrote("sap")["A_SalesOrder"] == 1


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"customer": "nobody"}, 422, "customer_unknown"),
        ({"customer": BLOCKED}, 422, "customer_blocked"),
        (
            {"customer": EXHAUSTED, "lines": [{**lines()[0], "quantity": 10}]},
            422,
            "credit_exceeded",
        ),
        ({"market": "FR"}, 422, "market_unknown"),
        ({"currency": "USD"}, 422, "currency_mismatch"),
        ({"currency": "EURO"}, 422, "currency_unknown"),
        ({"lines": []}, 400, "bad_input"),
        ({"lines": [{"sku": "P-9", "quantity": 1, "unit_price": "1.00"}]}, 422, "sku_unknown"),
        ({"lines": [{"sku": "P-9", "quantity": 0, "unit_price": "1.00"}]}, 400, "bad_input"),
        ({"lines": [{"sku": "P-9", "quantity": 1.5, "unit_price": "1.00"}]}, 400, "bad_input"),
        ({"lines": [{"sku": "P-9", "quantity": 1, "unit_price": 1.0}]}, 400, "bad_input"),
        ({"lines": [{**lines()[0], "unit_price": "1.001"}]}, 422, "amount_precision"),
        ({"lines": [lines()[0], lines()[0]]}, 422, "sku_twice"),
        ({"total": "1.00"}, 400, "bad_input"),
    ],
)
def test_bad_orders_are_refused_by_a_stable_code_and_send_nothing(
    shop: Market, change: dict[str, Any], status: int, code: str
) -> None:
    found, said = order(shop, **change)
    assert (found, said["code"]) == (status, code), said
    assert shop.wrote() == {}
