"""Amounts as callers send them: decimal text in major units, with the currency beside it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from catalog.currencies import DECIMALS
from connectors.commands.declare import Refused


def _text(value: Any) -> Any:
    # A number may have passed through somebody's floating point; 1290 may be meant as cents.
    if isinstance(value, int | float):
        raise ValueError('send amounts as text in major units, "12.90"')  # noqa: TRY004 (pydantic's)
    return value


def _something(amount: str) -> str:
    if not Decimal(amount):
        raise ValueError("nothing is no amount; send more than 0")
    return amount


Amount = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$",
        description='More than nothing; text in major units: `"12.90"`.',
        examples=["12.90"],
    ),
    BeforeValidator(_text),
    AfterValidator(_something),
]
Currency = Annotated[
    str, Field(max_length=16, description="ISO 4217 code, in capitals.", examples=["EUR"])
]


def exact(amount: str, currency: str) -> Decimal:
    """The amount, if it can be paid in the currency. Raises Refused."""
    decimals = decimals_of(currency)
    value = Decimal(amount)
    if value != round(value, decimals):
        raise Refused(
            "amount_precision",
            f"{currency} has {decimals} decimals, and {amount} more; send major units, rounded",
            parameter="amount",
            decimals=decimals,
        )
    return value


def decimals_of(currency: str) -> int:
    """The decimals of the currency's minor unit. Raises Refused."""
    if currency not in DECIMALS:
        raise Refused(
            "currency_unknown",
            f"{currency!r} is no currency; send the ISO 4217 code in capitals, such as EUR",
            parameter="currency",
        )
    return DECIMALS[currency]
