"""Payments at the payment provider: authorised, captured, given back, let go.

What is asked is held against the payment as the catalogue has it, once all that our own commands did to
it has come back. The provider, who alone decides, says no to what slips through at the same instant.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from django.db.models import Sum
from pydantic import BaseModel, ConfigDict, Field, model_validator

from catalog.entities import Payment, Refund, spelled
from connectors.commands.amounts import Amount, Currency, exact
from connectors.commands.declare import Check, Operation, Refused, Work, Write, as_asked
from connectors.commands.pending import settled

SCOPE = "write:payment"
#: Refunds of these states gave nothing back (Stripe API reference, Refund.status).
IN_VAIN = ("failed", "canceled")
Id = Annotated[str, Field(min_length=1, max_length=200)]


class Authorise(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"amount": "12.90", "currency": "EUR", "method": "pm_card_visa"}]
        },
    )

    amount: Amount
    currency: Currency
    method: Annotated[Id, Field(description="The payment method, as its provider calls it.")]
    customer: Annotated[Id, Field(description="Customer number.")] | None = None
    order: Annotated[Id, Field(description="Order number.")] | None = None


class OfPayment(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    payment: Annotated[Id, Field(description="Id of the payment.")]


class PartOfPayment(OfPayment):
    amount: Amount | None = None
    currency: Currency | None = None

    @model_validator(mode="after")
    def _together(self) -> PartOfPayment:
        if self.amount is not None and self.currency is None:
            raise ValueError("an amount needs its currency; send both, or neither for all of it")
        return self


class Capture(PartOfPayment):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"amount": "12.90", "currency": "EUR"}]}
    )


class GiveBack(PartOfPayment):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"amount": "2.90", "currency": "EUR"}]}
    )

    reason: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class Authorised(BaseModel):
    payment: str
    amount: str
    currency: str


class Done(BaseModel):
    payment: str


class Captured(Done):
    amount: str | None = Field(description="Null: all that was authorised.")
    currency: str


class GivenBack(Captured):
    refund: str
    amount: str | None = Field(description="Null: all that was left of it.")


def payable(work: Work) -> None:
    """Raises Refused for an amount that nobody can pay."""
    exact(work.params.amount, work.params.currency)


def capturable(work: Work) -> dict[str, Any]:
    """The currency of the payment. Raises Refused for more than was authorised."""
    row, asked = _asked(work)
    captured = row.captured or Decimal(0)
    if row.amount is not None and asked is not None and captured + asked > row.amount:
        raise Refused(
            "capture_above_authorised",
            f"{_said(row.amount - captured)} {row.currency} of {_said(row.amount)} are authorised and "
            "not captured; capture no more",
            parameter="amount",
            authorised=_said(row.amount),
            captured=_said(captured),
        )
    return {"currency": row.currency}


def refundable(work: Work) -> dict[str, Any]:
    """The currency of the payment. Raises Refused for more than was captured."""
    row, asked = _asked(work)
    captured = row.captured
    back = Refund.objects.filter(payment=row.key, deleted_at__isnull=True)
    sums = back.exclude(status__in=IN_VAIN).aggregate(sum=Sum("amount"))
    refunded = sums["sum"] or Decimal(0)
    # A provider that does not say how much was captured holds against it itself.
    if captured is not None and (
        refunded >= captured or refunded + (asked or Decimal(0)) > captured
    ):
        raise Refused(
            "refund_above_captured",
            f"{_said(captured - refunded)} {row.currency} of {_said(captured)} are captured and not "
            "given back; give back no more",
            parameter="amount",
            captured=_said(captured),
            refunded=_said(refunded),
        )
    return {"currency": row.currency}


def known(work: Work) -> Payment:
    """The payment. Raises Refused where there is none."""
    payment = work.params.payment
    came_back = settled("payment", payment, but=work.reference)
    row = Payment.objects.filter(key=payment, deleted_at__isnull=True).first()
    if row is None or not came_back:
        told = (
            "what was done to it last has not come back yet; try again in a moment, with a new key"
        )
        raise Refused(
            "payment_unknown" if came_back else "payment_pending",
            f"there is no payment {payment!r}" if came_back else f"payment {payment!r}: {told}",
            status=404 if came_back else 409,
            parameter="payment",
        )
    return row


def _asked(work: Work) -> tuple[Payment, Decimal | None]:
    """The payment, and how much of it. Raises Refused."""
    asked, currency = work.params.amount, work.params.currency
    amount = None if asked is None else exact(asked, currency)
    row = known(work)
    if currency is not None and currency != row.currency:
        raise Refused(
            "currency_mismatch",
            f"the payment is in {row.currency}; send its currency, or neither it nor an amount",
            parameter="currency",
            currency=row.currency,
        )
    return row, amount


def _said(amount: Decimal) -> str:
    """As the API spells amounts."""
    return spelled(amount, Payment._meta.get_field("amount"))


def part(work: Work) -> dict[str, Any]:
    """What the provider is told of a payment: the part of it, and always its currency."""
    return {**as_asked(work), "currency": work.results["checked"]["currency"]}


OPERATIONS = (
    Operation(
        slug="payment.authorise",
        title="Authorise a payment",
        description="An amount is held on the payer's method until it is captured or cancelled.",
        method="POST",
        path="payments",
        scope=SCOPE,
        params=Authorise,
        steps=(
            Check("payable", payable),
            Write("authorise", "payment.authorise", as_asked, after=("payable",)),
        ),
        result=lambda work: {
            "payment": work.results["authorise"]["key"],
            "amount": work.params.amount,
            "currency": work.params.currency,
        },
        result_model=Authorised,
        # Somebody stands at the till.
        while_open="refuse",
    ),
    Operation(
        slug="payment.capture",
        title="Capture a payment",
        description="What was authorised is collected, or a part of it.",
        method="POST",
        path="payments/{payment}/capture",
        scope=SCOPE,
        params=Capture,
        steps=(
            Check("checked", capturable),
            Write("capture", "payment.capture", part, after=("checked",)),
        ),
        result=lambda work: {
            "payment": work.params.payment,
            "amount": work.params.amount,
            "currency": work.results["checked"]["currency"],
        },
        result_model=Captured,
        status=200,
    ),
    Operation(
        slug="payment.refund",
        title="Give a payment back",
        description="What was captured is given back, or a part of it.",
        method="POST",
        path="payments/{payment}/refunds",
        scope=SCOPE,
        params=GiveBack,
        steps=(
            Check("checked", refundable),
            Write("refund", "payment.refund", part, after=("checked",)),
        ),
        result=lambda work: {
            "refund": work.results["refund"]["key"],
            "payment": work.params.payment,
            "amount": work.params.amount,
            "currency": work.results["checked"]["currency"],
        },
        result_model=GivenBack,
    ),
    Operation(
        slug="payment.cancel",
        title="Cancel a payment",
        description="What was authorised and not captured is let go.",
        method="POST",
        path="payments/{payment}/cancel",
        scope=SCOPE,
        params=OfPayment,
        steps=(
            Check("known", lambda work: known(work).key),
            Write("cancel", "payment.cancel", as_asked, after=("known",)),
        ),
        result=lambda work: {"payment": work.params.payment},
        result_model=Done,
        status=200,
    ),
)
