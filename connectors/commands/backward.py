"""Backward: what may have arrived is found out, and what was done is taken back, the last first.

Each taking back is a write of its own, exactly once like any other. What cannot be taken back is
left, and shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

import structlog
from django.db import InterfaceError, OperationalError

from connectors.commands import sending
from connectors.commands.declare import Decide, Undo, Write
from connectors.commands.ledger import LeaseLostError
from connectors.commands.progress import STATE, Progress
from connectors.commands.trouble import POLICY, Later, Never, busy, judged, never, stopped
from connectors.models import CommandStep
from connectors.runtime import wake
from connectors.runtime.deadlocks import despite_deadlocks, gave_way

log = structlog.get_logger(__name__)

Outcome = Never | Later | None
Kind = CommandStep.Kind
NOT_SENT = "it was not sent"
NOT_KNOWN = "whether it arrived is not known"


class Backward:
    """One pass."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def run(self) -> Sequence[Later]:
        """What cannot be done now; nothing: all is taken back that can be.

        Raises LeaseLostError, django.db.DatabaseError.
        """
        for row in self._writes():
            if isinstance(outcome := self._found_out(row), Later):
                return [outcome]
        for row in self._done():
            if wake.stopping():
                return [stopped()]
            if isinstance(outcome := self._undone(row), Later):
                return [outcome]
        return []

    def _writes(self) -> list[CommandStep]:
        """Writes of which it is not known, or not written, what became of them."""
        return [
            row
            for row in self._progress.rows.values()
            if row.kind == Kind.WRITE and row.state in (STATE.WAITING, STATE.RUNNING)
        ]

    def _done(self) -> list[CommandStep]:
        """What was done, the last first."""
        rows = [
            row
            for row in self._progress.rows.values()
            if row.kind in (Kind.WRITE, Kind.DECIDE) and row.state == STATE.DONE
        ]
        return sorted(rows, key=lambda row: row.finished_at or row.started_at, reverse=True)

    def _found_out(self, row: CommandStep) -> Outcome:
        progress = self._progress
        if row.state == STATE.WAITING:
            row.error = row.error or NOT_SENT
        elif progress.command.given_up_by:
            row.error = f"{NOT_KNOWN}; {row.error}"
        else:
            outcome = sending.found_out(progress, row)
            if outcome is None or isinstance(outcome, Later):
                return outcome
            row.error = outcome.error
        progress.ended(row, STATE.FAILED)
        return None

    def _undone(self, row: CommandStep) -> Outcome:
        step = self._progress.operation.by_name.get(row.name)
        if isinstance(step, Write) and step.undo is not None:
            return self._written_back(row, step.undo)
        if isinstance(step, Decide) and step.undo is not None:
            return self._decided_back(row, step)
        return None

    def _written_back(self, row: CommandStep, undo: Undo) -> Outcome:
        progress, name = self._progress, f"{row.name}.undo"
        taken = progress.rows.get(name)
        if taken is None:
            try:
                taken = sending.prepared(progress, undo, name, near=row.connection_id)
            except Exception as error:  # noqa: BLE001 (judged)
                outcome = self._judged(error)
                if isinstance(outcome, Never):
                    self._left(progress.row(name, Kind.UNDO), outcome)
                return outcome
            sending.about_to_send(progress, taken)
            committed = monotonic()
            progress.begin([taken])
            outcome = sending.send(progress, taken, committed)
        elif taken.state in (STATE.WAITING, STATE.RUNNING):
            outcome = sending.send(progress, taken, None)
        else:
            outcome = None
        if isinstance(outcome, Later) and self._used_up(taken, outcome):
            outcome = never(outcome.error)
        if isinstance(outcome, Never):
            self._left(taken, outcome)
        elif outcome is None and taken.state == STATE.DONE:
            progress.keep(row, STATE.UNDONE)
        return outcome

    def _decided_back(self, row: CommandStep, step: Decide) -> Outcome:
        progress = self._progress

        def take_back() -> None:
            with progress.transaction():
                if step.undo is not None:
                    step.undo(progress)
                row.state = STATE.UNDONE
                progress.write([row])

        try:
            despite_deadlocks(take_back)
        except Exception as error:  # noqa: BLE001 (judged)
            row.state = STATE.DONE
            outcome = self._judged(error)
            if isinstance(outcome, Never):
                self._left(row, outcome, STATE.DONE)
            return outcome
        return None

    def _judged(self, error: Exception) -> Outcome:
        if gave_way(error):
            return busy()
        if isinstance(error, OperationalError | InterfaceError | LeaseLostError):
            raise error
        return judged(error)

    def _left(
        self, row: CommandStep, outcome: Never, state: CommandStep.State = STATE.FAILED
    ) -> None:
        """It stays as it is, for people to see to."""
        log.error(
            "what a command did could not be taken back",
            command=self._progress.reference, step=row.name, error=outcome.error[:500],
        )  # fmt: skip
        row.error_code, row.error = outcome.code, outcome.error
        self._progress.keep(row, state)

    def _used_up(self, row: CommandStep, later: Later) -> bool:
        return not later.unknown and not later.spared and row.attempts >= POLICY.attempts
