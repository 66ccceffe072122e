"""What can be written to Stripe: payments held, collected, let go and given back.

Stripe keeps an idempotency key, with the answer that it gave, for at least a day, so that repeating a
write is harmless (API reference, "Idempotent requests").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection

from catalog.prepared import call
from connectors.runtime.connector import Capability
from connectors.stripe.amounts import minor

#: The path of each kind of write; `{key}` is the record that it changes.
PATHS = {
    "payment.authorise": "v1/payment_intents",
    "payment.capture": "v1/payment_intents/{key}/capture",
    "payment.cancel": "v1/payment_intents/{key}/cancel",
    "payment.refund": "v1/refunds",
}
#: The reasons for a refund that Stripe knows; another one is kept in the metadata.
REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})

ACCOUNT = "SELECT payment_account FROM catalog_customer WHERE key = %(number)s"

Values = Mapping[str, Any]


def authorise(values: Values, idempotency_key: str) -> dict[str, Any]:
    """Held and not collected. Nobody is there to be sent to another page, so cards alone."""
    number = values.get("customer") or ""
    tags = {
        "order_number": values.get("order"),
        "customer_number": number,
        "headwater_key": idempotency_key,
    }
    return {
        "amount": minor(values),
        "currency": str(values["currency"]).lower(),
        "capture_method": "manual",
        "confirm": True,
        "payment_method": values["method"],
        "payment_method_types": ["card"],
        **_given(customer=_account(number) if number else None),
        "metadata": _given(**tags),
    }


def capture(values: Values, _idempotency_key: str) -> dict[str, Any]:
    """All of it, or `amount`; Stripe lets go of the rest."""
    return _given(amount_to_capture=minor(values) if values.get("amount") else None)


def cancel(_values: Values, _idempotency_key: str) -> dict[str, Any]:
    return {}


def refund(values: Values, idempotency_key: str) -> dict[str, Any]:
    """All that is left, or `amount`."""
    reason = values.get("reason")
    known = reason in REASONS
    return {
        "payment_intent": values["payment"],
        **_given(
            amount=minor(values) if values.get("amount") else None,
            reason=reason if known else None,
        ),
        "metadata": _given(
            headwater_key=idempotency_key, reason=None if known else reason and reason[:500]
        ),
    }


def payment(values: Values) -> str:
    return str(values["payment"])


def _account(number: str) -> str | None:
    """The customer's account at Stripe; the payment goes without where there is none."""
    with connection.cursor() as cursor:
        cursor.execute(call(ACCOUNT, {"number": "text"}), {"number": number})
        found = cursor.fetchone()
    return (found and found[0]) or None


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


CAPABILITIES = (
    Capability("payment.authorise", "payments", authorise),
    Capability("payment.capture", "payments", capture, payment),
    Capability("payment.cancel", "payments", cancel, payment),
    Capability("payment.refund", "refunds", refund),
)
