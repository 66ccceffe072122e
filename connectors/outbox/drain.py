"""The resident sender: a thread for each target that has something due.

Targets wait for nobody but themselves. Those that fail may hold half of the threads at most, so
that dead endpoints, which hold theirs until the time-out, leave room for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic

from catalog.followers import Patience
from connectors.outbox import channels, commands, fanout, pushes, subscribers
from connectors.runtime import wake
from connectors.runtime.called import Called

LOOK_SECONDS = 1.0
#: While followers are waited for, which takes them milliseconds.
HELD_SECONDS = 0.01
#: What is rung for one by one is told of together; what goes on and on, so often.
GATHER_SECONDS, PACE_SECONDS = 0.02, 0.1
SWEEP_SECONDS = 2.0
THREADS = 12
FAILING_THREADS = THREADS // 2

TURNS: Mapping[str, Callable[[int], int]] = {
    "subscriber": subscribers.turn,
    "connection": pushes.turn,
    "channel": channels.turn,
}


class Sender:
    """Who is told something now, and which of them failed the last time."""

    def __init__(self) -> None:
        self._called = Called(THREADS, "sender")
        self._failing: set[str] = set()

    def look(self) -> None:
        """Begin a turn for each target that has something due; who fails has one try, and makes room."""
        busy = self._called.busy()
        self._failing &= busy
        for target, fails in commands.due_targets():
            if fails and target not in busy:
                if len(self._failing) >= FAILING_THREADS:
                    continue
                self._failing.add(target)
            self._called.call(target, partial(_turn, target))

    def close(self) -> None:
        """Whoever comes next to this post shall not wait for an endpoint that does not answer."""
        self._called.close()


def send(until: float) -> None:
    """Tell subscribers and upstreams what there is, until `until` (time.monotonic seconds)."""
    ear, swept, passed, patience = wake.Ear([wake.OUTBOX]), 0.0, 0.0, Patience()
    pace = wake.Pace(PACE_SECONDS, GATHER_SECONDS)
    sender = Sender()
    try:
        while monotonic() < until and not wake.stopping():
            if monotonic() - swept > SWEEP_SECONDS:
                commands.BOX.release_expired()
                swept = monotonic()
            if fanout.heard():
                # Before telling: what is held now is looked at again soon, also if it is free by then.
                patience.look()
                while fanout.tell(patience.over()) == fanout.NOTICES_AT_ONCE:
                    pass
            elif monotonic() - passed > LOOK_SECONDS:
                fanout.pass_over()
                patience, passed = Patience(), monotonic()
            sender.look()
            ear.wait(HELD_SECONDS if patience.waits() else LOOK_SECONDS)
            pace.rest()
    finally:
        ear.close()
        sender.close()


def _turn(target: str) -> bool:
    kind, _, pk = target.partition("/")
    return TURNS[kind](int(pk)) > 0
