"""What Stripe's objects promise (api reference), in Stripe's own names."""

from __future__ import annotations

from typing import Any

from connectors.runtime.declare import Contract


class PaymentIntent(Contract):
    """Amounts in minor units of the currency. `charges` was replaced by `latest_charge` in 2022."""

    id: str
    amount: int
    amount_received: int = 0
    currency: str
    status: str
    created: int
    metadata: dict[str, Any]


class Customer(Contract):
    id: str
    created: int
    metadata: dict[str, Any]
