"""The worker-kill test against plain django-q2, on the house's PostgreSQL and Valkey."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.faults.house import ROOT, House, send
from tests.faults.peer.tasks import SCHEMA
from tests.faults.scenarios import Sizes
from tests.faults.traffic import Outcome
from tests.processes import children

#: Three times what its own `retry` waits: whoever has done nothing for so long does nothing more.
HUNG_SECONDS = 60.0
RATE = 150.0


def peer(house: House, sizes: Sizes) -> Outcome:
    """Tasks that apply events, workers killed by SIGKILL: with the ORM broker and with Redis."""
    outcome = Outcome("peer")
    for broker in ("orm", "redis"):
        outcome.figures[broker] = _kills(house, broker, sizes)
    return outcome


def _kills(house: House, broker: str, sizes: Sizes) -> dict[str, Any]:
    url = _database(house, f"peer_{broker}")
    settings = {
        "DJANGO_SETTINGS_MODULE": "tests.faults.peer.settings",
        "PEER_BROKER": broker,
        "PEER_DATABASE_URL": url,
    }
    environment = house.environment | settings
    _run(environment, "-m", "django", "migrate", "--verbosity=0")
    random, numbers = Random(sizes.seed), range(1, sizes.events + 1)
    events = [(f"peer-{n}", f"S{random.randrange(400)}", n) for n in numbers]
    began = time.monotonic()
    with (
        psycopg.connect(url, autocommit=True) as database,
        _process(environment, "-m", "django", "qcluster") as cluster,
        _process(environment, "-m", "tests.faults.peer.receive") as receiver,
    ):
        database.execute(SCHEMA)
        time.sleep(3)
        _send(receiver, cluster, events, sizes.times, random)
        last = _rest(database, len(events))
        found: dict[str, int] = dict(
            database.execute("SELECT event, count(*) FROM done GROUP BY 1").fetchall()
        )
        levels: dict[str, int] = dict(database.execute("SELECT sku, number FROM level").fetchall())
    expected: dict[str, int] = {}
    for _, sku, number in events:
        expected[sku] = max(number, expected.get(sku, 0))
    return {
        "acknowledged": len(events),
        "kills": sizes.times,
        "never_applied": sum(name not in found for name, _, _ in events),
        "run_twice": sum(count > 1 for count in found.values()),
        "records_wrong": sum(levels.get(sku) != number for sku, number in expected.items()),
        "hung": len(found) < len(events) and broker == "orm",
        "seconds": round(time.monotonic() - began - (HUNG_SECONDS if last else 0)),
    }


def _send(
    receiver: subprocess.Popen[str],
    cluster: subprocess.Popen[str],
    events: list[tuple[str, str, int]],
    kills: int,
    random: Random,
) -> None:
    assert receiver.stdin is not None
    assert receiver.stdout is not None
    began, due = time.monotonic(), [len(events) * (n + 1) // (kills + 1) for n in range(kills)]
    for place, event in enumerate(events):
        time.sleep(max(0.0, began + place / RATE - time.monotonic()))
        receiver.stdin.write(json.dumps(event) + "\n")
        receiver.stdin.flush()
        receiver.stdout.readline()
        while due and due[0] <= place:
            due.pop(0)
            pool = [pid for sentinel in children(cluster.pid) for pid in children(sentinel)]
            if pool:
                send(random.choice(pool), signal.SIGKILL)


def _rest(database: psycopg.Connection[Any], events: int) -> bool:
    """Wait until all is done (False), or nothing has been for long (True)."""
    known, since = -1, time.monotonic()
    while time.monotonic() - since < HUNG_SECONDS:
        row = database.execute("SELECT count(DISTINCT event) FROM done").fetchone()
        assert row is not None
        if row[0] == events:
            return False
        if row[0] != known:
            known, since = row[0], time.monotonic()
        time.sleep(0.5)
    return True


def _database(house: House, name: str) -> str:
    house.database().execute(f"CREATE DATABASE {name}")
    parts = urlsplit(house.environment["DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{name}"))


def _run(environment: dict[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True)


@contextmanager
def _process(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own, ended with all below it."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
