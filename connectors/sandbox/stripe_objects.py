"""Stripe's objects as their API returns them (amounts in minor units, times in Unix seconds).

The simulated past holds a customer for each of the world's customers, and a payment intent with its
charge for each order. Shapes: Stripe API reference and its OpenAPI document; an intent names its
`latest_charge` and embeds no list of charges, as versions since 2022-11-15 do.
"""

from __future__ import annotations

from typing import Any

from connectors.sandbox.ids import opaque_id
from connectors.sandbox.world import World
from connectors.sandbox.world_facts import CustomerFacts, OrderFacts

API_VERSION = "2026-10-28.endive"

Record = dict[str, Any]

#: Of the orders that were paid, each so-manieth has had a part of its money given back.
RETURNED_EVERY = 11
#: Refunds of the past have ids of their own, apart from those of the charges.
PAST_REFUND = 1 << 32

# What an intent's status says about its money: (captured, released).
_SETTLED = {
    "succeeded": (True, False),
    "requires_capture": (False, False),
    "canceled": (False, True),
}


def customer(facts: CustomerFacts) -> Record:
    address = {
        "city": facts.city,
        "country": facts.country,
        "line1": facts.street,
        "line2": None,
        "postal_code": facts.postcode,
        "state": None,
    }
    return new_customer(
        facts.stripe_id,
        facts.created_ms // 1000,
        address=address,
        email=facts.email,
        metadata={"customer_number": facts.number},
        name=facts.name,
        phone=facts.phone,
    )


def new_customer(key: str, created: int, **known: Any) -> Record:
    return {
        "id": key,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": key[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
        **known,
    }


def order_intent(world: World, facts: OrderFacts) -> Record:
    status = intent_status(facts.status)
    captured, released = _SETTLED[status]
    created = facts.placed_ms // 1000
    buyer = world.customer(facts.customer_index)
    return new_intent(
        facts.payment_id,
        created,
        amount=facts.total_minor,
        amount_capturable=0 if captured or released else facts.total_minor,
        amount_received=facts.total_minor if captured else 0,
        canceled_at=created + 3600 if released else None,
        cancellation_reason="requested_by_customer" if released else None,
        capture_method="manual" if not captured else "automatic",
        currency=facts.currency.lower(),
        customer=buyer.stripe_id,
        description=f"Order {facts.number}",
        latest_charge=facts.charge_id,
        metadata={"order_number": facts.number, "customer_number": buyer.number},
        payment_method=f"pm_{facts.payment_id[3:]}",
        receipt_email=buyer.email,
        status=status,
    )


def order_charge(world: World, facts: OrderFacts) -> Record:
    intent = order_intent(world, facts)
    charge = new_charge(facts.charge_id, intent["created"] + 2, intent)
    captured, released = _SETTLED[intent["status"]]
    back = given_back_minor(facts)
    return {**charge, **(settled(charge, intent["amount"]) if captured else {}),
            **(reversed_in_full(charge) if released else {}),
            **({"amount_refunded": back} if back else {})}  # fmt: skip


def given_back_minor(facts: OrderFacts) -> int:
    """What of a paid order was given back an hour later: a third of every so-manieth."""
    returned = facts.status == "completed" and int(facts.number) % RETURNED_EVERY == 0
    return facts.total_minor // 3 if returned else 0


def order_refund(world: World, o: int) -> Record:
    facts = world.order(o)
    charge = order_charge(world, facts)
    known = {"reason": "requested_by_customer", "metadata": charge["metadata"]}
    key = opaque_id("re_", PAST_REFUND + o)
    return new_refund(key, charge["created"] + 3600, charge, given_back_minor(facts), **known)


def intent_status(order_status: str) -> str:
    """What a completed, open or cancelled order means for its payment."""
    return {"completed": "succeeded", "cancelled": "canceled"}.get(order_status, "requires_capture")


def new_intent(key: str, created: int, **known: Any) -> Record:
    return {
        "id": key,
        "object": "payment_intent",
        "amount": 0,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": f"{key}_secret_{key[:2:-1]}",
        "confirmation_method": "automatic",
        "created": created,
        "currency": "eur",
        "customer": None,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **known,
    }


def new_charge(key: str, created: int, intent: Record) -> Record:
    """An authorised charge of an intent: nothing captured yet."""
    return {
        "id": key,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {
            "address": None,
            "email": intent["receipt_email"],
            "name": None,
            "phone": None,
        },
        "calculated_statement_descriptor": "HEADWATER OUTDOOR",
        "captured": False,
        "created": created,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": {
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "paid": True,
        "payment_intent": intent["id"],
        "payment_method": intent["payment_method"],
        "payment_method_details": {
            "card": {
                "brand": "visa",
                "country": "US",
                "exp_month": 12,
                "exp_year": 2030,
                "funding": "credit",
                "last4": "4242",
                "network": "visa",
            },
            "type": "card",
        },
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }


def settled(charge: Record, amount: int) -> Record:
    """What capturing `amount` of an authorised charge changes; the rest goes back to the card."""
    rest = charge["amount"] - amount
    return {
        "amount_captured": amount,
        "amount_refunded": rest,
        "balance_transaction": f"txn_{charge['id'][3:]}",
        "captured": True,
    }


def reversed_in_full(charge: Record) -> Record:
    """What cancelling an authorised, uncaptured charge changes."""
    return {"amount_refunded": charge["amount"], "refunded": True}


def new_refund(key: str, created: int, charge: Record, amount: int, **known: Any) -> Record:
    return {
        "id": key,
        "object": "refund",
        "amount": amount,
        "balance_transaction": f"txn_{key[3:]}",
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
        **known,
    }
