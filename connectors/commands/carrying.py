"""The steps of a command, from wherever it stands, to an end or the deadline.

Forward (`forward`), what has all before it done is run. When one step will never be done, what was
done is taken back (`backward`), the last first. Each commit takes along what came to an end before
it, so that a chain of writes costs one commit a write, and one for the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic, sleep
from typing import Any

import structlog
from django.db import connection

from connectors.commands import ledger
from connectors.commands.backward import Backward
from connectors.commands.declare import Operation, operations
from connectors.commands.forward import Forward
from connectors.commands.progress import Progress
from connectors.commands.sending import SHORTEST_CALL
from connectors.commands.trouble import LONGEST, POLICY, Later, never
from connectors.models import Command, Connection
from connectors.runtime import wake
from observability import spans
from observability.context import correlation
from observability.errors import ConfigurationError

log = structlog.get_logger(__name__)

#: So long the drain sits out a wait itself.
DRAIN_PATIENCE = 1.0


def carry_out(command: Command) -> Command:
    """Run what is left of a command that this process has leased; the command as it is then.

    `command.answered`: the caller's answer is fixed (`status`, `result` or `problem`). Otherwise the
    deadline came, or an upstream is away: 202, and the drain goes on. Never raises UpstreamError.
    Must not be called inside a transaction. Raises django.db.DatabaseError.
    """
    if connection.in_atomic_block:
        raise RuntimeError("a command is carried out in no transaction: each step commits its own")
    operation = operations().get(command.operation)
    with (
        correlation(command.correlation_id or None),
        spans.span(f"command {command.operation}", headwater_command=command.reference),
    ):
        try:
            if operation is None:
                text = f"no operation {command.operation!r} is installed"
                return ledger.write(
                    command, after=LONGEST, error_code=ConfigurationError.code, error=text,
                    attempts=command.attempts - 1,
                )  # fmt: skip
            return _Run(command, operation).run()
        except ledger.LeaseLostError:
            # Whoever has it now goes on.
            return Command.objects.get(pk=command.pk)


def leave(command: Command) -> Command:
    """Leave a command that this process has leased, and has not begun, to the drain: 202.

    Raises django.db.DatabaseError.
    """
    left = ledger.write(
        command, lease=None, after=0.0, attempts=command.attempts - 1, deferred_at=ledger.NOW
    )
    wake.WRITES.ring()
    return left


class _Run:
    def __init__(self, command: Command, operation: Operation) -> None:
        self._tries = 0
        self._progress = Progress(command, operation)

    def run(self) -> Command:
        progress = self._progress
        while True:
            laters: Sequence[Later] = ()
            if not progress.over:
                forward = Forward(progress)
                nevers, laters = forward.run()
                if nevers:
                    progress.end_with(nevers[0])
                elif not laters and (ended := self._acknowledged()):
                    return ended
            if progress.over:
                laters = Backward(progress).run()
                if not laters:
                    progress.write(**progress.ending())
                    return self._told()
            if not self._sit_out(laters):
                return self._defer(laters)

    def _acknowledged(self) -> Command | None:
        """All steps are done; None where that makes no answer, so that all is taken back."""
        progress = self._progress
        if not progress.acknowledged:
            try:
                changes = progress.acknowledging()
            except Exception as error:
                log.exception("an operation has no answer", command=progress.reference)
                progress.end_with(never(error))
                return None
            progress.write(**changes)
        return self._told()

    def _told(self) -> Command:
        if self._progress.command.state == Command.State.ACKNOWLEDGED:
            wake.WRITES.ring()
        return self._progress.command

    def _sit_out(self, laters: Sequence[Later]) -> bool:
        """Wait for the next try, where there is time for it."""
        until = self._progress.until if self._progress.awaited else monotonic() + DRAIN_PATIENCE
        seconds = self._wait(laters)
        self._tries += 1
        if wake.stopping() or monotonic() + seconds > until - SHORTEST_CALL:
            return False
        sleep(seconds)
        return True

    def _wait(self, laters: Sequence[Later]) -> float:
        backoff = POLICY.wait(self._progress.command.attempts + self._tries)
        if backoff is None:
            backoff = LONGEST
        return max(later.wait if later.spared else max(later.wait, backoff) for later in laters)

    def _defer(self, laters: Sequence[Later]) -> Command:
        """Leave it to the drain."""
        command, met = self._progress.command, max(laters, key=lambda later: later.wait)
        # A command that is stopped with its process goes on at once.
        changes: dict[str, Any] = (
            {} if command.deferred_at or command.answered else {"deferred_at": ledger.NOW}
        )
        self._progress.write(
            lease=None,
            after=0.0 if wake.stopping() else self._wait(laters),
            attempts=command.attempts - all(later.spared for later in laters),
            waits_for_id=_waited_for(met),
            error_code=met.error.code,
            error=met.error.message,
            **changes,
        )
        return self._progress.command


def _waited_for(later: Later) -> int | None:
    if later.connection_id is None and later.error.connection:
        rows = Connection.objects.filter(slug=later.error.connection)
        return rows.values_list("pk", flat=True).first()
    return later.connection_id
