"""Lots whose time is over, by the database's clock: sold to who leads, or not sold."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from catalog.entities import Lot
from connectors.auction.rounds import decide_entered, lock_entry, locked, write_down
from connectors.models import AuctionBid, AuctionLot
from connectors.runtime.deadlocks import despite_deadlocks

AT_ONCE = 100
SOLD, UNSOLD = "sold", "unsold"


def close_due() -> int:
    """Close lots that are due, a transaction each; how many were looked at, `AT_ONCE` at most."""
    opened = AuctionLot.objects.filter(lot=OuterRef("key"))
    over = Q(closes_at__lte=Now()) | Q(status="withdrawn")
    due = (
        Lot.objects.exclude(Exists(opened.filter(closed_at__isnull=False)))
        .filter(Q(over, deleted_at__isnull=True) | Q(Exists(opened), deleted_at__isnull=False))
        .order_by("closes_at")
        .values_list("key", flat=True)[:AT_ONCE]
    )
    keys = list(due)
    for key in keys:
        despite_deadlocks(partial(close, key))
    return len(keys)


@transaction.atomic
def close(key: str) -> AuctionLot:
    """Decide what entered in time, and close the lot if it is due still; its row as it is then.

    Whoever has a number before the closing time has bid in time, however long the decision took:
    nobody can be about to get one, because the entry lock is held.
    """
    lock_entry(key)
    AuctionLot.objects.get_or_create(lot=key)
    found = locked(key)
    decide_entered(found)
    lot, terms, now = found.lot, found.terms, found.now
    withdrawn = terms is None or terms.status == "withdrawn"
    if lot.closed_at is not None or not (withdrawn or (terms and terms.closes_at <= now)):
        return lot
    leading = found.leading
    enough = leading and terms and leading.amount >= (terms.reserve_price or 0)
    lot.outcome = SOLD if enough and not withdrawn else UNSOLD
    lot.closed_at = now
    if leading:
        leading.state = AuctionBid.State.WON if lot.outcome == SOLD else AuctionBid.State.UNSOLD
    write_down(found, [leading] if leading else [], leading)
    return lot
