"""The resident drain of commands: what a caller does not wait for, or not any more.

It confirms what was acknowledged, and goes on with what a request left: an upstream was away, the
deadline came, the process died. Each thread takes one command at a time. The leases of all of them
are prolonged here, so that a drain that is killed is followed after seconds.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from time import monotonic

import structlog
from django.db import close_old_connections, connection

from connectors.commands import ledger
from connectors.commands.carrying import carry_out
from connectors.commands.confirming import confirm
from connectors.models import Command
from connectors.runtime import wake

log = structlog.get_logger(__name__)

THREADS = 8
LOOK_SECONDS = 1.0
SWEEP_SECONDS = 2.0
HOLD_SECONDS = 2.0
#: What is under way at a stop is let go of between two steps.
LEAVING_SECONDS = 5.0


class Crew:
    """Threads that take commands until none is due."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._busy: list[Future[None]] = []
        self._tokens: dict[int, int] = {}

    def look(self) -> None:
        """Call as many threads as there is work for."""
        self._busy = [busy for busy in self._busy if not busy.done()]
        free = THREADS - len(self._busy)
        for _ in range(ledger.due(free) if free else 0):
            self._busy.append(self._pool.submit(self._work))

    def hold(self) -> None:
        """Keep the leases of what is under way."""
        with self._lock:
            tokens = dict(self._tokens)
        ledger.hold(tokens)

    def leave(self) -> None:
        """Give what is under way a moment."""
        wait(self._busy, LEAVING_SECONDS)

    def _work(self) -> None:
        close_old_connections()
        try:
            while not wake.stopping() and (command := ledger.claim()) is not None:
                with self._lock:
                    self._tokens[command.pk] = command.token
                try:
                    go_on(command)
                finally:
                    with self._lock:
                        self._tokens.pop(command.pk, None)
        except Exception:
            log.exception("a command broke its thread; its lease brings it back")
        finally:
            # Idle threads hold no connections.
            connection.close()


def go_on(command: Command) -> Command:
    """Whatever is next for a command that was claimed."""
    if command.state == Command.State.ACKNOWLEDGED:
        return confirm(command)
    return carry_out(command)


def run(until: float) -> None:
    """Go on with commands as they fall due, until `until` (time.monotonic seconds) or a stop."""
    ear = wake.Ear([wake.COMMANDS])
    pool = ThreadPoolExecutor(THREADS, "commander")
    crew, swept, held = Crew(pool), 0.0, 0.0
    try:
        while monotonic() < until and not wake.stopping():
            if monotonic() - swept > SWEEP_SECONDS:
                ledger.release_expired()
                swept = monotonic()
            if monotonic() - held > HOLD_SECONDS:
                crew.hold()
                held = monotonic()
            crew.look()
            ear.wait(LOOK_SECONDS)
        crew.leave()
    finally:
        ear.close()
        pool.shutdown(wait=False, cancel_futures=True)
