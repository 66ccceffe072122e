"""`make bench-sync`: land the same pages with Headwater, dlt and Node, three times each.

Passes: first (an empty database), unchanged (the same pages again), changed (1 % differ). All
against one embedded PostgreSQL with the settings of `make run`. Prints a table, and as the last
line one line of JSON with every figure and ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests import services

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PASSES = (("first", 0), ("unchanged", 0), ("changed", 1))
Result = dict[str, Any]


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench-sync", description=__doc__)
    options.add_argument("--rows", type=int, default=137_000)
    options.add_argument("--only", choices=["headwater"], help="leave the peers out")
    given = options.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="headwater-bench-"))
    try:
        prepare_environment()
        with subprocess.Popen(
            [sys.executable, HERE / "upstream.py", str(given.rows)], stdout=subprocess.PIPE
        ) as upstream:
            try:
                assert upstream.stdout is not None
                base = f"http://127.0.0.1:{int(upstream.stdout.readline())}"
                report(measure(base, given, directory), given.rows)
            finally:
                upstream.terminate()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def prepare_environment() -> None:
    """One PostgreSQL for all, durable as in `make run`."""
    services.THROW_AWAY = {}
    services.pytest_addoption(None)  # type: ignore[arg-type]
    command = [sys.executable, "manage.py", "migrate", "--run-syncdb", "--verbosity=0"]
    settings = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings"}
    subprocess.run(command, cwd=ROOT, env=settings, check=True)


def measure(base: str, given: argparse.Namespace, directory: Path) -> dict[str, dict[str, Result]]:
    """Results by contestant and pass. The contestants take turns, pass by pass."""
    contestants = {"headwater": headwater}
    if given.only is None:
        contestants |= peers(directory)
    found: dict[str, dict[str, Result]] = {name: {} for name in contestants}
    for name, version in PASSES:
        for who, run in contestants.items():
            found[who][name] = run(base, version)
            print(f"  {who:<12} {name:<10} {rate(found[who][name]):>9,.0f} rows/s", flush=True)
    return found


def headwater(base: str, version: int) -> Result:
    return last_line([sys.executable, "-m", "tests.benchmarks.sync.headwater", base, str(version)])


def peers(directory: Path) -> dict[str, Any]:
    """Dlt in its two loader formats, and Node, where they can be had."""
    database = os.environ["DATABASE_URL"]
    found: dict[str, Any] = {}
    try:
        import dlt  # noqa: F401 (a peer, not a requirement)
    except ImportError:
        print("  dlt is not installed; `make bench-sync` installs it")
    else:

        def run_dlt(base: str, version: int) -> Result:
            script, state = str(HERE / "dlt_peer.py"), str(directory / "dlt")
            return last_line(
                [sys.executable, script, base, str(version), address(database), state, "csv"]
            )

        found["dlt"] = run_dlt
    if shutil.which("npm") is None:
        print("  Node is not installed; its column is left out")
        return found
    shutil.copy(HERE / "node_peer.mjs", directory)
    subprocess.run(
        ["npm", "install", "--silent", "--no-fund", "--no-audit", "pg@8", "zod@4"],
        cwd=directory, check=True,
    )  # fmt: skip

    def run_node(base: str, version: int) -> Result:
        script = str(directory / "node_peer.mjs")
        return last_line(["node", script, base, str(version), address(database)])

    found["node"] = run_node
    return found


def address(database: str) -> str:
    """The address in parts: the directory of a socket is no part of other drivers' URLs."""
    parts = urlsplit(database)
    host = parse_qs(parts.query).get("host", [parts.hostname or "127.0.0.1"])[0]
    return json.dumps(
        {
            "host": unquote(host),
            "port": parts.port or 5432,
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "database": parts.path.lstrip("/"),
        }
    )


def last_line(command: list[str]) -> Result:
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[1:3]} failed:\n{done.stdout[-1500:]}{done.stderr[-3000:]}")
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def rate(result: Result) -> float:
    return float(result["rows"] / result["seconds"])


def report(found: dict[str, dict[str, Result]], rows: int) -> None:
    ours = found["headwater"]
    check(ours, rows)
    print(f"\n  {rows:,} listings, rows a second\n")
    print(f"  {'':<12}" + "".join(f"{name:>12}" for name, _ in PASSES) + f"{'peak MB':>12}")
    for who, passes in found.items():
        rates = "".join(f"{rate(passes[name]):>12,.0f}" for name, _ in PASSES)
        print(f"  {who:<12}{rates}{max(p['megabytes'] for p in passes.values()):>12.0f}")
    ratios = {
        f"{name}_to_{who}": round(rate(ours[name]) / rate(found[who][name]), 2)
        for who in found
        if who != "headwater"
        for name, _ in PASSES
    }
    for name, ratio in ratios.items():
        print(f"  {name.replace('_', ' '):<24} {ratio:>8.2f}")
    print(json.dumps({"rows": rows, "results": found, "ratios": ratios}))


def check(ours: dict[str, Result], rows: int) -> None:
    """The figures count only if the work was done."""
    one_in_a_hundred = len(range(7, rows + 1, 100))
    expected = {
        "first": {"stored": rows, "revisions": rows, "source_records": rows, "entities": rows},
        "unchanged": {"stored": 0, "revisions": 0, "unchanged": rows},
        "changed": {"stored": one_in_a_hundred, "revisions": one_in_a_hundred},
    }
    for name, figures in expected.items():
        for figure, value in figures.items():
            if ours[name][figure] != value:
                sys.exit(f"headwater {name}: {figure} is {ours[name][figure]}, not {value}")


if __name__ == "__main__":
    main()
