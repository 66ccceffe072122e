"""What SAP's records come to, and the connector against an SAP system with its moods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from connectors.contracts.wire import clock, moment
from connectors.runtime.declare import Ask
from connectors.sap.streams import CUSTOMERS, ORDERS, PRICES, PRODUCTS, STOCK, changed
from observability.errors import AuthExpiredError, GarbledError, RetryableError
from tests.sandboxes import running, set_fault
from tests.unit.connectors.hostile import Answer, Asked, hostile
from tests.vendors import everything, opened, said

PRODUCTS_IN_SANDBOX = 621  # 1,242 variants: two pages
CHANGED_AT = datetime(2025, 8, 22, 15, 55, 42, tzinfo=UTC)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with running(PRODUCTS_IN_SANDBOX) as server:
        yield server.url


@pytest.fixture
def url(sandbox: str) -> Iterator[str]:
    yield sandbox
    requests.delete(f"{sandbox}/_control/faults/sap", timeout=5)


def keys(records: list[bytes], member: str) -> list[str]:
    return [json.loads(record)[member] for record in records]


# --- what the records mean ------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["/Date(1755878142000)/", "/Date(1755878142000+0000)/",
                                  "/Date(1755878142000-0120)/"])  # fmt: skip
def test_a_date_is_utc_whatever_offset_it_carries(text: str) -> None:
    assert moment(text) == CHANGED_AT


def test_dates_reach_back_before_1970_and_up_to_9999() -> None:
    assert moment("/Date(-86400000)/") == datetime(1969, 12, 31, tzinfo=UTC)
    assert moment("/Date(253402214400000)/") == datetime(9999, 12, 31, tzinfo=UTC)


def test_a_partner_changed_at_a_day_and_a_time_of_day() -> None:
    assert changed(moment("/Date(1755820800000)/"), clock("PT15H55M42S")) == CHANGED_AT
    assert changed(moment("/Date(1755820800000)/"), None) == datetime(2025, 8, 22, tzinfo=UTC)
    assert changed(None, None) is None


def price(**members: Any) -> bytes:
    return json.dumps(
        {
            "ConditionRecord": "0000000007",
            "ConditionValidityStartDate": "/Date(1767225600000)/",
            "ConditionValidityEndDate": "/Date(253402214400000)/",
            "ConditionType": "PPR0",
            "SalesOrganization": "1010",
            "Material": "P-000123-01",
            "to_SlsPrcgConditionRecord": {
                "ConditionRateValue": "129.90",
                "ConditionRateValueUnit": "EUR",
            },
            **members,
        }
    ).encode()


def test_a_condition_record_is_a_price_without_an_end() -> None:
    assert said(PRICES, price()) == (
        "P-000123-01/DE/EUR/2026-01-01",
        {
            "variant": "P-000123-01",
            "market": "DE",
            "currency": "EUR",
            "amount": Decimal("129.90"),
            "valid_from": date(2026, 1, 1),
        },
    )


def test_a_price_that_ends_says_when() -> None:
    _, fields = said(PRICES, price(ConditionValidityEndDate="/Date(1798675200000)/"))
    assert fields["valid_to"] == date(2026, 12, 31)


@pytest.mark.parametrize("number", ["129.90", 129.9])
def test_decimals_are_exact_as_text_and_as_numbers(number: str | float) -> None:
    rate = {"ConditionRateValue": number, "ConditionRateValueUnit": "EUR"}
    assert said(PRICES, price(to_SlsPrcgConditionRecord=rate))[1]["amount"] == Decimal("129.9")


def test_a_sales_organisation_without_a_market_is_named() -> None:
    with pytest.raises(ValueError, match="9999"):
        said(PRICES, price(SalesOrganization="9999"))


def test_a_price_that_is_not_expanded_breaks_the_contract() -> None:
    deferred = {"__deferred": {"uri": "https://sap.example/to_SlsPrcgConditionRecord"}}
    with pytest.raises(ValueError, match="ConditionRateValue"):
        said(PRICES, price(to_SlsPrcgConditionRecord=deferred))


# --- reading --------------------------------------------------------------------------------------


def test_every_product_comes_once_over_several_pages(url: str) -> None:
    sap = opened("sap", url)
    first = sap.page(PRODUCTS, Ask())
    assert (len(first.records), first.total) == (1000, PRODUCTS_IN_SANDBOX * 2)
    found = keys(everything(sap, "products"), "Product")
    assert len(found) == len(set(found)) == PRODUCTS_IN_SANDBOX * 2


@pytest.mark.parametrize("stream", [PRODUCTS, CUSTOMERS, PRICES, ORDERS, STOCK])
def test_every_record_of_the_sandbox_can_be_mapped(url: str, stream: Any) -> None:
    records = everything(opened("sap", url), stream.slug)
    names = [said(stream, record)[0] for record in records]
    assert len(set(names)) == len(names) > 100


def test_orders_bring_their_lines(url: str) -> None:
    record = ORDERS.contract.model_validate_json(everything(opened("sap", url), "orders")[0])
    lines = ORDERS.children[0]
    amounts = []
    for item in record.to_Item.results:  # type: ignore[attr-defined]
        fields = lines.mapped(item)
        amounts.append(fields["quantity"] * fields["unit_price"])
        assert lines.entity_key(record, item) == f"{record.SalesOrder}/{fields['position']}"  # type: ignore[attr-defined]
    assert sum(amounts) == ORDERS.mapped(record)["total"]


@pytest.mark.parametrize("stream", ["products", "customers", "orders"])
def test_only_what_changed_is_read_from_a_moment_on(url: str, stream: str) -> None:
    sap = opened("sap", url)
    spec = sap.stream(stream)
    collection = spec.options["path"].rsplit("/")[1]
    before = datetime.now(UTC) - timedelta(seconds=1)
    touch = {"system": "sap", "collection": collection, "count": 3}
    requests.post(f"{url}/_control/touch", json=touch, timeout=5).raise_for_status()
    found = everything(sap, stream, since=before)
    # A partner's filter knows days only, so it may bring more; it must not bring less.
    assert 3 <= len(found) < 50
    assert found == sorted(found, key=lambda r: json.loads(r)[spec.record_key[0]])


def test_a_product_that_changes_while_it_is_read_hides_no_other(url: str) -> None:
    sap = opened("sap", url)
    first = sap.page(PRODUCTS, Ask())
    touch = {"system": "sap", "collection": "A_Product", "count": 40}
    requests.post(f"{url}/_control/touch", json=touch, timeout=5).raise_for_status()
    second = sap.page(PRODUCTS, Ask(cursor=first.next))
    both = keys([bytes(r) for r in (*first.records, *second.records)], "Product")
    assert len(set(both)) == PRODUCTS_IN_SANDBOX * 2


@pytest.mark.parametrize("stream", ["products", "customers", "prices", "orders", "stock"])
def test_one_record_is_fetched_as_the_page_gave_it(url: str, stream: str) -> None:
    sap = opened("sap", url)
    spec = sap.stream(stream)
    record = json.loads(bytes(sap.page(spec, Ask()).records[5]))
    key = "/".join(record[name] for name in spec.record_key)
    assert json.loads(sap.record(spec, key) or b"null") == record
    assert sap.record(spec, "/".join("none" for _ in spec.record_key)) is None


def test_a_quote_in_a_key_stays_inside_its_literal() -> None:
    with hostile() as upstream:
        upstream.then(Answer(404))
        assert opened("sap", upstream.url).record(PRODUCTS, "O'Neill' or '1' eq '1") is None
        assert "('O''Neill''" in unquote(upstream.asked[0].path)


# --- moods ----------------------------------------------------------------------------------------


def test_a_next_link_of_another_host_is_asked_of_ours() -> None:
    """S/4 behind a proxy names itself in `__next`; it is never followed there."""

    def script(asked: Asked) -> Answer:
        if "skiptoken" in asked.path:
            return Answer(body=b'{"d":{"results":[]}}')  # the last page can be empty
        link = "https://sap-inside:44300/sap/opu/odata/sap/X?$skiptoken=1000"
        return Answer(body=b'{"d":{"results":[{"Product":"A"}],"__next":"%s"}}' % link.encode())

    with hostile() as upstream:
        upstream.script = script
        assert everything(opened("sap", upstream.url), "products") == [b'{"Product":"A"}']
        assert upstream.asked[1].path == "/sap/opu/odata/sap/X?$skiptoken=1000"


def test_the_total_is_counted_once_only() -> None:
    page = b'{"d":{"__count":"9999","results":[%s]}}'
    pages = [page % b",".join(b'{"Product":"%d"}' % (n + m) for m in range(1000)) for n in (1, 5)]
    with hostile() as upstream:
        upstream.then(*(Answer(body=p) for p in pages), Answer(body=page % b""))
        assert len(everything(opened("sap", upstream.url), "products")) == 2000
    assert ["inlinecount" in asked.path for asked in upstream.asked] == [True, False, False]


def test_a_cursor_that_stands_still_ends_the_reading(url: str) -> None:
    set_fault(url, "sap", kind="stuck_cursor")
    with pytest.raises(GarbledError, match="stands still"):
        everything(opened("sap", url), "products")


def test_pages_that_overlap_lose_nothing(url: str) -> None:
    set_fault(url, "sap", kind="overlapping_pages")
    found = keys(everything(opened("sap", url), "products"), "Product")
    assert len(set(found)) == PRODUCTS_IN_SANDBOX * 2


@pytest.mark.parametrize(
    ("fault", "error", "excerpt"),
    [
        ({"kind": "server_error", "status": 503}, RetryableError, "<html>"),
        ({"kind": "unauthorized"}, AuthExpiredError, "HTTP/401"),
        ({"kind": "truncated"}, GarbledError, '{"d":'),
        ({"kind": "garbage"}, GarbledError, "<"),
        ({"kind": "down"}, RetryableError, ""),
    ],
)
def test_a_fault_becomes_an_error_that_shows_what_came(
    url: str, fault: dict[str, Any], error: type[Exception], excerpt: str
) -> None:
    set_fault(url, "sap", **fault)
    with pytest.raises(error) as caught:
        opened("sap", url, retries=0).page(PRODUCTS, Ask())
    assert excerpt in (getattr(caught.value, "excerpt", "") or "")


def test_a_renamed_field_breaks_each_record_not_the_page(url: str) -> None:
    set_fault(url, "sap", kind="renamed_field", field="ProductStandardID", to="GTIN")
    page = opened("sap", url).page(PRODUCTS, Ask())
    with pytest.raises(ValueError, match="ProductStandardID"):
        said(PRODUCTS, bytes(page.records[0]))
