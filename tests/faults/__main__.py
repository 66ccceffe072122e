"""`make faults`: the house under every fault, one scenario after the other.

    python -m tests.faults                                  all, at their full size (hours)
    python -m tests.faults --only worker-kills,stops        some
    python -m tests.faults --only mix --events 2000         smaller
    python -m tests.faults --only worker-kills --peer       beside plain django-q2

Z must hold and nobody may see a 500, or it exits with 1. A time over its bar is shown, and fails
only with --strict: the bars are for a quiet machine. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.faults import bids, scenarios
from tests.faults.house import House
from tests.faults.peer.kills import peer
from tests.faults.scenarios import Sizes
from tests.faults.traffic import Outcome
from tests.faults.upstream_faults import upstream_faults
from tests.faults.writes import writes

Scenario = Callable[[House, Sizes], Outcome]

SCENARIOS: dict[str, tuple[Scenario, Sizes]] = {
    "mix": (scenarios.mix, Sizes(events=10_000, times=1)),
    "worker-kills": (scenarios.worker_kills, Sizes(events=100_000, times=100)),
    "house-kills": (scenarios.house_kills, Sizes(times=30)),
    "stops": (scenarios.stops, Sizes(times=100)),
    "valkey": (scenarios.valkey, Sizes(times=20, seconds=300)),
    "postgres": (scenarios.postgres, Sizes(times=20)),
    "frozen": (scenarios.frozen_processes, Sizes(times=2)),
    "crash-points": (scenarios.crash_points, Sizes(times=20)),
    "poison": (scenarios.poison, Sizes(events=6_000)),
    "upstream-faults": (upstream_faults, Sizes()),
    "bids": (bids.bids, Sizes(events=5_000, times=20)),
    "writes": (writes, Sizes(events=10_000, times=10)),
}
#: Beside them, where it is asked for.
PEER = {"peer": (peer, Sizes(events=10_000, times=20))}


def main() -> None:
    given = _options()
    # `timeout` and CI end a run so: the house is cleared away then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    began = time.monotonic()
    outcomes: list[Outcome] = []
    products = bids.PRODUCTS if "bids" in given.only else 20
    with House(products, directory=given.logs) as house:
        for name in given.only:
            outcomes.append(_run(house, name, given))
            print(_line(outcomes[-1]), flush=True)
    found = {outcome.name: outcome.as_json() for outcome in outcomes}
    summary = {
        "holds": all(outcome.correct for outcome in outcomes),
        "in_time": all(outcome.in_time for outcome in outcomes),
        "seconds": round(time.monotonic() - began, 1),
        "scenarios": found,
    }
    print(f"\n{_table(outcomes)}\n")
    print(json.dumps(summary))
    if not summary["holds"] or (given.strict and not summary["in_time"]):
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", type=lambda s: s.split(","), help=", ".join(SCENARIOS))
    parser.add_argument("--events", type=int, help="events of a scenario that counts them")
    parser.add_argument("--times", type=int, help="how often its fault is injected")
    parser.add_argument("--seconds", type=float, help="how long something stays away")
    parser.add_argument("--peer", action="store_true", help="kill plain django-q2's workers, too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--strict", action="store_true", help="fail for a time over its bar, too")
    parser.add_argument("--logs", type=Path, help="where the logs of the house are kept")
    given = parser.parse_args()
    given.only = given.only or list(SCENARIOS)
    SCENARIOS.update(PEER)
    if given.peer and "peer" not in given.only:
        given.only.append("peer")
    if unknown := set(given.only) - SCENARIOS.keys():
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    return given


def _run(house: House, name: str, given: argparse.Namespace) -> Outcome:
    scenario, sizes = SCENARIOS[name]
    told = {k: v for k in ("events", "times", "seconds") if (v := getattr(given, k)) is not None}
    began = time.monotonic()
    try:
        outcome = scenario(house, replace(sizes, seed=given.seed, **told))
    except Exception as error:  # noqa: BLE001 (one scenario that breaks takes no other with it)
        traceback.print_exc()
        outcome = Outcome(name, against=[f"{type(error).__name__}: {error}"])
    outcome.seconds = time.monotonic() - began
    return outcome


def _line(outcome: Outcome) -> str:
    said = [
        f"  {outcome.name:<14}{'holds' if outcome.correct else 'BROKEN':<8}{outcome.seconds:7.0f} s"
    ]
    if outcome.verdict:
        said += [
            f"    wrong: {kind}: {len(w)}, as {w[:3]}" for kind, w in outcome.verdict.wrong.items()
        ]
    said += [f"    against: {text}" for text in outcome.against]
    said.append(f"    {outcome.figures}")
    return "\n".join(said)


def _table(outcomes: list[Outcome]) -> str:
    lines = [f"  {'scenario':<14}{'Z':<8}{'events':>9}{'seconds':>9}  bars"]
    for outcome in outcomes:
        bars = "; ".join(
            f"{b.what} {b.value:.2f} of {b.most:g}{'' if b.holds else ' OVER'}"
            for b in outcome.bars
        )
        events = outcome.figures.get("events", "")
        lines.append(
            f"  {outcome.name:<14}{'holds' if outcome.correct else 'BROKEN':<8}{events:>9}"
            f"{outcome.seconds:>9.0f}  {bars}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    # The model reads times that the connector's module computes; nothing here needs a database.
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.faults.settings")
    main()
