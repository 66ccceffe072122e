"""One measured run: requests a second, latency, and CPU time a request by who spent it.

CPU time is what to look at on a machine that is shared: requests a second move with the load of
others, CPU milliseconds a request hardly do.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.reads.contestants import Contestant

SCRIPT = Path(__file__).with_name("load.lua")
START_SECONDS = 60.0
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Run:
    """Latencies in milliseconds; `application` and `database` in CPU milliseconds a request."""

    rate: float
    p50: float
    p99: float
    application: float
    database: float
    wrong: int


@dataclass(frozen=True)
class Load:
    """How it is sent: for how long, over how many connections, under which API key."""

    seconds: int
    connections: int
    key: str


def measured(who: Contestant, pids: tuple[int, int], requests: Path, how: Load) -> Run:
    """Send the requests for some seconds; `pids` are the server's and PostgreSQL's."""
    before = [cpu(pid) for pid in pids]
    told = load(who.port, requests, how)
    after = [cpu(pid) for pid in pids]
    sent = max(1, told["requests"])
    return Run(
        rate=told["requests"] / told["microseconds"] * 1e6,
        p50=told["p50"] / 1000,
        p99=told["p99"] / 1000,
        application=(after[0] - before[0]) * 1000 / sent,
        database=(after[1] - before[1]) * 1000 / sent,
        wrong=told["wrong"],
    )


def load(port: int, requests: Path, how: Load) -> dict[str, int]:
    """What wrk says."""
    command = [
        "wrk", "-t1", f"-c{how.connections}", f"-d{how.seconds}s", "--timeout", "10s", "-s", str(SCRIPT),
        f"http://127.0.0.1:{port}/",
    ]  # fmt: skip
    told = {**os.environ, "REQUESTS": str(requests), "KEY": how.key}
    output = subprocess.run(command, env=told, capture_output=True, text=True, check=True).stdout
    line = next(line for line in output.splitlines() if line.startswith("JSON "))
    found: dict[str, int] = json.loads(line.removeprefix("JSON "))
    return found


def cpu(root: int) -> float:
    """CPU seconds of a process, of all below it that are alive, and of its children that ended."""
    parents: dict[int, int] = {}
    spent: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        parents[int(entry.name)], spent[int(entry.name)] = (
            int(fields[1]),
            int(fields[11]) + int(fields[12]),
        )
    below = {root}
    for _ in range(4):
        below |= {pid for pid, parent in parents.items() if parent in below}
    ended = Path(f"/proc/{root}/stat").read_text().rpartition(") ")[2].split()[13:15]
    return (sum(spent.get(pid, 0) for pid in below) + sum(map(int, ended))) / TICK


def started(who: Contestant, log: Path) -> subprocess.Popen[bytes]:
    """The server, once it listens."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            who.command, cwd=who.directory, env={**os.environ, **who.environment},
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", who.port), 0.2).close()
            return process
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"{who.name} does not start: {log.read_text()[-2000:]}"
                ) from None
            time.sleep(0.2)


def stopped(process: subprocess.Popen[bytes]) -> None:
    """End it and its workers."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
