"""Payouts of what was captured and refunded since the first day, and what a payout consists of.

Stripe pays out once a day. Here the payout of a day is made when somebody looks on a later one, or
when the control API asks for it. Source: Stripe docs, "Payout reconciliation".
"""

from __future__ import annotations

import time
from collections import defaultdict
from weakref import WeakKeyDictionary

from connectors.sandbox import stripe_balance as balance
from connectors.sandbox.ids import opaque_index
from connectors.sandbox.store import Store
from connectors.sandbox.stripe_objects import Record
from connectors.sandbox.stripe_past import Past
from connectors.sandbox.stripe_payments import CHANGING, SYSTEM, new_id, save

_PASTS: WeakKeyDictionary[Store, Past] = WeakKeyDictionary()


def register(store: Store, past: Past) -> None:
    _PASTS[store] = past


def transactions_of(store: Store, payout_id: str) -> list[Record]:
    """What an automatic payout consists of, its own transaction among it, newest first."""
    past, place = _PASTS[store], opaque_index("po_", payout_id)
    if place is not None and place < len(past.days):
        return [past.transaction(number) for number in past.members(place)]
    rows = store.scan(SYSTEM, "paid_out", limit=1_000_000)
    keys = [row.key for row in rows if row.doc["payout"] == payout_id]
    found = (store.get(SYSTEM, "balance_transactions", key) for key in keys)
    return sorted((f for f in found if f), key=lambda f: (-f["created"], f["id"]))


def pay_out_past_days(store: Store) -> None:
    """What happens each night."""
    pay_out(store, int(time.time()) // balance.DAY_S * balance.DAY_S)


def pay_out(store: Store, before_s: int) -> list[Record]:
    """The payouts of what was moved before a moment: one a day and currency. They arrive at once.

    A day on which more was given back than taken waits for the next payout.
    """
    made = []
    with CHANGING:
        for (_, currency), rows in sorted(_waiting(store, before_s).items()):
            net = sum(row["net"] for row in rows)
            if net <= 0:
                continue
            payout = balance.new_payout(
                new_id("po"),
                int(time.time()),
                amount=net,
                currency=currency,
                transaction=new_id("txn"),
            )
            own = balance.of_payout(payout)
            for row in [*rows, own]:
                save(store, {**row, "status": "available"})
                store.put(SYSTEM, "paid_out", row["id"], {"payout": payout["id"]})
            save(store, {**payout, "status": "in_transit"})
            made.append(save(store, payout))
    return made


def _waiting(store: Store, before_s: int) -> dict[tuple[int, str], list[Record]]:
    """Transactions in no payout yet that were made before a moment, by day and currency."""
    entries = _PASTS[store].entries
    since_ms = (entries[-1][0] + 1) * 1000 if entries else 0
    found: defaultdict[tuple[int, str], list[Record]] = defaultdict(list)
    rows = store.scan(SYSTEM, "balance_transactions", limit=1_000_000, changed_from_ms=since_ms)
    for doc in (row.doc for row in rows):
        if doc["status"] == "pending" and doc["created"] < before_s:
            found[doc["created"] // balance.DAY_S, doc["currency"]].append(doc)
    return found
