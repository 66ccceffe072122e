"""Stripe's streams: payments, refunds, payouts, and which account there is whose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.runtime.declare import Child, From, StreamSpec
from connectors.stripe import contracts as c
from connectors.stripe.amounts import major


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


def refunded(source: c.Source | None) -> str | None:
    """The refund that moved the balance, if it was one."""
    return source.id if source is not None and source.object == "refund" else None


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

REFUNDS = StreamSpec(
    slug="refunds",
    entity="refund",
    contract=c.Refund,
    record_key=("id",),
    entity_key=lambda r: r.id,
    fields={
        "payment": "payment_intent",
        "amount": From("amount", major, more=("currency",)),
        "currency": From("currency", str.upper),
        "status": "status",
        "reason": "reason",
        "refunded_at": From("created", moment),
    },
    # As with payments: no change time, and a refund can fail weeks after it was made.
    incremental=False,
    page_size=100,
    interval=timedelta(seconds=300),
    objective=timedelta(seconds=900),
    options={"path": "v1/refunds", "schema": "refund"},
)

PAYOUT_LINES = Child(
    slug="payout_lines",
    entity="payout_line",
    path="transactions.data",
    attribute="transactions.data",
    record_key=lambda item: item.id,
    entity_key=lambda _payout, item: item.id,
    parent_fields={"payout": "id"},
    fields={
        "kind": "type",
        "payment": "source.payment_intent",
        "refund": From("source", refunded),
        "amount": From("amount", major, more=("currency",)),
        "fee": From("fee", major, more=("currency",)),
        "net": From("net", major, more=("currency",)),
        "currency": From("currency", str.upper),
        "booked_at": From("created", moment),
    },
)

PAYOUTS = StreamSpec(
    slug="payouts",
    entity="payout",
    contract=c.Payout,
    record_key=("id",),
    entity_key=lambda r: r.id,
    fields={
        "amount": From("amount", major, more=("currency",)),
        "currency": From("currency", str.upper),
        "status": "status",
        "made_at": From("created", moment),
        "arrives_at": From("arrival_date", moment),
    },
    children=(PAYOUT_LINES,),
    # No change time either. Each payout costs a call of its own for what it consists of, so pages are
    # small and reads in full are rare; webhooks tell of a new one at once.
    incremental=False,
    page_size=20,
    interval=timedelta(seconds=3600),
    objective=timedelta(seconds=7200),
    options={"path": "v1/payouts"},
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
