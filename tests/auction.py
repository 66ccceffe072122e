"""What must hold of a lot whatever happened: checked from what is stored and served, by a replay.

The replay knows the rules of an auction from the lot's terms alone, and nothing of our code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

from django.db import connection

BIDS = """
SELECT sequence, reference, bidder, amount, state, problem ->> 'code' AS code, entered_at, payment,
       problem ->> 'next_allowed' AS next_allowed
FROM connectors_auctionbid WHERE lot = %s ORDER BY sequence"""
SERVED = """
SELECT sequence, bidder_id AS bidder, amount, status, reason
FROM catalog_bid WHERE lot_id = %s AND deleted_at IS NULL ORDER BY sequence"""
LOT = """
SELECT current_price, leading_bidder_id AS leader, bid_count, status, start_price, increment,
       provenance ? 'bid_count' AS sourced
FROM catalog_lot WHERE key = %s"""
RELEASES = """
SELECT params ->> 'bid' AS bid, params ->> 'payment' AS payment FROM connectors_command
WHERE operation = 'bid.release'"""
UNSOURCED = """
SELECT count(*) FROM catalog_bid b, jsonb_each_text(b.provenance) p
LEFT JOIN catalog_sourcerecord r ON r.id = p.value::bigint
LEFT JOIN catalog_source s ON s.id = r.source_id
WHERE b.lot_id = %s AND s.system IS DISTINCT FROM 'headwater'"""


Rows = list[dict[str, Any]]


def asked(statement: str, *values: Any) -> Rows:
    """Rows of the tests' own database."""
    with connection.cursor() as cursor:
        return rows_of(cursor, statement, values)


def rows_of(cursor: Any, statement: str, values: Any) -> Rows:
    """Rows as dictionaries."""
    cursor.execute(statement, values)
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def broken(lot: str, ask: Callable[..., Rows] = asked) -> list[str]:
    """What does not hold, in words; empty where all does."""
    rows, served = ask(BIDS, lot), ask(SERVED, lot)
    (row,) = ask(LOT, lot)
    wrong = _numbers(rows) + _replayed(rows, row) + _as_served(rows, served, row)
    released = Counter(one["payment"] for one in ask(RELEASES))
    for bid in rows:
        due = int(bid["state"] in {"outbid", "unsold"})
        if released[bid["payment"]] != due:
            wrong.append(f"{bid['sequence']}: released {released[bid['payment']]} times, not {due}")
    if ask(UNSOURCED, lot)[0]["count"]:
        wrong.append("a served value has no source record of ours")
    return wrong


def _numbers(rows: Rows) -> list[str]:
    wrong = []
    if [bid["sequence"] for bid in rows] != list(range(1, len(rows) + 1)):
        wrong.append("the numbers have gaps")
    if any(a["entered_at"] > b["entered_at"] for a, b in pairwise(rows)):
        wrong.append("a later number has an earlier time")
    if len({bid["reference"] for bid in rows}) != len(rows):
        wrong.append("a command placed two bids")
    return wrong


def _replayed(rows: Rows, lot: dict[str, Any]) -> list[str]:
    wrong: list[str] = []
    price, leader = None, ""
    accepted: Rows = []
    for bid in rows:
        least = lot["start_price"] if price is None else price + lot["increment"]
        wrong += _misjudged(bid, least, leader)
        if bid["state"] not in {"rejected", "entered"}:
            price, leader = bid["amount"], bid["bidder"]
            accepted.append(bid)
    if len({bid["amount"] for bid in accepted}) != len(accepted):
        wrong.append("two accepted bids have one price")
    if [b["state"] for b in accepted[:-1]] != ["outbid"] * len(accepted[:-1]):
        wrong.append("an earlier bid is not outbid")
    if accepted and accepted[-1]["state"] not in {"leading", "won", "unsold"}:
        wrong.append("nobody leads")
    if (lot["current_price"], lot["leader"] or "", lot["bid_count"] or 0) != (
        price, leader, len(accepted),
    ):  # fmt: skip
        wrong.append(f"the lot is served as {lot}, not {price} of {leader}")
    return wrong


def _misjudged(bid: dict[str, Any], least: Decimal, leader: str) -> list[str]:
    """What is wrong with one verdict, where the lot stood so."""
    said = f"{bid['sequence']}: {bid['state']} {bid['code']} of {bid['bidder']} for {bid['amount']}"
    if bid["state"] == "entered":
        return [f"{said}: was never decided"]
    if bid["code"] == "bid_too_low" and Decimal(bid["next_allowed"]) != least:
        return [f"{said}: told {bid['next_allowed']}, not {least}"]
    if bid["code"] not in {None, "already_leading", "bid_too_low"}:
        return []
    expected = bid["amount"] >= least and bid["bidder"] != leader
    return (
        [] if (bid["state"] != "rejected") is expected else [f"{said}: {leader} led, {least} next"]
    )


def _as_served(rows: Rows, served: Rows, lot: dict[str, Any]) -> list[str]:
    decided = [(b["sequence"], b["bidder"], b["amount"], b["state"], b["code"]) for b in rows]
    shown = [tuple(bid.values()) for bid in served]
    wrong = (
        [] if decided == shown else [f"served {len(shown)} bids, not the {len(decided)} decided"]
    )
    if rows and not lot["sourced"]:
        wrong.append("the lot's standing has no source")
    return wrong
