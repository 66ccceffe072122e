"""`make bench-contracts`: pages of 1,000 records validated and mapped, in records a second.

Beside each other, from the page's text to entity fields:
    headwater  as a pull reads it: records split, read by their contract, mapped
    loop       json.loads, then `model_validate` of each record, mapped
    zod        JSON.parse, then Zod's array of the same contract, mapped (Node)
    zod_parsed the same without JSON.parse, for the record: no contestant of ours starts there
    json_parse Node's JSON.parse alone, neither validated nor mapped: how far the bar can be met

Ours runs as in a pull, which lets the collector of cycles run seldom (connectors/runtime/
interpreter.py); the loop with Python's defaults. Processor time counts, and the best page of each:
on a shared machine the clock and the other pages measure the neighbours. Prints a table, and as
the last line one line of JSON with every figure and ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BAR = 5.0
PAGES = 8
Rates = dict[str, dict[str, float]]


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench-contracts", description=__doc__)
    options.add_argument("--seconds", type=float, default=1.0, help="for each case and contestant")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.typing_settings"  # no database is opened
    import django

    django.setup()
    from connectors.runtime.interpreter import with_threads
    from tests.benchmarks.contracts.pages import CASES, page

    pages = {name: [page(name, number) for number in range(PAGES)] for name in CASES}
    rates: Rates = {name: {} for name in CASES}
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as directory:
        zod = zod_peer(Path(directory), pages)
        for _ in range(given.rounds):
            for name, (connector, stream, _) in CASES.items():
                for who, work in ours(connector, stream, pages[name][0]).items():
                    with with_threads() if who == "headwater" else nullcontext():
                        keep(rates[name], who, best(work, pages[name], given.seconds))
            if zod is not None:
                for name, figures in zod(given.seconds).items():
                    for who in ("zod", "zod_parsed", "json_parse"):
                        keep(rates[name], who, figures[who])
    report(rates)


def keep(row: dict[str, float], who: str, rate: float) -> None:
    row[who] = max(row.get(who, 0.0), rate)


def ours(connector: str, stream: str, page: bytes) -> dict[str, Callable[[bytes], Any]]:
    """Both ways in Python, which must come to the same."""
    import msgspec

    from connectors.runtime.connector import connector_class
    from connectors.runtime.reading import Reader

    spec = connector_class(connector).stream(stream)
    reader, split = Reader(spec.contract), msgspec.json.Decoder(list[msgspec.Raw]).decode

    def told(record: Any) -> Any:
        if not spec.children:
            return spec.mapped(record)
        (child,) = spec.children
        shared = {name: read(record) for name, read in child.parent_readers}
        lines = [{**shared, **child.mapped(line)} for line in record.to_Item.results]
        return [spec.mapped(record), *lines]

    def headwater(text: bytes) -> list[Any]:
        records = split(text)
        return [told(one) for one in (reader.page(records) or map(reader.one, records))]

    def loop(text: bytes) -> list[Any]:
        return [told(spec.contract.model_validate(record)) for record in json.loads(text)]

    assert headwater(page) == loop(page)
    return {"headwater": headwater, "loop": loop}


def best(work: Callable[[bytes], Any], pages: list[bytes], seconds: float) -> float:
    least, end, number = float("inf"), time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        text = pages[number % len(pages)]
        began = time.process_time()
        work(text)
        least = min(least, time.process_time() - began)
        number += 1
    return 1000 / least


def zod_peer(
    directory: Path, pages: dict[str, list[bytes]]
) -> Callable[[float], dict[str, Any]] | None:
    """Node with Zod, where both can be had."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        print("  Node is not installed; Zod's column is left out")
        return None
    install = ["npm", "install", "--silent", "--no-fund", "--no-audit", "zod@4"]
    if subprocess.run(install, cwd=directory, check=False).returncode:
        print("  zod could not be installed; its column is left out")
        return None
    shutil.copy(HERE / "zod_peer.mjs", directory)
    files = []
    for name, texts in pages.items():
        for number, text in enumerate(texts):
            files.append(directory / f"{name.replace(' ', '_')}_{number}.json")
            files[-1].write_bytes(text)

    def run(seconds: float) -> dict[str, Any]:
        command = ["node", str(directory / "zod_peer.mjs"), str(seconds), *map(str, files)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"Zod's peer failed:\n{done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


def report(rates: Rates) -> None:
    names = list(dict.fromkeys(who for row in rates.values() for who in row))
    print("\n  records a second of processor time, from the page's text to entity fields\n")
    print(f"  {'':<20}" + "".join(f"{who:>13}" for who in names) + f"{'to loop':>10}{'to zod':>10}")
    ratios: Rates = {}
    for name, row in rates.items():
        ratios[name] = {
            who: round(row["headwater"] / row[who], 2) for who in names if who != "headwater"
        }
        told = "".join(f"{row[who]:>13,.0f}" for who in names)
        ends = "".join(f"{ratios[name].get(who, 0):>10.2f}" for who in ("loop", "zod"))
        print(f"  {name:<20}{told}{ends}")
    worst = min((row["zod"] for row in ratios.values() if "zod" in row), default=None)
    if worst is not None:
        print(f"\n  the bar is {BAR} x zod; the worst is {worst:.2f} x")
    figures = {name: {who: round(rate) for who, rate in row.items()} for name, row in rates.items()}
    print(json.dumps({"records_per_second": figures, "ratios": ratios, "bar": BAR, "worst": worst}))


if __name__ == "__main__":
    main()
