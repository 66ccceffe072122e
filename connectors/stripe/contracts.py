"""What Stripe's objects promise (api reference), in Stripe's own names."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Strict, model_validator

from connectors.runtime.declare import Contract

#: A JSON number, never a text that looks like one: that would be drift.
Number = Annotated[int, Strict()]


class Charge(Contract):
    """`amount_captured` came with the api versions of 2020."""

    captured: bool
    amount: Number
    amount_captured: Number | None = None
    amount_refunded: Number = 0


class Charges(Contract):
    data: list[Charge]


class PaymentIntent(Contract):
    """Amounts in minor units of the currency.

    `charges` is embedded by api versions before 2022-11-15; later ones name a `latest_charge`. A
    server that embeds them may leave `amount_received` out.
    """

    id: str
    amount: Number
    amount_received: Number | None = None
    charges: Charges | None = None
    currency: str
    status: str
    created: Number
    metadata: dict[str, Any]

    @model_validator(mode="after")
    def tells_what_was_received(self) -> Self:
        if self.amount_received is None and self.charges is None:
            raise ValueError("neither amount_received nor charges is there")
        return self


class Refund(Contract):
    id: str
    amount: Number
    currency: str
    created: Number
    status: str | None = None
    reason: str | None = None
    payment_intent: str | None = None


class Source(Contract):
    """What moved the balance: a charge, a refund, or what is neither and names no payment."""

    id: str
    object: str
    payment_intent: str | None = None


class BalanceTransaction(Contract):
    id: str
    type: str
    amount: Number
    fee: Number
    net: Number
    currency: str
    created: Number
    source: Source | None = None


class BalanceTransactions(Contract):
    data: list[BalanceTransaction]


class Payout(Contract):
    """`transactions` is put beside the payout by the connector: Stripe lists them for a payout."""

    id: str
    amount: Number
    currency: str
    status: str
    created: Number
    arrival_date: Number
    transactions: BalanceTransactions


class Customer(Contract):
    id: str
    created: Number
    metadata: dict[str, Any]
