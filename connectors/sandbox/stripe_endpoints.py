"""Stripe's endpoints: (store, parameters, the path's match) → a record or a list object."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from connectors.sandbox import faults, stripe_lists
from connectors.sandbox import stripe_customers as customers
from connectors.sandbox import stripe_payments as payments
from connectors.sandbox.store import Store
from connectors.sandbox.stripe_objects import Record
from connectors.sandbox.stripe_params import Params, check

SYSTEM = "stripe"

Endpoint = Callable[[Store, Params, "re.Match[str]"], Any]


def _list(store: Store, params: Params, match: re.Match[str]) -> Any:
    name = match["collection"]
    return stripe_lists.page(store, name, params, lambda rows: faults.transform(SYSTEM, rows))


def _retrieve(store: Store, params: Params, match: re.Match[str]) -> Record:
    check(params, "client_secret")
    name, key = match["collection"], match["id"]
    kind = stripe_lists.LISTED[name].kind
    if name == "customers" and stripe_lists.was_deleted(store, name, key):
        return {"id": key, "object": "customer", "deleted": True}
    return payments.find(store, kind, key, "intent" if kind == "payment_intent" else "id")


def _update_metadata(store: Store, params: Params, match: re.Match[str]) -> Record:
    """What may still change on a charge or a refund."""
    kind = stripe_lists.LISTED[match["collection"]].kind
    return customers.annotate(store, kind, match["id"], params)


def _delete_customer(store: Store, params: Params, match: re.Match[str]) -> Record:
    check(params, "")
    payments.find(store, "customer", match["id"], "id")
    store.delete(SYSTEM, "customers", match["id"])
    return {"id": match["id"], "object": "customer", "deleted": True}


def _account(_store: Store, params: Params, _match: re.Match[str]) -> Record:
    check(params, "")
    return {
        "id": "acct_1HeadwaterSandbox",
        "object": "account",
        "charges_enabled": True,
        "country": "DE",
        "default_currency": "eur",
        "details_submitted": True,
        "email": "headwater@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": "Headwater Outdoor", "timezone": "Etc/UTC"}},
        "type": "standard",
    }


_LISTED = f"(?P<collection>{'|'.join(stripe_lists.LISTED)})"
_ID = r"(?P<id>[A-Za-z]+_\w+|[^/]+)"
ENDPOINTS: list[tuple[str, str, Endpoint]] = [
    ("GET", r"/v1/account", _account),
    ("GET", rf"/v1/{_LISTED}", _list),
    ("GET", rf"/v1/{_LISTED}/{_ID}", _retrieve),
    ("POST", r"/v1/customers", lambda s, p, _: customers.create_customer(s, p)),
    ("POST", rf"/v1/customers/{_ID}", lambda s, p, m: customers.update_customer(s, m["id"], p)),
    ("DELETE", rf"/v1/customers/{_ID}", _delete_customer),
    ("POST", r"/v1/payment_intents", lambda s, p, _: payments.create_intent(s, p)),
    ("POST", rf"/v1/payment_intents/{_ID}", lambda s, p, m: payments.update_intent(s, m["id"], p)),
    ("POST", rf"/v1/payment_intents/{_ID}/confirm", lambda s, p, m: payments.confirm_intent(s, m["id"], p)),
    ("POST", rf"/v1/payment_intents/{_ID}/capture", lambda s, p, m: payments.capture_intent(s, m["id"], p)),
    ("POST", rf"/v1/payment_intents/{_ID}/cancel", lambda s, p, m: payments.cancel_intent(s, m["id"], p)),
    ("POST", r"/v1/refunds", lambda s, p, _: payments.create_refund(s, p)),
    ("POST", rf"/v1/(?P<collection>charges|refunds|payouts)/{_ID}", _update_metadata),
]  # fmt: skip
