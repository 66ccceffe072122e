"""Stripe's events: made when an object changes, listed by `/v1/events`, sent signed as webhooks.

Source: Stripe docs, "Types of events" and "Verify webhook signatures manually".
"""

from __future__ import annotations

import time

import orjson

from connectors.sandbox.signing import STRIPE_SECRET, hex_hmac
from connectors.sandbox.store import Change, Store
from connectors.sandbox.stripe_objects import API_VERSION, Record
from connectors.sandbox.stripe_payments import CAUSE, SYSTEM, new_id

#: Collections that the API does not show.
KEPT_FOR_ITSELF = ("idempotency_keys", "paid_out")
_UNTOLD = frozenset({"events", "balance_transactions", *KEPT_FOR_ITSELF})
_INTENT_BY_STATUS = {
    "canceled": "canceled",
    "processing": "processing",
    "requires_action": "requires_action",
    "requires_capture": "amount_capturable_updated",
    "succeeded": "succeeded",
}
#: What an update is called, where that depends on what came of it.
_BY_STATUS = {
    "refunds": {"failed": "failed"},
    "payouts": {"paid": "paid", "failed": "failed", "canceled": "canceled"},
}


def event_type(collection: str, kind: str, record: Record) -> str:
    """`payment_intent.succeeded` and so on: what happened to the record, told from its state."""
    if collection == "payment_intents" and kind == "updated":
        if record["last_payment_error"]:
            return "payment_intent.payment_failed"
        return f"payment_intent.{_INTENT_BY_STATUS.get(record['status'], 'created')}"
    if collection == "charges" and kind == "created":
        return "charge.succeeded" if record["paid"] else "charge.failed"
    if collection == "charges":
        returned = record["amount_refunded"] > record["amount"] - record["amount_captured"]
        if returned or record["refunded"]:
            return "charge.refunded"
        return "charge.captured" if record["captured"] else "charge.updated"
    told = (
        _BY_STATUS.get(collection, {}).get(record.get("status", "")) if kind == "updated" else None
    )
    return f"{collection.removesuffix('s')}.{told or kind}"


def record_event(store: Store, change: Change) -> None:
    """Keeps the event of a change; storing it is what sends it."""
    if change.system != SYSTEM or change.collection in _UNTOLD:
        return
    request_id, idempotency_key = CAUSE.get()
    key = new_id("evt")
    event = {
        "id": key,
        "object": "event",
        "api_version": API_VERSION,
        "created": int(time.time()),
        "data": {"object": change.doc},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": request_id, "idempotency_key": idempotency_key},
        "type": event_type(change.collection, change.kind, change.doc),
    }
    store.put(SYSTEM, "events", key, event)


def webhook(change: Change) -> tuple[dict[str, str], bytes] | None:
    """The delivery of an event; nothing for other changes, whose event follows."""
    if change.collection != "events" or change.kind != "created":
        return None
    body = orjson.dumps(change.doc, option=orjson.OPT_INDENT_2)
    now = int(time.time())
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": f"t={now},v1={hex_hmac(STRIPE_SECRET, now, body)}",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
    return headers, body
