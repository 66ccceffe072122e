"""`make bench-writes`: a bid through all its steps, at a hundred a second, the upstreams 20 ms away each.

The house is what `make run` starts; the sandbox takes 20 ms for each answer of SAP (the bidder's limit) and of
Stripe (the pre-authorisation). They are asked one after the other, because no money is held for whom the
limit stops: 40 ms of each answer are theirs, the rest is our own share. Bids are sent at fixed times, whatever
the answers take, and a bid that waits for a free connection waits on the clock. Measured twice: on a lot for
each of fifty auctions, and on a single lot, where every bid meets all others. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import requests

from tests import auction, bidding
from tests.bidding import Answered, Room
from tests.faults import points
from tests.faults.bids import OPEN, PRODUCTS, SKU, asked
from tests.faults.house import House, descendants
from tests.faults.measure import percentile
from tests.processes import until

UPSTREAMS = ("sap", "stripe", "salesforce", "wms")
#: One of these waits for the other: the longest path of a bid.
IN_TURN = ("sap", "stripe")
START, INCREMENT = "1.00", "0.10"
BAR_MS = 200.0
STEPS = """
SELECT s.name, round(avg(extract(epoch FROM s.finished_at - s.started_at) * 1000)::numeric, 1) AS ms
FROM connectors_commandstep s JOIN connectors_command c ON c.id = s.command_id
WHERE c.operation = 'bid.place' AND c.status = 201 GROUP BY 1"""


class Unpointed(House):
    """Without the points of the fault tests, each of which looks for a file whenever it is passed."""

    @property
    def environment(self) -> dict[str, str]:
        told = super().environment
        return {name: value for name, value in told.items() if name != points.VARIABLE}


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench-writes", description=__doc__)
    options.add_argument("--rate", type=float, default=100.0, help="bids a second")
    options.add_argument("--seconds", type=float, default=30.0, help="of each measurement")
    options.add_argument("--lots", type=int, default=50)
    options.add_argument("--latency", type=float, default=20.0, help="of an upstream, milliseconds")
    options.add_argument("--threads", type=int, default=64)
    given = options.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.faults.settings")
    with Unpointed(products=PRODUCTS) as house:
        for system in UPSTREAMS:
            requests.put(
                f"{house.sandbox}/_control/latency/{system}",
                json={"milliseconds": given.latency}, timeout=10,
            ).raise_for_status()  # fmt: skip
        many = [f"L-8{number:03d}" for number in range(given.lots)]
        found = {
            f"{given.lots} lots": measured(house, many, given, seed=1),
            "one lot": measured(house, ["L-7000"], given, seed=2),
        }
        steps = {row["name"]: float(row["ms"]) for row in asked(house, STEPS)}
    report(found, steps, given)


def measured(
    house: House, lots: Sequence[str], given: argparse.Namespace, seed: int
) -> dict[str, Any]:
    """Bids at the given rate on these lots, after some that warm up."""
    bidding.lots(house.sandbox, lots, SKU, START, INCREMENT)
    until("the lots", lambda: all(asked(house, auction.LOT, lot) for lot in lots), 120)
    room = Room(Decimal(INCREMENT), {lot: Decimal(START) for lot in lots})
    bidders = list(islice(bidding.solvent(PRODUCTS, 1000), 200))
    run = partial(
        bidding.bid, house.port, house.api_key, room, bidders, rate=given.rate,
        threads=given.threads,
    )  # fmt: skip
    run(int(given.rate * 2), seed=seed + 100)
    before = processor(house)
    answers = run(int(given.rate * given.seconds), seed=seed)
    until("end of all commands", lambda: not asked(house, OPEN)[0]["count"], 300)
    after = processor(house)
    wrong = [text for lot in lots for text in auction.broken(lot, partial(asked, house))]
    if wrong:
        raise SystemExit("\n".join(wrong[:20]))
    cost = {name: (after[name] - before[name]) * 1000 / len(answers) for name in after}
    return figures(answers, given) | {"cpu_ms": {n: round(ms, 1) for n, ms in cost.items()}}


def processor(house: House) -> dict[str, float]:
    """Seconds of processor time that the house has had, by what spent them."""
    postgres = house.postgres.process
    roots = {name: house.pid(name) for name in ("web", "workers", "sandbox")}
    roots["postgres"] = postgres.pid if postgres else None
    return {name: _spent(pid) if pid else 0.0 for name, pid in roots.items()}


def _spent(pid: int) -> float:
    ticks = 0
    for one in (pid, *descendants(pid)):
        with suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(fields[place]) for place in (11, 12, 13, 14))
    return ticks / os.sysconf("SC_CLK_TCK")


def figures(answers: Sequence[Answered], given: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of the bids that went through all steps; what became of the others."""
    whole = sorted(one.seconds * 1000 for one in answers if one.status == 201)
    path = given.latency * len(IN_TURN)
    shares = [taken - path for taken in whole]
    return {
        "bids": len(answers),
        "accepted": len(whole),
        "p50": round(percentile(whole, 0.5), 1),
        "p99": round(percentile(whole, 0.99), 1),
        "own_p50": round(percentile(shares, 0.5), 1),
        "own_p99": round(percentile(shares, 0.99), 1),
        "answers": dict(Counter(f"{one.status} {one.code}" for one in answers)),
    }


def report(
    found: dict[str, dict[str, Any]], steps: dict[str, float], given: argparse.Namespace
) -> None:
    print(f"\n  {given.rate:g} bids a second, {given.latency:g} ms an upstream; milliseconds\n")
    print(f"  {'':<10}{'accepted':>10}{'p50':>9}{'p99':>9}{'own p50':>9}{'own p99':>9}")
    for name, row in found.items():
        print(
            f"  {name:<10}{row['accepted']:>10,}{row['p50']:>9.1f}{row['p99']:>9.1f}"
            f"{row['own_p50']:>9.1f}{row['own_p99']:>9.1f}"
        )
    print("\n  steps, on average: " + ", ".join(f"{n} {ms:g}" for n, ms in sorted(steps.items())))
    for name, row in found.items():
        cost = ", ".join(f"{who} {ms:g}" for who, ms in row["cpu_ms"].items())
        print(f"  processor time a bid, {name}: {cost}")
    within = all(row["p99"] < BAR_MS for row in found.values())
    print(json.dumps({"results": found, "steps": steps, "bar_ms": BAR_MS, "within": within}))


if __name__ == "__main__":
    main()
