"""Customers changed in Salesforce, and orders copied to it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import requests

from connectors.runtime.connector import Connector
from connectors.salesforce.streams import ACCOUNTS, CONTACTS, ORDERS
from observability.errors import PermanentError, RefusedByUpstreamError, RetryableError
from tests.sandboxes import running, set_fault
from tests.vendors import everything, opened, said

NUMBER = "10000001"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with running(60) as server:
        yield server.url


@pytest.fixture
def url(sandbox: str) -> Iterator[str]:
    yield sandbox
    requests.post(f"{sandbox}/_control/reset", timeout=5)


@pytest.fixture
def crm(url: str) -> Connector:
    return opened("salesforce", url)


def update(crm: Connector, number: str = NUMBER, **changes: Any) -> str:
    push = crm.capability("customer.update").push({"number": number, **changes}, "cmd_1.update")
    return crm.push(ACCOUNTS, push)


def person(crm: Connector) -> dict[str, Any]:
    found = [said(CONTACTS, raw) for raw in everything(crm, "contacts")]
    return next(fields for key, fields in found if key == NUMBER)


def copy(crm: Connector, key: str = "cmd_1.record", **more: Any) -> str:
    order = {
        "reference": "cmd_1",
        "order": "0000000777",
        "customer": NUMBER,
        "total": "31.40",
        "currency": "EUR",
        "status": "open",
    }
    return crm.push(ORDERS, crm.capability("order.record").push(order | more, key))


def test_a_customer_is_changed_in_both_its_records(crm: Connector) -> None:
    account = update(crm, phone="+49 30 1", city="Köln", email="a@example.com")
    key, fields = said(ACCOUNTS, crm.record(ACCOUNTS, account) or b"")
    assert (key, fields["phone"], fields["city"]) == (NUMBER, "+49 30 1", "Köln")
    assert person(crm)["email"] == "a@example.com"
    update(crm, phone=None)
    assert "phone" not in said(ACCOUNTS, crm.record(ACCOUNTS, account) or b"")[1]


def test_an_account_without_a_number_is_changed_by_its_own_id(crm: Connector) -> None:
    account = update(crm, phone="1")
    assert update(crm, number=f"salesforce:{account}", phone="2", last_name="Own") == account
    assert said(ACCOUNTS, crm.record(ACCOUNTS, account) or b"")[1]["phone"] == "2"
    assert person(crm)["last_name"] == "Own"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"phone": "1", "email": "no address"}, "invalid_value"),
        ({"name": None}, "invalid_value"),
        ({"city": "x" * 41, "email": "b@example.com"}, "invalid_value"),
        ({"number": "99999999", "phone": "1"}, "unknown_customer"),
    ],
)
def test_a_refused_change_leaves_both_as_they_were(
    crm: Connector, changes: dict[str, Any], reason: str
) -> None:
    before = everything(crm, "accounts"), everything(crm, "contacts")
    with pytest.raises(RefusedByUpstreamError) as caught:
        update(crm, **changes)
    assert caught.value.reason == reason
    assert caught.value.message
    assert (everything(crm, "accounts"), everything(crm, "contacts")) == before


def test_a_field_that_salesforce_does_not_keep_is_named(crm: Connector) -> None:
    with pytest.raises(PermanentError, match="payment_account"):
        update(crm, payment_account="cus_1")
    with pytest.raises(PermanentError, match="nothing"):
        update(crm)


def test_a_number_that_is_soql_is_only_a_number(crm: Connector) -> None:
    with pytest.raises(RefusedByUpstreamError) as caught:
        update(crm, number="x' OR Name != '", phone="1")
    assert caught.value.reason == "unknown_customer"


def test_the_copy_of_an_order_is_read_back_as_the_order(crm: Connector) -> None:
    made = copy(crm)
    key, fields = said(ORDERS, crm.record(ORDERS, made) or b"")
    assert key == "0000000777"
    assert fields == {"customer": NUMBER, "currency": "EUR", "total": Decimal("31.40")}


def test_an_order_is_there_once_however_often_it_is_copied(url: str, crm: Connector) -> None:
    made = copy(crm)
    assert copy(crm) == made
    assert copy(crm, "cmd_2.record", total="20", status="cancelled") == made
    fields = said(ORDERS, crm.record(ORDERS, made) or b"")[1]
    assert fields["total"] == 20
    told = requests.get(f"{url}/_control/references/salesforce", timeout=5).json()
    assert told == {"references": {"Order": {"0000000777": 1}}}


def test_a_copy_whose_answer_is_lost_is_found(url: str, crm: Connector) -> None:
    able = crm.capability("order.record")
    push = able.push({"order": "0000000777", "customer": NUMBER, "total": "1", "currency": "EUR"},
                     "cmd_1.record")  # fmt: skip
    assert crm.find(ORDERS, push) is None
    set_fault(url, "salesforce", kind="answer_lost", seconds=0, count=1)
    with pytest.raises(RetryableError):
        crm.push(ORDERS, push)
    made = crm.find(ORDERS, push)
    assert made is not None
    later = copy(crm, "cmd_2.record")
    assert later == made
    assert crm.find(ORDERS, push) is None  # another write has been there since: ours is not it


@pytest.mark.parametrize(
    ("more", "reason"),
    [({"customer": "99999999"}, "unknown_customer"), ({"currency": "JPY"}, "invalid_value")],
)
def test_a_refused_copy_has_a_reason(crm: Connector, more: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedByUpstreamError) as caught:
        copy(crm, **more)
    assert caught.value.reason == reason
    assert everything(crm, "orders") == []


def test_a_session_that_ended_is_renewed_for_a_write(url: str, crm: Connector) -> None:
    copy(crm)
    set_fault(url, "salesforce", kind="unauthorized", count=1)
    assert copy(crm, "cmd_2.record")
