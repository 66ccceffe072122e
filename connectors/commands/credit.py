"""What a customer may owe, as the system says that keeps his account."""

from __future__ import annotations

from decimal import Decimal

from catalog.currencies import spelled
from connectors.commands.declare import Refused, Work
from observability.errors import RefusedByUpstreamError


def available(work: Work, customer: str, currency: str) -> Decimal:
    """The credit that is left now.

    Raises Refused: `customer_blocked`, `credit_currency` where the account is kept in another one (we
    convert nothing), or the owner's own reason.
    """
    try:
        said = work.ask("credit.available", customer=customer, currency=currency)
    except RefusedByUpstreamError as no:
        raise Refused(no.reason, no.message, customer=customer) from no
    if said.get("blocked"):
        raise Refused("customer_blocked", f"customer {customer} is blocked", customer=customer)
    if said["currency"] != currency:
        raise Refused(
            "credit_currency",
            f"the account of customer {customer} is kept in {said['currency']}, not in {currency}",
            parameter="currency",
            currency=said["currency"],
        )
    return Decimal(said["available"])


def must_cover(left: Decimal, amount: Decimal, currency: str, problem: str) -> None:
    """Raises Refused with this problem where the credit is not enough."""
    if amount > left:
        raise Refused(
            problem,
            f"{spelled(amount, currency)} {currency} is more than the"
            f" {spelled(left, currency)} that are left of the customer's limit",
            available=spelled(left, currency),
            currency=currency,
        )
