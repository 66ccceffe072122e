"""What Stripe's objects come to, and which ones are refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from catalog.entities import Customer
from connectors.stripe import writes
from connectors.stripe.amounts import minor
from connectors.stripe.contracts import Payout
from connectors.stripe.streams import ACCOUNTS, PAYMENTS, PAYOUTS, REFUNDS
from tests import catalogue
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


def test_a_refund_names_its_payment_and_its_money() -> None:
    assert said(REFUNDS, json.dumps(catalogue.REFUND).encode()) == (
        "re_1",
        {
            "payment": "pi_1",
            "amount": Decimal("25.00"),
            "currency": "EUR",
            "status": "succeeded",
            "reason": "requested_by_customer",
            "refunded_at": datetime(2026, 1, 1, 1, tzinfo=UTC),
        },
    )


def test_a_payout_says_which_payments_and_refunds_it_consists_of() -> None:
    fields = said(PAYOUTS, json.dumps(catalogue.PAYOUT).encode())[1]
    assert (fields["amount"], fields["currency"]) == (Decimal("230.66"), "EUR")
    record = PAYOUTS.contract.model_validate(catalogue.PAYOUT)
    (items,) = PAYOUTS.children
    assert isinstance(record, Payout)
    charge, refund = (items.mapped(item) for item in record.transactions.data)
    assert (charge["kind"], charge["payment"], charge["net"]) == (
        "charge",
        "pi_1",
        Decimal("255.66"),
    )
    assert "refund" not in charge
    assert (refund["payment"], refund["refund"], refund["net"]) == ("pi_1", "re_1", Decimal(-25))


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("12.90", "EUR", 1290),
        ("12.9", "eur", 1290),
        ("500", "JPY", 500),
        ("5.120", "KWD", 5120),
        ("500", "UGX", 50000),
        ("999999.99", "EUR", 99_999_999),
    ],
)
def test_amounts_as_stripe_takes_them(amount: str, currency: str, units: int) -> None:
    assert minor({"amount": amount, "currency": currency}) == units


@pytest.mark.parametrize(
    ("amount", "currency", "complaint"),
    [
        ("12.905", "EUR", "finer than the 0.01"),
        ("500.5", "JPY", "finer than the 1 "),
        ("5.123", "KWD", "finer than the 0.010"),
        ("5.50", "UGX", "finer than the 1.00"),
        ("1000000", "EUR", "above the 999999.99"),
        ("0", "EUR", "more than 0"),
        ("-1", "EUR", "more than 0"),
        ("NaN", "EUR", "more than 0"),
        ("a lot", "EUR", "more than 0"),
        (1290, "EUR", "as text"),
        ("12.90", "EURO", "ISO 4217"),
    ],
)
def test_an_amount_is_never_rounded_or_guessed(amount: Any, currency: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        minor({"amount": amount, "currency": currency})


@pytest.mark.django_db
def test_an_authorisation_names_the_customer_s_account_and_the_order() -> None:
    catalogue.fill(1)
    assert Customer.objects.get().payment_account == "cus_1"
    values = {"amount": "12.90", "currency": "EUR", "method": "pm_card_visa"}
    about = {"customer": "10000001", "order": "0000000007"}
    body = writes.authorise({**values, **about}, "cmd_1.authorise")
    assert body["customer"] == "cus_1"
    assert body["metadata"] == {
        "order_number": "0000000007",
        "customer_number": "10000001",
        "headwater_key": "cmd_1.authorise",
    }
    assert "customer" not in writes.authorise({**values, "customer": "10000009"}, "cmd_2.authorise")


def test_a_reason_that_stripe_does_not_know_is_kept_beside_the_refund() -> None:
    known = writes.refund({"payment": "pi_1", "reason": "duplicate"}, "k")
    assert (known["reason"], known["metadata"]) == ("duplicate", {"headwater_key": "k"})
    own = writes.refund({"payment": "pi_1", "reason": "too small"}, "k")
    assert "reason" not in own
    assert own["metadata"]["reason"] == "too small"
