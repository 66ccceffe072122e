"""`make drill`: a clean hour, then one fault after the other; who was blamed, and how soon.

    python -m tests.drill                                     all of it
    python -m tests.drill --only "slow answers,stuck cursor"  some faults, without the clean hour
    python -m tests.drill --list

Streams are read twenty times more often than in operation, so that in the clean three minutes as much is
read as in an hour. Detectors are not accelerated: they look as often as in operation. Exits with 1 where an
incident is opened while nothing is wrong, or fewer than nineteen in twenty faults are right. What had to be
closed by hand afterwards is said, and counts for neither. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from random import Random

from tests.drill.faults import FAULTS, Fault
from tests.drill.house import FASTER, DrillHouse
from tests.drill.judge import Result, judged, now, opened, settle

HOUR_SECONDS = 3600 / FASTER
#: Of the faults that are brought about.
BAR = 0.95


def main() -> None:
    given = _options()
    # What it asks for and meets stands in the table.
    logging.disable(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    began, random = time.monotonic(), Random(given.seed)
    chosen = [fault for fault in FAULTS if not given.only or fault.name in given.only]
    if not given.only:
        random.shuffle(chosen)
    results: list[Result] = []
    with DrillHouse(directory=given.logs) as house, house.traffic(given.seed):
        settle(house, "sap")
        clean = _clean(house, given.clean) if given.clean else []
        for fault in chosen:
            results.append(_strike(house, fault, random))
            print(_line(results[-1]), flush=True)
    right = sum(one.right for one in results)
    summary = {
        "holds": not clean and right >= BAR * len(results),
        "faults": len(results),
        "right": right,
        "false_in_the_clean_hour": clean,
        "faster": FASTER,
        "seconds": round(time.monotonic() - began, 1),
        "results": [one.as_json() for one in results],
    }
    print(f"\n{right} of {len(results)} right; {len(clean)} false in the clean hour\n")
    print(json.dumps(summary))
    if not summary["holds"]:
        sys.exit(1)


def _clean(house: DrillHouse, seconds: float) -> list[str]:
    """What was opened though nothing was wrong."""
    since = now(house)
    time.sleep(seconds)
    found = [
        f"{kind} of {system}: {title}" for _, kind, system, _, title, *_ in opened(house, since)
    ]
    print(f"  clean for {seconds:.0f} s ({seconds * FASTER / 60:.0f} minutes): {found or 'nothing'}",
          flush=True)  # fmt: skip
    settle(house, "sap")
    return found


def _strike(house: DrillHouse, fault: Fault, random: Random) -> Result:
    since = now(house)
    told = None
    try:
        told = fault.inject(house, random)
        result = judged(house, fault, since)
    except Exception as error:  # noqa: BLE001 (one fault that breaks takes no other with it)
        traceback.print_exc()
        result = Result(fault.name, (fault.system, fault.hop), error=str(error))
    try:
        fault.heal(house, told)
        result.green_after = settle(house, fault.system)
    except Exception as error:  # noqa: BLE001 (the same)
        traceback.print_exc()
        result.error = result.error or str(error)
    return result


def _line(one: Result) -> str:
    found = "nothing" if one.found is None else f"{one.found[0]}/{one.found[1] or '?'}"
    seconds = "" if one.seconds is None else f"{one.seconds:.1f} s"
    line = (
        f"  {one.fault:<32}{'/'.join(one.expected):<24}{found:<24}{seconds:>8}"
        f"  {'right' if one.right else 'WRONG'}  {one.kind}"
    )
    said = [f"      beside it: {other}" for other in one.others]
    if one.green_after is None:
        said.append("      not green again by itself: what was open was closed by hand")
    return "\n".join([line, *said])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--only", type=lambda s: s.split(","), default=[])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--clean", type=float, help="seconds without a fault, before")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--logs", type=Path, help="where the logs of the house are kept")
    given = parser.parse_args()
    if given.clean is None:
        given.clean = 0 if given.only else HOUR_SECONDS
    if given.list:
        print("\n".join(f"{f.name}: {f.system}, {f.hop}" for f in FAULTS))
        sys.exit()
    if unknown := set(given.only) - {fault.name for fault in FAULTS}:
        parser.error(f"no fault {', '.join(sorted(unknown))}; --list names them")
    return given


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.drill.settings")
    main()
