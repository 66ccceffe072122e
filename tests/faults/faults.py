"""What is done to the house. Each returns when it is done, not when the house has recovered."""

from __future__ import annotations

import signal
import time
from random import Random

from tests.faults.house import House, alive, descendants, send
from tests.processes import until

#: How long a server that was stopped stays away.
AWAY_SECONDS = (0.2, 2.0)


def kill_worker(house: House, random: Random) -> None:
    """SIGKILL one process of the cluster: a worker, its pusher or its monitor."""
    pool = house.pool()
    if pool:
        send(random.choice(pool), signal.SIGKILL)


def kill_all_ours(house: House, _random: Random) -> None:
    """SIGKILL the supervisor with its whole cluster, and the web server with its workers."""
    for pid in house.ours():
        send(pid, signal.SIGKILL)


def kill_web_worker(house: House, random: Random) -> None:
    """SIGKILL one of the web server's processes."""
    web = house.pid("web")
    if web:
        send(random.choice([web, *descendants(web)]), signal.SIGKILL)


def kill_upstreams(house: House, _random: Random) -> None:
    """SIGKILL the sandbox, in which all simulated systems run."""
    sandbox = house.pid("sandbox")
    if sandbox:
        send(sandbox, signal.SIGKILL)


def flush_and_kill_valkey(house: House, random: Random) -> None:
    house.flush_valkey()
    house.valkey.end(signal.SIGKILL)
    time.sleep(random.uniform(*AWAY_SECONDS))
    house.valkey.start()


def crash_postgres(house: House, random: Random) -> None:
    """Stop PostgreSQL in immediate mode: no checkpoint, no goodbye; it recovers from its log."""
    house.postgres.end(signal.SIGQUIT)
    time.sleep(random.uniform(*AWAY_SECONDS))
    house.postgres.start()


def stop_workers(house: House) -> float:
    """SIGTERM to the supervisor; seconds until it and its whole cluster are gone."""
    supervisor = house.pid("workers")
    assert supervisor is not None
    everything = [supervisor, *descendants(supervisor)]
    send(supervisor, signal.SIGTERM)
    return until(
        "end of the workers", lambda: not any(alive(pid) for pid in everything), 60, pause=0.02
    )
