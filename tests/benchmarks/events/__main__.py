"""`make bench-events`: webhooks from POST to the committed row, Headwater beside BullMQ.

Idle: one event at a time, a pause between them; the time from the POST to the row as another
session reads it, and for Headwater also to the value in GraphQL's answer. Saturated: events over
32 connections as fast as they are accepted; events a second from the first POST to the last
committed row. Headwater verifies the signature, keeps the event, merges, and writes provenance,
history and a notice; BullMQ upserts the row. One embedded PostgreSQL, durable as in `make run`, and
one Valkey for both. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import requests

from tests.benchmarks.events.sender import send_all
from tests.benchmarks.sync.__main__ import ROOT, address, prepare_environment
from tests.processes import free_port, until

HERE = Path(__file__).resolve().parent
SECRET = "whsec_YmVuY2htYXJrLXNlY3JldC0wMDE="
CONNECTIONS = 32
Figures = dict[str, float]


@dataclass(frozen=True)
class Contestant:
    name: str
    port: int
    request: Callable[[int, int, int], bytes]
    #: SQL: the quantity of item %s, and how many items have been written since %s.
    quantity: str
    written: str
    prepare: Callable[[psycopg.Connection[Any], int], None]


def record(item: int, quantity: int, number: int) -> dict[str, Any]:
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number)
    return {"id": item, "qty": quantity, "price": "12.30", "updated_at": moment.isoformat()}


def post(port: int, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"{lines}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def running(commands: Sequence[tuple[dict[str, str], list[str]]], log: Path) -> Iterator[None]:
    """Processes in sessions of their own, ended with all their children."""
    with log.open("ab") as output:
        started = [
            subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **more}, stdout=output, stderr=output,
                start_new_session=True,
            )
            for more, command in commands
        ]  # fmt: skip
        try:
            yield
        finally:
            for process in started:
                process.terminate()
            for process in started:
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    print("  a process had to be killed", file=sys.stderr)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


# --- measuring ----------------------------------------------------------------------------------


def idle(who: Contestant, database: psycopg.Connection[Any], events: int, start: int) -> Figures:
    """Milliseconds from a POST to the row that another session reads."""
    link = socket.create_connection(("127.0.0.1", who.port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    taken = []
    for number in range(start, start + events):
        item, quantity = number % 97 + 1, 1_000_000 + number
        message = who.request(item, quantity, 10_000_000 + number)
        began = time.perf_counter()
        link.sendall(message)
        answer = link.recv(65536)
        if not answer.startswith(b"HTTP/1.1 202"):
            sys.exit(f"{who.name} answered {answer[:300]!r}")
        while database.execute(who.quantity, [item]).fetchone() != (quantity,):
            if time.perf_counter() - began > 10:
                sys.exit(f"{who.name}: event {number} was not applied within 10 s")
        taken.append((time.perf_counter() - began) * 1000)
        time.sleep(0.01)
    link.close()
    return percentiles(taken[events // 10 :])


def visible(who: Contestant, port: int, key: str, events: int, start: int) -> Figures:
    """Milliseconds from a POST to the value in GraphQL's answer."""
    session, taken = requests.Session(), []
    session.headers["Authorization"] = f"Bearer {key}"
    link = socket.create_connection(("127.0.0.1", who.port))
    query = "query($id: String!) { item(id: $id) { quantity } }"
    for number in range(start, start + events):
        item, quantity = number % 97 + 1, 2_000_000 + number
        question = {"query": query, "variables": {"id": str(item)}}
        message = who.request(item, quantity, 40_000_000 + number)
        began = time.perf_counter()
        link.sendall(message)
        link.recv(65536)
        while True:
            found = session.post(f"http://127.0.0.1:{port}/graphql", json=question, timeout=5)
            if found.json()["data"]["item"]["quantity"] == quantity:
                break
            if time.perf_counter() - began > 10:
                sys.exit(f"event {number} was not visible within 10 s: {found.text[:200]}")
        taken.append((time.perf_counter() - began) * 1000)
        time.sleep(0.01)
    link.close()
    return percentiles(taken[events // 10 :])


def saturated(
    who: Contestant, database: psycopg.Connection[Any], events: int, items: int, start: int
) -> Figures:
    """Events a second from the first POST to the last committed row."""
    messages = [
        who.request((start + n * 7919) % items + 1, n, 30_000_000 + start + n)
        for n in range(events)
    ]
    row = database.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    began = time.perf_counter()
    accepting = send_all(who.port, messages, CONNECTIONS)

    def done() -> bool:
        found = database.execute(who.written, [row[0]]).fetchone()
        return found is not None and found[0] >= events

    until("committed rows", done, seconds=120)
    seconds = time.perf_counter() - began
    return {"accepted": events / accepting, "committed": events / seconds}


def percentiles(taken: list[float]) -> Figures:
    ordered = sorted(taken)
    return {"p50": statistics.median(ordered), "p99": ordered[int(len(ordered) * 0.99)]}


# --- contestants --------------------------------------------------------------------------------


@contextmanager
def headwater(directory: Path) -> Iterator[tuple[Contestant, str]]:
    from connectors.webhooks.schemes import standard_signature

    port = free_port()
    bench = {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings", "PORT": str(port)}
    connected = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.events.connect", SECRET],
        cwd=ROOT, env={**os.environ, **bench}, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    web = [
        sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1", f"--port={port}",
        "--workers=1", "--blocking-threads=8", "--no-ws", "--log-level=warning",
        "hub.wsgi:application",
    ]  # fmt: skip
    workers = [sys.executable, "manage.py", "workers"]
    stamp = int(time.time())

    def request(item: int, quantity: int, number: int) -> bytes:
        body = json.dumps({"data": record(item, quantity, number)}).encode()
        name = f"msg_{number}"
        signature = standard_signature(name, stamp, body, [SECRET])
        return post(
            port,
            "/hooks/bench/",
            body,
            {"webhook-id": name, "webhook-timestamp": str(stamp), "webhook-signature": signature},
        )

    def prepare(database: psycopg.Connection[Any], items: int) -> None:
        send_all(port, [request(n + 1, 0, n) for n in range(items)], CONNECTIONS)
        rows = "SELECT count(*) FROM listings_item"
        until("items", lambda: database.execute(rows).fetchone() == (items,), seconds=300)
        database.execute("VACUUM ANALYZE")

    who = Contestant(
        "headwater",
        port,
        request,
        "SELECT quantity FROM listings_item WHERE number = %s",
        "SELECT count(*) FROM connectors_inboxevent WHERE received_at >= %s AND state = 'applied'",
        prepare,
    )
    with running([(bench, web), (bench, workers)], directory / "headwater.log"):
        until("web", lambda: answers(port), seconds=60)
        yield who, connected.stdout.strip().splitlines()[-1]


@contextmanager
def bullmq(directory: Path) -> Iterator[Contestant]:
    shutil.copy(HERE / "bullmq_peer.mjs", directory)
    subprocess.run(
        ["npm", "install", "--silent", "--no-fund", "--no-audit", "pg@8", "zod@4", "bullmq@5", "ioredis@5"],
        cwd=directory, check=True,
    )  # fmt: skip
    port = free_port()
    told = {
        "DATABASE": address(os.environ["DATABASE_URL"]),
        "REDIS_PATH": os.environ["REDIS_URL"].removeprefix("unix://").partition("?")[0],
        "PORT": str(port),
    }
    script = ["node", str(directory / "bullmq_peer.mjs")]

    def prepare(database: psycopg.Connection[Any], items: int) -> None:
        database.execute("CREATE SCHEMA IF NOT EXISTS peer_events")
        database.execute(
            "CREATE TABLE peer_events.item (id int PRIMARY KEY, quantity int,"
            " price numeric(12,2), changed_at timestamptz)"
        )
        database.execute(
            "INSERT INTO peer_events.item SELECT n, 0, 1, now() FROM generate_series(1, %s) n",
            [items],
        )
        database.execute("VACUUM ANALYZE peer_events.item")

    who = Contestant(
        "bullmq",
        port,
        lambda item, quantity, number: post(
            port, "/", json.dumps({"data": record(item, quantity, number)}).encode(), {}
        ),
        "SELECT quantity FROM peer_events.item WHERE id = %s",
        "SELECT count(*) FROM peer_events.item WHERE changed_at >= %s",
        prepare,
    )
    both = [({**told, "ROLE": "http"}, script), ({**told, "ROLE": "worker"}, script)]
    with running(both, directory / "bullmq.log"):
        until(
            "Node", lambda: (directory / "bullmq.log").read_text().count("ready") == 2, seconds=60
        )
        yield who


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=2).ok
    except requests.RequestException:
        return False


# --- report -------------------------------------------------------------------------------------


def measure(who: Contestant, given: argparse.Namespace) -> dict[str, Any]:
    with psycopg.connect(
        os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=1
    ) as database:
        who.prepare(database, given.items)
        time.sleep(1.5)
        found: dict[str, Any] = {"idle": idle(who, database, given.idle, 0)}
        rounds = [
            saturated(who, database, given.events, given.items, n * given.events)
            for n in range(given.rounds)
        ]
        found["saturated"] = {
            name: statistics.median(r[name] for r in rounds) for name in rounds[0]
        }
    return found


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench-events", description=__doc__)
    options.add_argument("--items", type=int, default=20_000)
    options.add_argument("--events", type=int, default=15_000)
    options.add_argument("--idle", type=int, default=500)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", choices=["headwater", "bullmq"])
    given = options.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="headwater-bench-"))
    found: dict[str, dict[str, Any]] = {}
    try:
        prepare_environment()
        if given.only != "bullmq":
            with headwater(directory) as (who, key):
                found["headwater"] = measure(who, given)
                seen = visible(who, who.port, key, max(100, given.idle // 3), 0)
                found["headwater"]["graphql"] = seen
        if given.only != "headwater" and shutil.which("npm"):
            with bullmq(directory) as who:
                found["bullmq"] = measure(who, given)
        report(found)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def report(found: dict[str, dict[str, Any]]) -> None:
    print(f"\n  {'':<24}{'idle p50':>10}{'p99 ms':>10}{'accepted/s':>12}{'committed/s':>13}")
    for who, figures in found.items():
        rest, load = figures["idle"], figures["saturated"]
        print(
            f"  {who:<24}{rest['p50']:>10.2f}{rest['p99']:>10.2f}"
            f"{load['accepted']:>12,.0f}{load['committed']:>13,.0f}"
        )
        if "graphql" in figures:
            seen = figures["graphql"]
            print(f"  {'  until in GraphQL':<24}{seen['p50']:>10.2f}{seen['p99']:>10.2f}")
    ratios = {}
    if len(found) == 2:
        ours, theirs = found["headwater"], found["bullmq"]
        ratios = {
            "committed_to_bullmq": round(
                ours["saturated"]["committed"] / theirs["saturated"]["committed"], 2
            ),
            "idle_p99_to_bullmq": round(ours["idle"]["p99"] / theirs["idle"]["p99"], 2),
        }
        for name, ratio in ratios.items():
            print(f"  {name.replace('_', ' '):<24}{ratio:>10.2f}")
    print(json.dumps({"results": found, "ratios": ratios}))


if __name__ == "__main__":
    main()
