"""What moves the balance: transactions and payouts, as Stripe's API returns them.

Source: Stripe API reference, "Balance Transactions" and "Payouts".
"""

from __future__ import annotations

from connectors.sandbox.stripe_objects import Record

DAY_S = 86_400


def fee(amount: int) -> int:
    """1.5 % and 25 of the minor unit, which a refund does not bring back."""
    return amount * 15 // 1000 + 25


def of_charge(charge: Record, at: int, status: str = "pending") -> Record:
    """The transaction of a captured charge; `at`: when it was captured."""
    amount, text = charge["amount_captured"], charge["description"]
    return _transaction(
        "charge", charge, amount, taken=fee(amount), text=text, at=at, status=status
    )


def of_refund(refund: Record, status: str = "pending") -> Record:
    text, at = f"REFUND FOR CHARGE ({refund['charge']})", refund["created"]
    return _transaction("refund", refund, -refund["amount"], text=text, at=at, status=status)


def of_payout(payout: Record) -> Record:
    text, at = "STRIPE PAYOUT", payout["created"]
    return _transaction("payout", payout, -payout["amount"], text=text, at=at, status="available")


def _transaction(
    kind: str,
    source: Record,
    amount: int,
    *,
    text: str | None,
    at: int,
    status: str,
    taken: int = 0,
) -> Record:
    parts = {"amount": taken, "application": None, "currency": source["currency"],
             "description": "Stripe processing fees", "type": "stripe_fee"}  # fmt: skip
    return {
        "id": source["balance_transaction"],
        "object": "balance_transaction",
        "amount": amount,
        "available_on": at + 2 * DAY_S,
        "balance_type": "payments",
        "created": at,
        "currency": source["currency"],
        "description": text,
        "exchange_rate": None,
        "fee": taken,
        "fee_details": [parts] if taken else [],
        "net": amount - taken,
        "reporting_category": kind,
        "source": source["id"],
        "status": status,
        "type": kind,
    }


def new_payout(key: str, created: int, *, amount: int, currency: str, transaction: str) -> Record:
    return {
        "id": key,
        "object": "payout",
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": created + DAY_S,
        "automatic": True,
        "balance_transaction": transaction,
        "created": created,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": f"ba_{currency}HeadwaterSandbox",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "reconciliation_status": "completed",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "paid",
        "trace_id": None,
        "type": "bank_account",
    }
