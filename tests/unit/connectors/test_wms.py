"""The warehouse's stock levels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from connectors.runtime.declare import Ask
from connectors.wms.connector import STOCK
from observability.errors import AuthExpiredError, GarbledError, RateLimitedError, RetryableError
from tests.sandboxes import running, set_fault
from tests.vendors import everything, opened, said

PRODUCTS = 300  # 600 variants in two warehouses: two pages


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with running(PRODUCTS) as server:
        yield server.url


@pytest.fixture
def url(sandbox: str) -> Iterator[str]:
    yield sandbox
    requests.delete(f"{sandbox}/_control/faults/wms", timeout=5)


def test_every_level_is_read_once_and_mapped(url: str) -> None:
    levels = [said(STOCK, record) for record in everything(opened("wms", url), "stock")]
    assert len({key for key, _ in levels}) == len(levels) == PRODUCTS * 2 * 2
    for key, fields in levels:
        assert key == f"{fields['variant']}/{fields['warehouse']}"
        assert fields["available"] == fields["on_hand"] - fields["reserved"]


def test_a_booking_shows_in_what_changed_since(url: str) -> None:
    wms = opened("wms", url)
    before = datetime.now(UTC) - timedelta(seconds=1)
    booking = {"sku": "P-000002-01", "warehouse": "LYS", "on_hand": 4711}
    requests.post(f"{url}/_control/stock", json=booking, timeout=5).raise_for_status()
    found = [said(STOCK, record) for record in everything(wms, "stock", since=before)]
    assert [(key, fields["on_hand"]) for key, fields in found] == [("P-000002-01/LYS", 4711)]


def test_one_level_is_fetched_as_the_page_gave_it(url: str) -> None:
    wms = opened("wms", url)
    raw = bytes(wms.page(STOCK, Ask()).records[3])
    level = json.loads(raw)
    assert json.loads(wms.record(STOCK, f"{level['warehouse']}/{level['sku']}") or b"") == level
    assert wms.record(STOCK, "AMS/none") is None


def test_a_wrong_token_is_said_to_be_one(url: str) -> None:
    with pytest.raises(AuthExpiredError):
        opened("wms", url, token="wrong").page(STOCK, Ask())


def test_the_wait_that_the_warehouse_wishes_is_passed_on(url: str) -> None:
    set_fault(url, "wms", kind="rate_limited", retry_after=30)
    with pytest.raises(RateLimitedError) as caught:
        opened("wms", url).page(STOCK, Ask())
    assert caught.value.retry_after == 30


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "server_error", "status": 500}, RetryableError),
        ({"kind": "truncated"}, GarbledError),
        ({"kind": "garbage"}, GarbledError),
    ],
)
def test_a_fault_becomes_its_error(url: str, fault: dict[str, Any], error: Any) -> None:
    set_fault(url, "wms", **fault)
    with pytest.raises(error):
        opened("wms", url, retries=0).page(STOCK, Ask())


def test_a_retyped_field_breaks_the_contract(url: str) -> None:
    set_fault(url, "wms", kind="retyped_field", field="warehouse")
    page = opened("wms", url).page(STOCK, Ask())
    with pytest.raises(ValueError, match="warehouse"):
        said(STOCK, bytes(page.records[0]))
