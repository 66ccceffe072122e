"""Bids enter, and are decided in the order of their numbers.

Entering is one short transaction, of one trip to the database: under the lot's entry lock a bid gets
the next number and the database's time. The lock is held until the commit, so numbers have no gap, and whoever sees a number
sees all before it. PostgreSQL serves the waiters of an advisory lock first come, first served.

A round is one transaction too: it locks the lot's row, and decides *all* bids that have entered, in
the order of their numbers; so under contention one commit decides many, and it makes no difference who
gets the lock next. Whose bid was decided by another's round finds it so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from catalog.currencies import DECIMALS
from catalog.prepared import call
from connectors.auction.judging import Offer, Standing, Terms, judge
from connectors.auction.telling import KNOWN, tell
from connectors.commands.declare import Refused
from connectors.commands.following import Following, follow
from connectors.models import AuctionBid, AuctionLot

State = AuctionBid.State
#: First keys of the two-key advisory locks: `Auct`, `Bidd`.
ENTRY, BIDDER = 0x41756374, 0x42696464
LOCK_ENTRY = f"SELECT pg_advisory_xact_lock({ENTRY}, hashtext(%(lot)s))"

# Each statement of one call sees what was committed before it, so also what a lock was waited for.
# A waiter of the entry lock shall not wait for a disk as well. What is lost with PostgreSQL is lost with
# the step that says that it was done, and is done again; a decision waits for the disk, and for all
# that was committed before it.
HURRY = "SELECT set_config('synchronous_commit', 'off', true)"
FIRST = "INSERT INTO connectors_auctionlot (lot) VALUES (%(lot)s) ON CONFLICT DO NOTHING"
ENTER = """
INSERT INTO connectors_auctionbid
    (lot, sequence, reference, bidder, amount, currency, spendable, payment, entered_at, state,
     correlation_id)
SELECT %(lot)s, COALESCE(max(sequence), 0) + 1, %(reference)s, %(bidder)s, %(amount)s, %(currency)s,
       %(spendable)s, %(payment)s, clock_timestamp(), 'entered', %(correlation)s
FROM connectors_auctionbid WHERE lot = %(lot)s
ON CONFLICT (reference) DO NOTHING"""
ENTERED = "SELECT sequence FROM connectors_auctionbid WHERE reference = %(reference)s"

_LOT = [str(f.column) for f in AuctionLot._meta.concrete_fields]
_BID = [str(f.column) for f in AuctionBid._meta.concrete_fields]
_TERMS = "key, opens_at, closes_at, currency, start_price, increment, reserve_price, status"

#: The lot, locked; what is waiting, who leads, and the bid that is asked about; the lot's terms; what
#: those who wait lead with elsewhere, which stays so until the transaction ends.
STANDS = f"SELECT {', '.join(_LOT)} FROM connectors_auctionlot WHERE lot = %(lot)s"  # noqa: S608 (our own)
TERMS = f"SELECT {_TERMS} FROM catalog_lot WHERE key = %(lot)s AND deleted_at IS NULL"  # noqa: S608 (our own)
READ = (
    f"{STANDS} FOR UPDATE",
    f"""
SELECT {", ".join(_BID)} FROM connectors_auctionbid
WHERE (lot = %(lot)s AND state = 'entered') OR (lot = %(lot)s AND state IN ('leading', 'won'))
    OR reference = %(reference)s ORDER BY sequence""",  # noqa: S608 (our own SQL)
    TERMS,
    f"""
SELECT count(pg_advisory_xact_lock({BIDDER}, place)) FROM (
    SELECT DISTINCT hashtext(bidder) AS place FROM connectors_auctionbid
    WHERE lot = %(lot)s AND state = 'entered' ORDER BY 1) AS places""",  # noqa: S608 (our own SQL)
    """
SELECT b.bidder, sum(b.amount) FROM connectors_auctionbid b
WHERE b.state = 'leading' AND b.lot <> %(lot)s AND b.bidder IN (
    SELECT bidder FROM connectors_auctionbid WHERE lot = %(lot)s AND state = 'entered')
    AND b.currency = (SELECT currency FROM catalog_lot WHERE key = %(lot)s)
GROUP BY 1""",
    KNOWN,
    "SELECT clock_timestamp()",
)

# A lot has one leader at any time: the former one makes room first. The ids lead through the index, also
# where nobody knows how many a plan will be used for.
_DECIDED = """
UPDATE connectors_auctionbid b
SET state = d.state, problem = d.problem, decided_at = COALESCE(b.decided_at, %(at)s)
FROM jsonb_to_recordset(%(bids)s::jsonb) AS d (id bigint, state text, problem jsonb)
WHERE b.id = ANY(%(ids)s) AND b.id = d.id AND (d.state IN ('leading', 'won')) = """
WRITE = (
    """
UPDATE connectors_auctionlot
SET price = %(price)s, leader = %(leader)s, accepted = %(accepted)s, version = %(version)s,
    closed_at = %(closed_at)s, outcome = %(outcome)s WHERE lot = %(lot)s""",
    f"{_DECIDED} false",
    f"{_DECIDED} true",
)
TYPES = {
    "lot": "text", "reference": "text", "bidder": "text", "amount": "numeric", "currency": "text",
    "spendable": "numeric", "payment": "text", "correlation": "text", "price": "numeric",
    "leader": "text", "accepted": "int", "version": "bigint", "closed_at": "timestamptz",
    "outcome": "text", "ids": "bigint[]", "bids": "jsonb", "at": "timestamptz",
}  # fmt: skip


@dataclass(slots=True)
class Standoff:
    """A lot whose row the caller's transaction has locked, and all that a round goes by."""

    lot: AuctionLot
    bids: list[AuctionBid]
    terms: Terms | None
    committed: dict[str, Decimal]
    #: Our own sources, by stream.
    sources: dict[str, int]
    #: The database's time, since the lock.
    now: datetime

    @property
    def waiting(self) -> list[AuctionBid]:
        """What has entered and is not decided, in the order of the numbers."""
        return [bid for bid in self.bids if bid.state == State.ENTERED]

    @property
    def leading(self) -> AuctionBid | None:
        return next((bid for bid in self.bids if bid.state == State.LEADING), None)


def lock_entry(lot: str) -> None:
    """Nobody else enters until the caller's transaction ends, and all who have entered are seen."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_ENTRY, {"lot": lot})


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
    """Give a bid its number, in a transaction; the one that it has where it has one."""
    told = {
        "lot": lot, "reference": reference, "bidder": bidder, "amount": amount,
        "currency": currency, "spendable": spendable, "payment": payment,
        "correlation": correlation_id,
    }  # fmt: skip
    ((sequence,),) = _results((HURRY, LOCK_ENTRY, FIRST, ENTER, ENTERED), told)[-1]
    return int(sequence)


def decide(lot: str, reference: str) -> AuctionBid:
    """The verdict over a bid that has entered, in the caller's transaction, with all before it."""
    found = locked(lot, reference)
    mine = next(bid for bid in found.bids if bid.reference == reference)
    if mine.state == State.ENTERED:
        decide_entered(found)
    else:
        # Another round was quicker. The lock goes with the savepoint: who waits for it need not
        # wait for our commit.
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK TO SAVEPOINT round")
    return mine


def locked(lot: str, reference: str = "") -> Standoff:
    """A lot that somebody has bid on, with its row locked."""
    told = {"lot": lot, "reference": reference}
    rows, bids, terms, _, committed, sources, clock = _results(
        READ, told, first="SAVEPOINT round;\n"
    )
    return Standoff(
        AuctionLot(**dict(zip(_LOT, rows[0], strict=True))),
        [_bid(row) for row in bids],
        _terms(terms[0]) if terms else None,
        dict(committed),
        dict(sources),
        clock[0][0],
    )


def decide_entered(found: Standoff) -> None:
    """Decide all bids that have entered, and write it down."""
    lot, waiting, leading = found.lot, found.waiting, found.leading
    standing, outbid = standing_of(lot), []
    for bid in waiting:
        try:
            judge(_known(found.terms, lot.lot), standing, _offer(bid, found.committed))
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
    if waiting:
        former = [bid for bid in outbid if bid not in waiting]
        write_down(found, [*former, *waiting], waiting[-1])


def write_down(found: Standoff, changed: Sequence[AuctionBid], by: AuctionBid | None) -> None:
    """Keep what was decided, tell the catalogue, and let go of the money that nobody needs."""
    lot, at = found.lot, found.now
    lot.version += 1
    ids = [b.pk for b in changed]
    kept = [{"id": b.pk, "state": b.state, "problem": b.problem} for b in changed]
    _results(
        WRITE,
        {name: getattr(lot, name) for name in _LOT}
        | {"ids": ids, "bids": json.dumps(kept), "at": at},
    )
    tell(lot, changed, at, found.sources, by.correlation_id if by else "")
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


def look(lot: str) -> tuple[Terms | None, Standing, datetime]:
    """What the catalogue says about a lot, where its bidding stands, and the database's time.

    None where the catalogue has no such lot, or not all that bids take.
    """
    terms, stands, clock = _results((TERMS, STANDS, READ[-1]), {"lot": lot})
    row = AuctionLot(**dict(zip(_LOT, stands[0], strict=True))) if stands else None
    return (_terms(terms[0]) if terms else None), standing_of(row), clock[0][0]


def _terms(row: Sequence[Any]) -> Terms | None:
    key, opens_at, closes_at, currency, start_price, increment, reserve_price, status = row
    if None in (opens_at, closes_at, currency, start_price, increment, status):
        return None
    # Two bids never share a price, whatever the upstream says.
    unit = Decimal(1).scaleb(-DECIMALS.get(currency, 2))
    return Terms(
        key, opens_at, closes_at, currency, max(start_price, unit), max(increment, unit),
        reserve_price, status,
    )  # fmt: skip


def _known(terms: Terms | None, lot: str) -> Terms:
    if terms is None:
        raise Refused("lot_unknown", f"there is no lot {lot!r} that takes bids", parameter="lot")
    return terms


def _offer(bid: AuctionBid, committed: Mapping[str, Decimal]) -> Offer:
    return Offer(
        bid.bidder, bid.amount, bid.currency, bid.entered_at, bid.spendable,
        committed.get(bid.bidder, Decimal(0)),
    )  # fmt: skip


def _bid(row: Sequence[Any]) -> AuctionBid:
    said = dict(zip(_BID, row, strict=True))
    # Django leaves jsonb as text to those who ask for it themselves.
    problem = said.pop("problem")
    return AuctionBid(problem=json.loads(problem) if isinstance(problem, str) else problem, **said)


def _results(
    statements: Sequence[str], values: Mapping[str, Any], first: str = ""
) -> list[list[tuple[Any, ...]]]:
    """What each statement came to, in one trip; statements without rows come to none."""
    found: list[list[tuple[Any, ...]]] = []
    text = first + ";\n".join(call(statement, TYPES) for statement in statements)
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        # All has come by now: there is nothing for Django to translate any more.
        came = cursor.cursor
        if first:
            came.nextset()
        for statement in statements:
            if statement.lstrip().startswith("SELECT"):
                found.append(came.fetchall())
            came.nextset()
    return found
