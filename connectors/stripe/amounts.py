"""Stripe's amounts: whole numbers of the minor unit, which not every currency has.

Source: Stripe docs, "Supported currencies": "Zero-decimal", "Three-decimal" and "Special cases".
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

ZERO_DECIMAL = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()  # noqa: SIM905 (a list)
)
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
#: These have no minor unit either, but their amounts are still sent with two decimals.
WHOLE = frozenset(["isk", "ugx"])
#: Amounts are multiples of this: three-decimal currencies are taken in tens, the others of these whole.
STEPS = {**dict.fromkeys(THREE_DECIMAL, 10), **dict.fromkeys(WHOLE, 100)}
LARGEST = 99_999_999


def places(currency: str) -> int:
    """How many decimals of a currency's amounts are in Stripe's minor unit."""
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def major(amount: int, currency: str) -> Decimal:
    """An amount in the currency's major unit."""
    return Decimal(amount).scaleb(-places(currency.lower()))


def minor(values: Mapping[str, Any]) -> int:
    """`amount` (decimal text, major units) of `currency` as Stripe takes it. Never rounds.

    Raises ValueError that names the value and the remedy.
    """
    text, code = values["amount"], str(values["currency"]).lower()
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise ValueError(f"currency {values['currency']!r} is no ISO 4217 code, such as EUR")
    try:
        exact = Decimal(text) if isinstance(text, str) else Decimal("NaN")
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite() or exact <= 0:
        raise ValueError(f'amount {text!r} is no amount; send more than 0 as text, "12.90"')
    units, step = exact.scaleb(places(code)), STEPS.get(code, 1)
    if units % step:
        finest = Decimal(step).scaleb(-places(code))
        raise ValueError(
            f"amount {text} {code.upper()} is finer than the {finest} that Stripe takes; round it"
        )
    if units > LARGEST:
        raise ValueError(
            f"amount {text} {code.upper()} is above the {major(LARGEST, code)} that Stripe takes"
            " at once; split it"
        )
    return int(units)
