"""The resident drain of commands: what a caller does not wait for, or not any more.

It confirms what was acknowledged, and goes on with what a request left: an upstream was away, the
deadline came, the process died. What many can be done of at once is done in sets (`confirming`,
`together`); of the rest each thread takes one command at a time. The leases of all of them are
prolonged here, so that a drain that is killed is followed after seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from time import monotonic

from connectors.commands import ledger, together
from connectors.commands.carrying import carry_out
from connectors.commands.confirming import confirm
from connectors.models import Command
from connectors.runtime import wake
from connectors.runtime.called import Called

THREADS = 8
LOOK_SECONDS = 1.0
SWEEP_SECONDS = 2.0
HOLD_SECONDS = 2.0
#: What is under way at a stop is let go of between two steps.
LEAVING_SECONDS = 5.0
#: What many can be done of at once gathers for so long; where more and more comes, for longer.
GATHER_SECONDS, STREAM_SECONDS = 0.1, 0.5
CONFIRMED_AT_ONCE = 100


class Crew:
    """Threads that take commands until none is due, and one each for what is done in sets."""

    def __init__(self) -> None:
        self._alone = Called(THREADS, "commander")
        self._sets = Called(len(AT_ONCE), "commands in sets")
        self._paces = {turn: wake.Pace(STREAM_SECONDS, GATHER_SECONDS) for turn in AT_ONCE}
        self._lock = threading.Lock()
        self._tokens: dict[int, int] = {}

    def look(self) -> None:
        """Call as many threads as there is work for."""
        alone, fresh, to_confirm = ledger.due(together.simple())
        for number in range(min(alone, THREADS)):
            self._alone.call(number, self._one)
        for turn, due in ((send_due, fresh), (confirm_due, to_confirm)):
            if due:
                self._sets.call(turn, partial(self._set_of, turn))

    def hold(self) -> None:
        """Keep the leases of what is under way."""
        with self._lock:
            tokens = dict(self._tokens)
        ledger.hold(tokens)

    def close(self) -> None:
        """Begin nothing more, and give what is under way a moment."""
        self._sets.close(LEAVING_SECONDS)
        self._alone.close(LEAVING_SECONDS)

    def _set_of(self, turn: Turn) -> bool:
        self._paces[turn].rest()
        taken = most = AT_ONCE[turn]
        worked = False
        while taken == most and not wake.stopping():
            taken = turn(self._keeping)
            worked = worked or taken > 0
        return worked

    def _one(self) -> bool:
        claimed = ledger.claim_all(ledger.ALONE, 1, together.simple())
        with self._keeping(claimed):
            for command in claimed:
                go_on(command)
        return bool(claimed)

    @contextmanager
    def _keeping(self, commands: Sequence[Command]) -> Iterator[None]:
        with self._lock:
            self._tokens.update({command.pk: command.token for command in commands})
        try:
            yield
        finally:
            with self._lock:
                for command in commands:
                    self._tokens.pop(command.pk, None)


Keeping = Callable[[Sequence[Command]], AbstractContextManager[None]]
Turn = Callable[[Keeping | None], int]


def confirm_due(keeping: Keeping | None = None) -> int:
    """Confirm commands that were acknowledged, many at once; how many were claimed."""
    claimed = ledger.claim_all(ledger.TO_CONFIRM, CONFIRMED_AT_ONCE)
    with keeping(claimed) if keeping else nullcontext():
        if claimed:
            confirm(claimed)
    return len(claimed)


def send_due(keeping: Keeping | None = None) -> int:
    """Carry out fresh commands of the hub's own, many at once; how many were claimed."""
    claimed = ledger.claim_all(ledger.FRESH, together.AT_ONCE, together.simple())
    with keeping(claimed) if keeping else nullcontext():
        if claimed:
            together.carry_out_together(claimed)
    return len(claimed)


AT_ONCE: Mapping[Turn, int] = {send_due: together.AT_ONCE, confirm_due: CONFIRMED_AT_ONCE}


def go_on(command: Command) -> Command:
    """Whatever is next for a command that was claimed."""
    if command.state != Command.State.ACKNOWLEDGED:
        return carry_out(command)
    confirm([command])
    return Command.objects.get(pk=command.pk)


def run(until: float) -> None:
    """Go on with commands as they fall due, until `until` (time.monotonic seconds) or a stop."""
    ear = wake.Ear([wake.COMMANDS])
    crew, swept, held = Crew(), 0.0, 0.0
    pace = wake.Pace(GATHER_SECONDS, 0.0)
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
            pace.rest()
    finally:
        ear.close()
        crew.close()
