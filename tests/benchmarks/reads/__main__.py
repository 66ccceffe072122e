"""`make bench-reads`: the same reads asked of Headwater and of what people would pick instead.

One PostgreSQL over TCP for all, two workers each, the contestants in turns, round by round. Prints
a table, and as the last line one line of JSON with every figure and ratio.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests import services
from tests.benchmarks.reads import contestants, data
from tests.benchmarks.reads.contestants import ROOT, WORKLOADS, Contestant
from tests.benchmarks.reads.measure import Load, Run, load, measured, started, stopped

Figures = dict[str, dict[str, Run]]
#: The same settings for everybody, sized for the data.
SETTINGS = {"listen_addresses": "127.0.0.1", "shared_buffers": "2GB", "work_mem": "32MB"}


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench-reads", description=__doc__)
    options.add_argument(
        "--products", type=int, default=137_000, help="at least 40,000 where there are peers"
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=6)
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=WORKLOADS)
    options.add_argument("--only", choices=["headwater"], help="leave the peers out")
    shared = Path(os.environ.get("HEADWATER_SHARED", ROOT.parent / "shared"))
    options.add_argument("--peers", type=Path, default=shared / "peers")
    given = options.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk sends the requests and is not installed (Debian: apt install wrk)")
    directory = Path(tempfile.mkdtemp(prefix="headwater-bench-"))
    try:
        address = prepare_environment()
        everybody, key = prepare_contestants(given, directory, address)
        figures = measure(everybody, given, directory, key)
        report(figures, given)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def prepare_environment() -> str:
    """PostgreSQL, durable as in `make run`, and the address that all use."""
    port = next(free_ports())
    # The address of an embedded PostgreSQL names no port; libpq takes it from here.
    os.environ["PGPORT"] = str(port)
    services.THROW_AWAY = {**SETTINGS, "port": str(port)}
    services.pytest_addoption(None)  # type: ignore[arg-type]
    parts = urlsplit(os.environ["DATABASE_URL"])
    place = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
    address = urlunsplit(parts._replace(netloc=place, query=""))
    os.environ |= {"DATABASE_URL": address, "HEADWATER_LOG_FORMAT": "json"}
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=ROOT, check=True)
    return address


def prepare_contestants(
    given: argparse.Namespace, directory: Path, address: str
) -> tuple[list[Contestant], str]:
    """Fill the databases and make everybody ready; the API key."""
    print(f"  {given.products:,} products", flush=True)
    data.fill(address, given.products)
    subprocess.run([sys.executable, "manage.py", "derived", "--mend"], cwd=ROOT, check=True)
    data.settle(address)
    issue = [sys.executable, "manage.py", "api_key", "benchmark"]
    key = subprocess.run(issue, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    ports = free_ports()
    skus, pages = contestants.sampled(*data.samples(address))
    everybody = contestants.headwater(next(ports), skus, pages)
    place = directory / "peers"
    if given.only is None and contestants.installed(given.peers, place):
        dsn = prepare_peers(address, place, given.products)
        everybody += contestants.peers(place, dsn, redis_over_tcp(next(ports), directory), ports)
    return everybody, key.strip().splitlines()[-1]


def prepare_peers(address: str, place: Path, products: int) -> str:
    """The peers' own tables, in a database beside ours."""
    with psycopg.connect(address, autocommit=True) as database:
        database.execute("CREATE DATABASE hub")
    dsn = urlunsplit(urlsplit(address)._replace(path="/hub"))
    seed = [sys.executable, "seed.py", dsn, str(products), str(place / "samples")]
    subprocess.run(seed, cwd=place, check=True, stdout=subprocess.DEVNULL)
    with psycopg.connect(dsn, autocommit=True) as database:
        database.execute((place / "postgraphile/functions.sql").read_text())
    return dsn


def redis_over_tcp(port: int, directory: Path) -> str:
    """A Valkey of the peers' own, since they know no Unix sockets."""
    from hub.launch import binaries

    command = [str(binaries.find_valkey()), "--bind", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--save", "", "--dir", str(directory)], stdout=subprocess.DEVNULL
    )
    atexit.register(stopped, process)
    for _ in range(100):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            break
        time.sleep(0.1)
    return f"redis://127.0.0.1:{port}"


def measure(
    everybody: list[Contestant], given: argparse.Namespace, directory: Path, key: str
) -> Figures:
    """Medians by workload and contestant."""
    figures: Figures = {}
    how = Load(given.seconds, given.connections, key)
    with psycopg.connect(os.environ["DATABASE_URL"]) as database:
        backend = database.execute("SELECT pg_backend_pid()").fetchone()
        assert backend is not None
        stat = Path(f"/proc/{backend[0]}/stat").read_text()
    postmaster = int(stat.rpartition(") ")[2].split()[1])
    for workload in given.workloads:
        taking_part = [who for who in everybody if workload in who.asks]
        runs: dict[str, list[Run]] = {who.name: [] for who in taking_part}
        lines = {who.name: directory / f"{who.name}.{workload}" for who in taking_part}
        processes = {}
        try:
            for who in taking_part:
                with lines[who.name].open("w") as file:
                    file.writelines(who.requests(workload))
                processes[who.name] = started(who, directory / f"{who.name}.log")
                load(who.port, lines[who.name], replace(how, seconds=3))  # to warm it
            for turn in range(given.rounds):
                first = turn % len(taking_part)
                for who in taking_part[first:] + taking_part[:first]:
                    pids = processes[who.name].pid, postmaster
                    told = measured(who, pids, lines[who.name], how)
                    runs[who.name].append(told)
        finally:
            for process in processes.values():
                stopped(process)
        figures[workload] = {name: median(found) for name, found in runs.items()}
        for name, run in figures[workload].items():
            print(line(workload, name, run), flush=True)
    return figures


def median(runs: list[Run]) -> Run:
    return Run(**{f.name: statistics.median(getattr(r, f.name) for r in runs) for f in fields(Run)})


def line(workload: str, name: str, run: Run) -> str:
    return (
        f"  {workload:<8} {name:<24} {run.rate:>8,.0f} /s   p50 {run.p50:>7.2f}  p99 {run.p99:>7.2f} ms"
        f"   CPU {run.application:>6.3f} + {run.database:>6.3f} ms"
        + ("  WRONG" if run.wrong else "")
    )


def report(figures: Figures, given: argparse.Namespace) -> None:
    """The ratios: requests a second, and CPU time a request of application and PostgreSQL."""
    print("\n  Headwater, times the peer       requests/s    CPU")
    told: dict[str, Any] = {"products": given.products, "workloads": {}}
    for workload, found in figures.items():
        ours = found["headwater"]
        ratios = {}
        for name, run in found.items():
            if name != "headwater":
                spent = (run.application + run.database) / (ours.application + ours.database)
                ratios[name] = {"rate": round(run_ratio(ours, run), 2), "cpu": round(spent, 2)}
                print(f"  {workload:<8} {name:<24} {ratios[name]['rate']:>6.2f} {spent:>8.2f}")
        runs = {name: asdict(run) for name, run in found.items()}
        told["workloads"][workload] = {"runs": runs, "ratios": ratios}
    print(json.dumps(told))


def run_ratio(ours: Run, peer: Run) -> float:
    return ours.rate / peer.rate


def free_ports() -> Iterator[int]:
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = int(listener.getsockname()[1])
        yield port


if __name__ == "__main__":
    main()
