"""Customers, and the few things that may still change on a charge or a refund."""

from __future__ import annotations

import time

from connectors.sandbox import stripe_objects as objects
from connectors.sandbox.store import Store
from connectors.sandbox.stripe_objects import Record
from connectors.sandbox.stripe_params import Params, check, merged_metadata
from connectors.sandbox.stripe_payments import CHANGING, find, new_id, save

_CUSTOMER = "address description email name phone preferred_locales shipping"


def create_customer(store: Store, params: Params) -> Record:
    check(params, _CUSTOMER)
    known = {name: params[name] for name in _CUSTOMER.split() if name in params}
    metadata = merged_metadata({}, params)
    key = f"cus_{new_id('')[2:16]}"
    made = objects.new_customer(key, int(time.time()), **known)
    return save(store, {**made, "metadata": metadata})


def update_customer(store: Store, key: str, params: Params) -> Record:
    check(params, _CUSTOMER)
    with CHANGING:
        current = find(store, "customer", key, "id")
        known = {name: params[name] or None for name in _CUSTOMER.split() if name in params}
        metadata = merged_metadata(current["metadata"], params)
        return save(store, {**current, **known, "metadata": metadata})


def annotate(store: Store, kind: str, key: str, params: Params) -> Record:
    """New metadata (and, for a charge, another description) on a settled record."""
    check(params, "description" if kind == "charge" else "")
    with CHANGING:
        current = find(store, kind, key, "id")
        known = {name: params[name] for name in ("description",) if name in params}
        metadata = merged_metadata(current["metadata"], params)
        return save(store, {**current, **known, "metadata": metadata})
