"""Orders written to S/4HANA and found again, cancelled; prices and credit asked for."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import requests

from connectors.runtime.connector import Connector
from connectors.sap.streams import ORDERS
from observability.errors import (
    GarbledError,
    PermanentError,
    RefusedByUpstreamError,
    RetryableError,
)
from tests.sandboxes import running, set_fault
from tests.vendors import everything, opened, said

BLOCKED, EXHAUSTED = "10000014", "10000008"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with running(60) as server:
        yield server.url


@pytest.fixture
def url(sandbox: str) -> Iterator[str]:
    yield sandbox
    requests.post(f"{sandbox}/_control/reset", timeout=5)


@pytest.fixture
def sap(url: str) -> Connector:
    return opened("sap", url)


def values(**more: Any) -> dict[str, Any]:
    lines = [
        {"sku": "P-000001-01", "quantity": "2", "unit_price": "10.25"},
        {"sku": "P-000002-02", "quantity": "1"},
    ]
    order = {"customer": "10000001", "market": "DE", "currency": "EUR", "lines": lines}
    return order | more


def create(sap: Connector, key: str = "cmd_1.order", **more: Any) -> str:
    return sap.push(ORDERS, sap.capability("order.create").push(values(**more), key))


def find(sap: Connector, key: str = "cmd_1.order") -> str | None:
    return sap.find(ORDERS, sap.capability("order.create").push(values(), key))


def cancel(sap: Connector, order: str) -> str:
    return sap.push(ORDERS, sap.capability("order.cancel").push({"order": order}, "cmd_2.cancel"))


def read(sap: Connector, order: str) -> dict[str, Any]:
    key, fields = said(ORDERS, sap.record(ORDERS, order) or b"")
    assert key == order
    return fields


def made(url: str) -> dict[str, int]:
    told = requests.get(f"{url}/_control/references/sap", timeout=5).json()["references"]
    counts: dict[str, int] = told.get("A_SalesOrder", {})
    return counts


def test_a_created_order_reads_back_as_the_order_that_was_meant(url: str, sap: Connector) -> None:
    assert find(sap) is None
    number = create(sap)
    assert find(sap) == number
    fields = read(sap, number)
    assert (fields["customer"], fields["market"], fields["currency"]) == ("10000001", "DE", "EUR")
    assert fields["status"] == "open"
    price = sap.ask("price.current", {"sku": "P-000002-02", "market": "DE", "currency": "EUR"})
    assert fields["total"] == Decimal("20.50") + Decimal(price["amount"])
    assert made(url) == {"cmd_1.order": 1}


@pytest.mark.parametrize("seconds", [0, 3])
def test_an_order_whose_answer_is_lost_is_found(url: str, seconds: float) -> None:
    sap = opened("sap", url)
    sap.session._timeout = (1, 0.5)
    set_fault(url, "sap", kind="answer_lost", seconds=seconds, count=1)
    with pytest.raises(RetryableError):
        create(sap)
    assert made(url) == {"cmd_1.order": 1}  # and no second one by a repetition of our own
    number = find(sap)
    assert number is not None
    assert read(sap, number)["status"] == "open"


def test_an_order_that_never_arrived_is_not_found(url: str, sap: Connector) -> None:
    create(sap, "cmd_0.order")  # the token is known
    set_fault(url, "sap", kind="down", count=1)
    with pytest.raises(RetryableError):
        create(sap)
    assert find(sap) is None
    create(sap)
    assert made(url) == {"cmd_0.order": 1, "cmd_1.order": 1}


def test_an_answer_that_cannot_be_read_says_nothing_about_the_order(
    url: str, sap: Connector
) -> None:
    create(sap, "cmd_0.order")
    set_fault(url, "sap", kind="truncated", count=1)
    with pytest.raises(GarbledError):
        create(sap)
    assert find(sap) is not None


def test_an_expired_token_is_fetched_anew(url: str, sap: Connector) -> None:
    create(sap, "cmd_0.order")
    set_fault(url, "sap", kind="unauthorized", count=1)  # every session is forgotten
    requests.get(f"{url}/sap/opu/odata/sap/API_PRODUCT_SRV/", timeout=5)
    create(sap)
    assert made(url) == {"cmd_0.order": 1, "cmd_1.order": 1}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"customer": "99999999"}, "unknown_customer"),
        ({"lines": [{"sku": "NONE", "quantity": "1"}]}, "unknown_material"),
        ({"customer": BLOCKED}, "credit_blocked"),
        ({"customer": EXHAUSTED, "lines": [{"sku": "P-000001-01", "quantity": "999"}]},
         "credit_blocked"),
    ],
)  # fmt: skip
def test_a_refusal_has_a_reason_and_leaves_nothing(
    url: str, sap: Connector, more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RefusedByUpstreamError) as caught:
        create(sap, **more)
    assert caught.value.reason == reason
    assert caught.value.message
    assert find(sap) is None
    assert made(url) == {}


def test_an_order_without_a_price_is_refused(url: str, sap: Connector) -> None:
    address = f"{url}/_control/sap/A_SlsPrcgCndnRecdValidity/0000000001"
    past = {"ConditionValidityEndDate": "/Date(1767225600000)/"}
    requests.post(address, json=past, timeout=5).raise_for_status()
    lines = [{"sku": "P-000001-01", "quantity": "1"}]
    for ask in (
        lambda: create(sap, lines=lines),
        lambda: sap.ask("price.current", {"sku": "P-000001-01", "market": "DE", "currency": "EUR"}),
    ):
        with pytest.raises(RefusedByUpstreamError) as caught:
            ask()
        assert caught.value.reason == "no_price"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"market": "FR"}, "market 'FR'.*DE, US"),
        ({"lines": [{"sku": "P-000001-01", "quantity": "two"}]}, "quantity 'two'"),
        ({"lines": [{"sku": "P-000001-01", "quantity": "0"}]}, "quantity '0'"),
        ({"lines": [{"sku": "A", "quantity": "1", "unit_price": "NaN"}]}, "unit_price 'NaN'"),
    ],
)
def test_what_sap_cannot_take_is_not_sent(sap: Connector, more: dict[str, Any], says: str) -> None:
    with pytest.raises(PermanentError, match=says):
        create(sap, **more)


def test_a_key_that_sap_cannot_hold_is_not_cut(sap: Connector) -> None:
    with pytest.raises(PermanentError, match="longer than 35"):
        create(sap, "k" * 36)


def test_a_cancelled_order_reads_back_as_cancelled(sap: Connector) -> None:
    number = create(sap)
    assert cancel(sap, number) == number
    assert read(sap, number)["status"] == "cancelled"
    assert cancel(sap, number) == number  # again is as good as once


def test_a_cancellation_that_was_cut_off_is_finished_by_the_next(url: str, sap: Connector) -> None:
    number = create(sap)
    set_fault(url, "sap", kind="answer_lost", seconds=0, count=1)
    with pytest.raises(RetryableError):
        cancel(sap, number)
    assert read(sap, number)["status"] == "open"
    cancel(sap, number)
    assert read(sap, number)["status"] == "cancelled"


def test_what_cannot_be_cancelled_says_why(sap: Connector) -> None:
    with pytest.raises(RefusedByUpstreamError) as caught:
        cancel(sap, "9999999999")
    assert caught.value.reason == "unknown_order"
    orders = [said(ORDERS, raw) for raw in everything(sap, "orders")]
    done = next(key for key, fields in orders if key and fields["status"] == "completed")
    with pytest.raises(RefusedByUpstreamError) as caught:
        cancel(sap, done)
    assert caught.value.reason == "order_completed"


def test_todays_price_is_the_owners(url: str, sap: Connector) -> None:
    wanted = {"sku": "P-000001-01", "market": "DE", "currency": "EUR", "quantity": 3}
    change = {"sku": "P-000001-01", "sales_org": "1010", "amount": "12.34"}
    requests.post(f"{url}/_control/price", json=change, timeout=5).raise_for_status()
    assert sap.ask("price.current", wanted) == {
        "amount": "12.34",
        "currency": "EUR",
        "valid_from": "2026-01-01",
        "valid_to": None,
    }
    for_a_hundred = {"to_SlsPrcgConditionRecord": {"ConditionQuantity": "100"}}
    address = f"{url}/_control/sap/A_SlsPrcgCndnRecdValidity/0000000001"
    requests.post(address, json=for_a_hundred, timeout=5).raise_for_status()
    assert sap.ask("price.current", wanted)["amount"] == "0.1234"
    for other in ({"currency": "USD"}, {"market": "FR"}, {"sku": "NONE"}):
        with pytest.raises(RefusedByUpstreamError) as caught:
            sap.ask("price.current", wanted | other)
        assert caught.value.reason == "no_price"


def test_a_price_of_next_year_is_not_todays(url: str, sap: Connector) -> None:
    record = requests.get(
        f"{url}/_control/sap/A_SlsPrcgCndnRecdValidity/0000000001", timeout=5
    ).json()
    later = record | {
        "ConditionRecord": "0000999999",
        "ConditionValidityStartDate": "/Date(1893456000000)/",
        "to_SlsPrcgConditionRecord": record["to_SlsPrcgConditionRecord"]
        | {"ConditionRateValue": "1.00"},
    }
    address = f"{url}/_control/sap/A_SlsPrcgCndnRecdValidity/0000999999"
    requests.post(address, json=later, timeout=5).raise_for_status()
    wanted = {"sku": "P-000001-01", "market": "DE", "currency": "EUR"}
    assert sap.ask("price.current", wanted)["amount"] != "1.00"


def test_credit_is_what_is_left_of_the_limit(sap: Connector) -> None:
    before = sap.ask("credit.available", {"customer": "10000001", "currency": "EUR"})
    assert before["blocked"] is False
    left = Decimal(before["limit"]) - Decimal(before["used"])
    assert Decimal(before["available"]) == left > 0
    create(sap)
    after = sap.ask("credit.available", {"customer": "10000001", "currency": "EUR"})
    assert Decimal(after["available"]) < left
    assert sap.ask("credit.available", {"customer": BLOCKED})["blocked"] is True
    with pytest.raises(RefusedByUpstreamError) as caught:
        sap.ask("credit.available", {"customer": "1"})
    assert caught.value.reason == "unknown_customer"
