"""Stripe's streams: payments, and which account there is whose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.runtime.declare import From, StreamSpec
from connectors.stripe import contracts as c

#: Currencies without a minor unit, and those with three decimals (Stripe, "Currencies").
ZERO_DECIMAL = frozenset(
    [
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "ugx",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    ]
)
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])


def major(amount: int, currency: str) -> Decimal:
    """An amount in the currency's major unit."""
    code = currency.lower()
    places = 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2
    return Decimal(amount).scaleb(-places)


def moment(seconds: int) -> datetime:
    """Unix seconds as a time."""
    return datetime.fromtimestamp(seconds, UTC)


def tag(name: str) -> Any:
    """A function that reads one member of `metadata`."""
    return lambda metadata: metadata.get(name) or None


PAYMENTS = StreamSpec(
    slug="payments",
    entity="payment",
    contract=c.PaymentIntent,
    record_key=("id",),
    entity_key=lambda r: r.id,
    fields={
        "order": From("metadata", tag("order_number")),
        "customer": From("metadata", tag("customer_number")),
        "amount": From("amount", major, more=("currency",)),
        "captured": From("amount_received", major, more=("currency",)),
        "currency": From("currency", str.upper),
        "status": "status",
        "paid_at": From("created", moment),
    },
    # A PaymentIntent carries no change time: what was read later counts as newer, and a list by
    # `created` shows no change of an old one, so the stream is read in full.
    incremental=False,
    page_size=100,
    interval=timedelta(seconds=300),
    objective=timedelta(seconds=900),
    options={"path": "v1/payment_intents"},
)

ACCOUNTS = StreamSpec(
    slug="accounts",
    entity="customer",
    contract=c.Customer,
    record_key=("id",),
    entity_key=lambda r: r.metadata.get("customer_number"),
    fields={"payment_account": "id"},
    incremental=False,
    page_size=100,
    interval=timedelta(seconds=900),
    objective=timedelta(seconds=3600),
    options={"path": "v1/customers"},
)
