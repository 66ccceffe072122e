"""Two hundred bidders on one lot, over HTTP, while processes are killed: what must hold, holds.

Each bid is asked under one idempotency key until its answer is definite. Afterwards the answers, the
lot, the catalogue, the commands and the payment provider must tell one and the same story.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from itertools import islice
from random import Random
from typing import Any

import requests

from tests import auction, bidding
from tests.bidding import Answered, Room
from tests.faults import faults
from tests.faults.house import House
from tests.faults.measure import percentile
from tests.faults.traffic import Outcome
from tests.processes import until

BIDDERS, LOT, SKU = 200, "L-9001", "P-000001-01"
START, INCREMENT = "1.00", "0.10"
#: The house has a quarter as many customers as products.
PRODUCTS = 1400
KINDS: Sequence[Callable[[House, Random], None]] = (faults.kill_web_worker, faults.kill_worker)
OPEN = """
SELECT count(*) FROM connectors_command WHERE state IN ('accepted', 'sent', 'acknowledged')"""
PLACED = """
SELECT state, status, reference FROM connectors_command WHERE operation = 'bid.place'"""
FAILED = "SELECT count(*) FROM connectors_command WHERE state = 'failed'"


def bids(house: House, sizes: Any) -> Outcome:
    """`events` bids by 200 bidders on one lot; `times` kills of a web or a worker process."""
    outcome = Outcome("bids")
    bidders = list(islice(bidding.solvent(PRODUCTS, 1000), BIDDERS))
    bidding.lots(house.sandbox, [LOT], SKU, START, INCREMENT)
    until("the lot", lambda: asked(house, auction.LOT, LOT), 60)
    room = Room(Decimal(INCREMENT), {LOT: Decimal(START)})
    stop, dice = threading.Event(), Random(sizes.seed)
    killer = threading.Thread(target=_kill, args=(house, dice, sizes.times, stop))
    killer.start()
    try:
        answers = bidding.bid(
            house.port, house.api_key, room, bidders, sizes.events, seed=sizes.seed
        )
    finally:
        stop.set()
        killer.join()
    seconds = until("end of all commands", lambda: not asked(house, OPEN)[0]["count"], 300)
    outcome.against += auction.broken(LOT, partial(asked, house)) + _answers(house, answers)
    outcome.against += _payments(house)
    outcome.figures = _figures(answers, len(bidders)) | {"settled_seconds": round(seconds, 1)}
    return outcome


def asked(house: House, statement: str, *values: Any) -> auction.Rows:
    with house.database().cursor() as cursor:
        return auction.rows_of(cursor, statement, values)


def _kill(house: House, dice: Random, times: int, stop: threading.Event) -> None:
    for _ in range(times):
        if stop.wait(dice.uniform(2, 6)):
            return
        dice.choice(KINDS)(house, dice)


def _answers(house: House, answers: Sequence[Answered]) -> list[str]:
    """Every bid has one command, and its answer is what was decided."""
    wrong: list[str] = []
    placed = {row["reference"]: row for row in asked(house, PLACED)}
    decided = {row["reference"]: row for row in asked(house, auction.BIDS, LOT)}
    if len(placed) != len(answers):
        wrong.append(f"{len(answers)} bids became {len(placed)} commands")
    accepted = sum(row["state"] != "rejected" for row in decided.values())
    said = sum(answer.status == 201 for answer in answers)
    if accepted != said:
        wrong.append(f"{said} bidders were told yes, {accepted} bids were accepted")
    wrong += [
        f"bid {one.number} was answered {one.status} {one.code}"
        for one in answers
        if one.status not in {201, 422}
    ]
    for reference, row in placed.items():
        bid = decided.get(reference)
        fine = "confirmed" if bid and bid["state"] != "rejected" else "refused"
        if row["state"] != fine:
            wrong.append(f"{reference} is {row['state']}, its bid {bid and bid['state']}")
    if failed := asked(house, FAILED)[0]["count"]:
        wrong.append(f"{failed} commands failed")
    return wrong


def _payments(house: House) -> list[str]:
    """At the provider: no key did a thing twice, and only the leader's money is held."""
    told = requests.get(f"{house.sandbox}/_control/references/stripe?many", timeout=30).json()
    wrong = [f"done more than once at the provider: {told['references']}"] * bool(
        told["references"]
    )
    held = [p["id"] for p in _intents(house) if p["status"] == "requires_capture"]
    leading = [
        row["payment"]
        for row in asked(house, auction.BIDS, LOT)
        if row["state"] in {"leading", "won"}
    ]
    if sorted(held) != sorted(leading):
        wrong.append(f"{len(held)} payments are held, {len(leading)} are of leading bids")
    return wrong


def _intents(house: House) -> list[dict[str, Any]]:
    """The payments of our commands."""
    found: list[dict[str, Any]] = []
    query = {"limit": "100"}
    while True:
        page = requests.get(
            f"{house.sandbox}/v1/payment_intents", params=query, timeout=30,
            headers={"Authorization": "Bearer sk_test_headwater"},
        ).json()  # fmt: skip
        found += [p for p in page["data"] if p["metadata"].get("headwater_key")]
        if not page["has_more"]:
            return found
        query["starting_after"] = page["data"][-1]["id"]


def _figures(answers: Sequence[Answered], bidders: int) -> dict[str, Any]:
    taken = sorted(answer.seconds for answer in answers)
    return {
        "events": len(answers),
        "bidders": bidders,
        "answers": dict(Counter(f"{a.status} {a.code}" for a in answers)),
        "asked_again": sum(answer.tries > 1 for answer in answers),
        "p50_ms": round(percentile(taken, 0.5) * 1000, 1),
        "p99_ms": round(percentile(taken, 0.99) * 1000, 1),
    }
