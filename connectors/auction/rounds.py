"""Bids enter, and are decided in the order of their numbers.

Entering is one short transaction: under the lot's entry lock a bid gets the next number and the
database's time. The lock is held until the commit, so numbers have no gap, and whoever sees a number
sees all before it. PostgreSQL serves the waiters of an advisory lock first come, first served.

A round is one transaction too: it locks the lot's row, and decides *all* bids that have entered, in
the order of their numbers; so under contention one commit decides many, and it makes no difference who
gets the lock next. Whose bid was decided by another's round finds it so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from django.db import connection

from catalog.currencies import DECIMALS
from catalog.entities import Lot
from catalog.explain import database_now
from connectors.auction.judging import Offer, Standing, Terms, judge
from connectors.auction.telling import tell
from connectors.commands.declare import Refused
from connectors.commands.following import Following, follow
from connectors.models import AuctionBid, AuctionLot

State = AuctionBid.State
#: First keys of the two-key advisory locks: `Auct`, `Bidd`.
ENTRY, BIDDER = 0x41756374, 0x42696464
LOCK_ENTRY = "SELECT pg_advisory_xact_lock(%s, hashtext(%s))"
#: A waiter of the entry lock shall not wait for a disk as well. What is lost with PostgreSQL is lost
#: with the step that says that it was done, and is done again; a decision waits for the disk, and
#: for all that was committed before it.
NO_DISK = "SET LOCAL synchronous_commit = off"

ENTER = """
INSERT INTO connectors_auctionlot (lot) VALUES (%(lot)s) ON CONFLICT DO NOTHING;
INSERT INTO connectors_auctionbid
    (lot, sequence, reference, bidder, amount, currency, spendable, payment, entered_at, state,
     correlation_id)
SELECT %(lot)s, COALESCE(max(sequence), 0) + 1, %(reference)s, %(bidder)s, %(amount)s, %(currency)s,
       %(spendable)s, %(payment)s, clock_timestamp(), 'entered', %(correlation)s
FROM connectors_auctionbid WHERE lot = %(lot)s
ON CONFLICT (reference) DO NOTHING"""

LOCK_BIDDERS = """
SELECT count(pg_advisory_xact_lock(%s, place)) FROM (
    SELECT DISTINCT hashtext(bidder) AS place FROM unnest(%s::text[]) AS bidder ORDER BY 1) AS places"""

COMMITTED = """
SELECT bidder, sum(amount) FROM connectors_auctionbid
WHERE state = 'leading' AND lot <> %s AND currency = %s AND bidder = ANY(%s) GROUP BY 1"""

DECIDED = """
UPDATE connectors_auctionbid b
SET state = d.state, problem = d.problem, decided_at = COALESCE(b.decided_at, %(at)s)
FROM jsonb_to_recordset(%(rows)s::jsonb) AS d (id bigint, state text, problem jsonb)
WHERE b.id = d.id"""


def lock_entry(lot: str) -> None:
    """Nobody else enters until the caller's transaction ends, and all who have entered are seen."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_ENTRY, [ENTRY, lot])


def enter(
    lot: str,
    reference: str,
    *,
    bidder: str,
    amount: Decimal,
    currency: str,
    spendable: Decimal,
    payment: str,
    correlation_id: str = "",
) -> int:
    """Give a bid its number, in the caller's transaction; the one it has where it has one."""
    lock_entry(lot)
    with connection.cursor() as cursor:
        cursor.execute(NO_DISK)
        cursor.execute(
            ENTER,
            {
                "lot": lot, "reference": reference, "bidder": bidder, "amount": amount,
                "currency": currency, "spendable": spendable, "payment": payment,
                "correlation": correlation_id,
            },
        )  # fmt: skip
    return AuctionBid.objects.get(reference=reference).sequence


def decide(reference: str) -> AuctionBid:
    """The verdict over a bid that has entered, in the caller's transaction, with all before it."""
    mine = AuctionBid.objects.get(reference=reference)
    if mine.state == State.ENTERED:
        decide_entered(AuctionLot.objects.select_for_update().get(lot=mine.lot))
        mine.refresh_from_db()
    return mine


def decide_entered(lot: AuctionLot) -> Terms | None:
    """Decide all bids that have entered; the caller has locked the row. What the lot's terms are."""
    terms, standing = terms_of(lot.lot), standing_of(lot)
    # Whoever held the lock before may have decided them.
    waiting = list(AuctionBid.objects.filter(lot=lot.lot, state=State.ENTERED).order_by("sequence"))
    if not waiting:
        return terms
    committed = _committed(lot.lot, terms, {bid.bidder for bid in waiting})
    leading = AuctionBid.objects.filter(lot=lot.lot, state=State.LEADING).first()
    outbid: list[AuctionBid] = []
    for bid in waiting:
        try:
            judge(
                _known(terms, lot.lot),
                standing,
                Offer(
                    bid.bidder, bid.amount, bid.currency, bid.entered_at, bid.spendable,
                    committed.get(bid.bidder, Decimal(0)),
                ),
            )  # fmt: skip
        except Refused as no:
            bid.state = State.REJECTED
            bid.problem = {"code": no.problem, "detail": no.detail, **no.members}
            continue
        if leading is not None:
            leading.state = State.OUTBID
            outbid.append(leading)
        bid.state, leading = State.LEADING, bid
        standing = replace(standing, price=bid.amount, leader=bid.bidder)
        lot.price, lot.leader, lot.accepted = bid.amount, bid.bidder, lot.accepted + 1
    write_down(lot, [*outbid, *(bid for bid in waiting if bid not in outbid)], waiting[-1])
    return terms


def write_down(lot: AuctionLot, changed: Sequence[AuctionBid], by: AuctionBid | None) -> None:
    """Keep what was decided, tell the catalogue, and let go of the money that nobody needs."""
    at = database_now()
    lot.version += 1
    lot.save()
    leads = {State.LEADING, State.WON}
    # A lot has one leader at any time: the former one makes room first.
    for rows in (
        [b for b in changed if b.state not in leads],
        [b for b in changed if b.state in leads],
    ):
        if rows:
            kept = [{"id": b.pk, "state": b.state, "problem": b.problem} for b in rows]
            with connection.cursor() as cursor:
                cursor.execute(DECIDED, {"rows": json.dumps(kept), "at": at})
    tell(lot, changed, at, by.correlation_id if by else "")
    follow(
        Following(
            "bid.release",
            {"bid": bid.key, "payment": bid.payment},
            f"{bid.reference}/release",
            bid.correlation_id,
        )
        for bid in changed
        if bid.state in {State.OUTBID, State.UNSOLD}
    )


def standing_of(lot: AuctionLot | None) -> Standing:
    """Where a lot's bidding stands; nobody may have bid yet."""
    if lot is None:
        return Standing()
    return Standing(lot.price, lot.leader, closed=lot.closed_at is not None)


def terms_of(lot: str) -> Terms | None:
    """What the catalogue says about a lot; None where it has none, or not all that bids take."""
    row = Lot.objects.filter(key=lot, deleted_at__isnull=True).first()
    if row is None or None in (
        row.opens_at, row.closes_at, row.currency, row.start_price, row.increment, row.status
    ):  # fmt: skip
        return None
    # Two bids never share a price, whatever the upstream says.
    unit = Decimal(1).scaleb(-DECIMALS.get(row.currency, 2))
    return Terms(
        row.key, row.opens_at, row.closes_at, row.currency, max(row.start_price, unit),
        max(row.increment, unit), row.reserve_price, row.status,
    )  # fmt: skip


def _known(terms: Terms | None, lot: str) -> Terms:
    if terms is None:
        raise Refused("lot_unknown", f"there is no lot {lot!r} that takes bids", parameter="lot")
    return terms


def _committed(lot: str, terms: Terms | None, bidders: Iterable[str]) -> dict[str, Decimal]:
    """What bidders lead with in other lots, by bidder; it stays so until the transaction ends."""
    names = sorted(bidders)
    with connection.cursor() as cursor:
        cursor.execute(LOCK_BIDDERS, [BIDDER, names])
        cursor.execute(COMMITTED, [lot, terms.currency if terms else "", names])
        found: dict[str, Decimal] = dict(cursor.fetchall())
    return found
