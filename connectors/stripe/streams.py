"""Stripe's streams: payments, and which account there is whose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.runtime.declare import From, StreamSpec
from connectors.stripe import contracts as c

#: Currencies without a minor unit, and those with three decimals (Stripe, "Supported currencies").
#: ISK and UGX have none either, but their amounts are still sent with two ("Special cases").
ZERO_DECIMAL = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()  # noqa: SIM905 (a list)
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


def received(amount: int | None, charges: c.Charges | None, currency: str) -> Decimal | None:
    """What was collected, from the intent or else from the charges that it embeds.

    A charge without `amount_captured` shows the uncaptured rest of a partial capture as refunded,
    which cannot be told from money that was given back: then nothing is said.
    """
    if amount is not None:
        return major(amount, currency)
    collected = 0
    for charge in charges.data if charges else ():
        if not charge.captured:
            continue
        if charge.amount_captured is None and charge.amount_refunded:
            return None
        collected += charge.amount if charge.amount_captured is None else charge.amount_captured
    return major(collected, currency)


def paid(created: int, status: str) -> datetime | None:
    """When it was paid, if it was. The intent knows no later time than that of its creation."""
    return moment(created) if status == "succeeded" else None


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
        "captured": From("amount_received", received, more=("charges", "currency")),
        "currency": From("currency", str.upper),
        "status": "status",
        "paid_at": From("created", paid, more=("status",)),
    },
    keeps=(
        "charges.data.amount",
        "charges.data.amount_captured",
        "charges.data.amount_refunded",
        "charges.data.captured",
    ),
    # A PaymentIntent carries no change time: what was read later counts as newer, and a list by
    # `created` shows no change of an old one, so the stream is read in full.
    incremental=False,
    page_size=100,
    interval=timedelta(seconds=300),
    objective=timedelta(seconds=900),
    options={"path": "v1/payment_intents", "schema": "payment_intent"},
)

ACCOUNTS = StreamSpec(
    slug="accounts",
    entity="customer",
    contract=c.Customer,
    record_key=("id",),
    entity_key=lambda r: r.metadata.get("customer_number"),
    fields={"payment_account": "id"},
    keeps=("created", "metadata"),
    incremental=False,
    page_size=100,
    interval=timedelta(seconds=900),
    objective=timedelta(seconds=3600),
    options={"path": "v1/customers", "schema": "customer"},
)
