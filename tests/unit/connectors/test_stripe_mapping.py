"""What Stripe's objects come to, and which ones are refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.stripe.streams import ACCOUNTS, PAYMENTS
from tests.vendors import said


def payment(*without: str, **members: Any) -> bytes:
    """A PaymentIntent of a recent api version, shortened."""
    record = {
        "id": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "object": "payment_intent",
        "amount": 331680,
        "amount_received": 331680,
        "created": 1769904000,
        "currency": "eur",
        "customer": "cus_NffrFeUfNV2Hib",
        "latest_charge": "ch_3MtwBwLkdIwHu7ix2",
        "metadata": {"order_number": "0000000001", "customer_number": "10000001"},
        "status": "succeeded",
        **members,
    }
    return json.dumps({k: v for k, v in record.items() if k not in without}).encode()


def charge(**members: Any) -> dict[str, Any]:
    return {"id": "ch_1", "amount": 331680, "captured": True, "amount_refunded": 0, **members}


def of_2017(*charges: dict[str, Any], **members: Any) -> bytes:
    """A PaymentIntent that embeds its charges and says nothing about what was received."""
    embedded = {"object": "list", "data": list(charges), "has_more": False}
    return payment("amount_received", "latest_charge", charges=embedded, **members)


def fields(raw: bytes) -> dict[str, Any]:
    return said(PAYMENTS, raw)[1]


def test_a_payment_names_its_order_its_customer_and_its_money() -> None:
    assert said(PAYMENTS, payment()) == (
        "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        {
            "order": "0000000001",
            "customer": "10000001",
            "amount": Decimal("3316.80"),
            "captured": Decimal("3316.80"),
            "currency": "EUR",
            "status": "succeeded",
            "paid_at": datetime(2026, 2, 1, tzinfo=UTC),
        },
    )


@pytest.mark.parametrize(
    ("currency", "minor", "major"),
    [
        ("eur", 1, "0.01"),
        ("usd", 0, "0.00"),
        ("jpy", 500, "500"),
        ("krw", 12345678901, "12345678901"),
        ("kwd", 5120, "5.120"),
        # without a minor unit, but still sent with two decimals ("Special cases")
        ("ugx", 500, "5.00"),
        ("isk", 500, "5.00"),
    ],
)
def test_amounts_in_the_currency_s_own_unit(currency: str, minor: int, major: str) -> None:
    mapped = fields(payment(currency=currency, amount=minor, amount_received=minor))
    assert mapped["amount"] == mapped["captured"] == Decimal(major)
    assert mapped["amount"].as_tuple() == Decimal(major).as_tuple()


@pytest.mark.parametrize("status", ["requires_capture", "canceled", "processing"])
def test_what_was_not_collected_is_not_paid(status: str) -> None:
    mapped = fields(payment(status=status, amount_received=0))
    assert mapped["captured"] == 0
    assert "paid_at" not in mapped


@pytest.mark.parametrize("metadata", [{}, {"order_number": "", "cart": "7"}])
def test_a_payment_without_an_order_is_kept(metadata: dict[str, str]) -> None:
    key, mapped = said(PAYMENTS, payment(metadata=metadata))
    assert key == "pi_3MtwBwLkdIwHu7ix28a3tqPa"
    assert not {"order", "customer"} & mapped.keys()


@pytest.mark.parametrize(
    ("charges", "captured"),
    [
        pytest.param([charge()], "3316.80", id="captured"),
        pytest.param([charge(captured=False)], "0.00", id="authorised"),
        pytest.param([], "0.00", id="no charge yet"),
        pytest.param(
            [charge(captured=False), charge(amount_captured=700, amount_refunded=100)],
            "7.00",
            id="captured in part, then refunded",
        ),
    ],
)
def test_older_api_versions_embed_the_charges(charges: list[Any], captured: str) -> None:
    assert fields(of_2017(*charges))["captured"] == Decimal(captured)


def test_a_refund_that_may_be_a_partial_capture_is_not_guessed_at() -> None:
    assert "captured" not in fields(of_2017(charge(amount_refunded=300)))


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        pytest.param(payment("amount"), "amount", id="renamed"),
        pytest.param(payment("amount_received"), "amount_received", id="renamed, with a default"),
        pytest.param(payment(amount="331680"), "amount", id="number as text"),
        pytest.param(payment(amount=12.5), "amount", id="fraction of a cent"),
        pytest.param(payment(currency=None), "currency", id="no currency"),
        pytest.param(payment(metadata=None), "metadata", id="no metadata"),
        pytest.param(payment(created="2026-02-01"), "created", id="retyped time"),
    ],
)
def test_a_broken_payment_is_refused_with_the_place(raw: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        said(PAYMENTS, raw)


def test_a_customer_s_account_belongs_to_the_customer_number() -> None:
    known = {"id": "cus_NffrFeUfNV2Hib", "created": 1, "metadata": {"customer_number": "10000001"}}
    assert said(ACCOUNTS, json.dumps(known).encode()) == (
        "10000001",
        {"payment_account": "cus_NffrFeUfNV2Hib"},
    )
    stranger = {**known, "metadata": {}}
    assert said(ACCOUNTS, json.dumps(stranger).encode())[0] is None
