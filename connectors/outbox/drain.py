"""The resident sender: a thread for each target that has something due.

Targets wait for nobody but themselves. Those that fail may hold half of the threads at most, so
that dead endpoints, which hold theirs until the time-out, leave room for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic, sleep

import structlog
from django.db import connection

from catalog.followers import Patience
from connectors.outbox import channels, commands, fanout, pushes, subscribers
from connectors.runtime import wake

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
#: While followers are waited for, which takes them milliseconds.
HELD_SECONDS = 0.01
#: What is rung for one by one is told of together.
GATHER_SECONDS = 0.02
SWEEP_SECONDS = 2.0
THREADS = 12
FAILING_THREADS = THREADS // 2

TURNS: Mapping[str, Callable[[int], int]] = {
    "subscriber": subscribers.turn,
    "connection": pushes.turn,
    "channel": channels.turn,
}


class Sender:
    """Who is told something now, and whether it failed the last time."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._busy: dict[str, tuple[Future[None], bool]] = {}

    def look(self) -> None:
        """Begin a turn for each target that has something due and is not busy."""
        self._busy = {t: busy for t, busy in self._busy.items() if not busy[0].done()}
        failing = sum(fails for _, fails in self._busy.values())
        for target, fails in commands.due_targets():
            if target in self._busy or (fails and failing >= FAILING_THREADS):
                continue
            failing += fails
            self._busy[target] = self._pool.submit(_turns, target), fails


def send(until: float) -> None:
    """Tell subscribers and upstreams what there is, until `until` (time.monotonic seconds)."""
    ear, swept, patience = wake.Ear([wake.OUTBOX]), 0.0, Patience()
    pool = ThreadPoolExecutor(THREADS, "sender")
    sender = Sender(pool)
    try:
        while monotonic() < until and not wake.stopping():
            if monotonic() - swept > SWEEP_SECONDS:
                commands.BOX.release_expired()
                swept = monotonic()
            # Before telling: what is held now is looked at again soon, also if it is free by then.
            patience.look()
            while fanout.tell(patience.over()) == fanout.NOTICES_AT_ONCE:
                pass
            sender.look()
            ear.wait(HELD_SECONDS if patience.waits() else LOOK_SECONDS)
            sleep(GATHER_SECONDS)
    finally:
        ear.close()
        # Whoever comes next to this post shall not wait for an endpoint that does not answer.
        pool.shutdown(wait=False, cancel_futures=True)


def _turns(target: str) -> None:
    kind, _, pk = target.partition("/")
    try:
        # Whoever fails has had one try, and makes room.
        while TURNS[kind](int(pk)) and not wake.stopping():
            pass
    except Exception:
        log.exception("a turn broke; the leases bring its commands back", target=target)
    finally:
        # Idle threads hold no connections.
        connection.close()
