"""Stock reserved in the warehouse, found again, and released."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from connectors.runtime.connector import Connector
from connectors.runtime.declare import Ask
from connectors.wms.reservations import RESERVATIONS
from observability.errors import PermanentError, RefusedByUpstreamError, RetryableError
from tests.sandboxes import running, set_fault
from tests.vendors import opened, said

SKU = "P-000003-02"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with running(60) as server:
        yield server.url


@pytest.fixture
def url(sandbox: str) -> Iterator[str]:
    for warehouse, on_hand in (("AMS", 10), ("LYS", 2)):
        level = {"on_hand": on_hand, "reserved": 0}
        address = f"{sandbox}/_control/wms/stock/{warehouse}/{SKU}"
        requests.post(address, json=level, timeout=5).raise_for_status()
    yield sandbox
    requests.post(f"{sandbox}/_control/reset", timeout=5)


@pytest.fixture
def wms(url: str) -> Connector:
    return opened("wms", url)


def reserve(wms: Connector, key: str = "cmd_1.reserve", **more: Any) -> str:
    values = {"sku": SKU, "quantity": 3, **more}
    return wms.push(RESERVATIONS, wms.capability("stock.reserve").push(values, key))


def find(wms: Connector, key: str = "cmd_1.reserve") -> str | None:
    push = wms.capability("stock.reserve").push({"sku": SKU, "quantity": 3}, key)
    return wms.find(RESERVATIONS, push)


def release(wms: Connector, reservation: str) -> str:
    able = wms.capability("stock.release")
    return wms.push(RESERVATIONS, able.push({"reservation": reservation}, "cmd_2.release"))


def read(wms: Connector, reservation: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(wms.record(RESERVATIONS, reservation) or b"")
    return found


def test_a_reservation_is_read_back_and_lowers_what_is_available(wms: Connector) -> None:
    assert wms.ask("stock.available", {"sku": SKU}) == {
        "available": "12",
        "warehouses": {"AMS": "10", "LYS": "2"},
    }
    assert find(wms) is None
    made = reserve(wms)
    assert find(wms) == made
    assert (read(wms, made)["quantity"], read(wms, made)["status"]) == (3, "active")
    assert wms.ask("stock.available", {"sku": SKU})["warehouses"] == {"AMS": "7", "LYS": "2"}
    assert release(wms, made) == made
    assert release(wms, made) == made
    assert read(wms, made)["status"] == "released"
    assert wms.ask("stock.available", {"sku": SKU})["available"] == "12"


def test_a_reservation_is_nobodys_entity(wms: Connector) -> None:
    reserve(wms)
    (record,) = wms.page(RESERVATIONS, Ask()).records
    assert said(RESERVATIONS, bytes(record)) == (None, {})


def test_a_reservation_whose_answer_is_lost_is_found(url: str, wms: Connector) -> None:
    set_fault(url, "wms", kind="answer_lost", seconds=0, count=1)
    with pytest.raises(RetryableError):
        reserve(wms)
    made = find(wms)
    assert made is not None
    told = requests.get(f"{url}/_control/references/wms", timeout=5).json()
    assert told == {"references": {"reservations": {"cmd_1.reserve": 1}}}


def test_a_release_whose_answer_is_lost_is_repeated(url: str, wms: Connector) -> None:
    made = reserve(wms)
    set_fault(url, "wms", kind="answer_lost", seconds=0, count=1)
    assert release(wms, made) == made  # DELETE may be repeated, and is
    assert wms.ask("stock.available", {"sku": SKU})["available"] == "12"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"quantity": 11}, "insufficient_stock"),
        ({"quantity": 3, "warehouse": "LYS"}, "insufficient_stock"),
        ({"sku": "NONE"}, "unknown_material"),
    ],
)
def test_a_refusal_has_a_reason_and_leaves_nothing(
    wms: Connector, more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RefusedByUpstreamError) as caught:
        reserve(wms, **more)
    assert caught.value.reason == reason
    assert find(wms) is None


def test_what_nobody_knows_is_refused(wms: Connector) -> None:
    with pytest.raises(RefusedByUpstreamError) as caught:
        release(wms, "RSV-1")
    assert caught.value.reason == "unknown_reservation"
    with pytest.raises(RefusedByUpstreamError) as caught:
        wms.ask("stock.available", {"sku": "NONE"})
    assert caught.value.reason == "unknown_material"


@pytest.mark.parametrize("quantity", ["1.5", "0", "-1", "many", "NaN"])
def test_what_is_no_number_of_pieces_is_not_sent(wms: Connector, quantity: str) -> None:
    with pytest.raises(PermanentError, match="quantity"):
        reserve(wms, quantity=quantity)
