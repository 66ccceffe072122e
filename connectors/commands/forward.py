"""Forward: what has all before it done is run, side by side where there are several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from time import monotonic

import structlog
from django.db import InterfaceError, OperationalError

from connectors.commands import doors, sending, sidebyside
from connectors.commands.declare import Check, Decide, Refused, Step, Write
from connectors.commands.ledger import LeaseLostError
from connectors.commands.progress import STATE, Progress
from connectors.commands.trouble import POLICY, Later, Never, busy, judged, never, stopped
from connectors.models import CommandStep
from connectors.runtime import wake
from connectors.runtime.deadlocks import despite_deadlocks, gave_way
from observability.errors import HubError, RetryableError

log = structlog.get_logger(__name__)

Outcome = Never | Later | None


class Forward:
    """One pass: until nothing more can be begun."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._nevers: list[Never] = []
        self._laters: dict[str, Later] = {}
        self._running: dict[Future[Outcome], Step] = {}
        #: Begin nothing more.
        self._halted = False

    def run(self) -> tuple[Sequence[Never], Sequence[Later]]:
        """What will never be done, and what cannot be done now; neither: all steps are done.

        Raises LeaseLostError, django.db.DatabaseError.
        """
        self._leave_alone_who_is_down()
        try:
            while self._turn():
                pass
        finally:
            # Nobody works on it behind the back of whoever takes it up.
            wait(self._running)
        return self._nevers, list(self._laters.values())

    def _turn(self) -> bool:
        """Begin what can be, and hear of what ended; False where nothing more will happen."""
        if wake.stopping() and not self._halted:
            self._halted, self._laters[""] = True, stopped()
        steps = [] if self._nevers or self._halted else self._ready()
        jobs = self._begin(steps)
        alone = len(jobs) == 1 and not self._running
        here = [(step, job) for step, job in jobs if alone or _local(step)]
        for step, job in jobs:
            if (step, job) not in here:
                self._running[sidebyside.begin(job)] = step
        for step, job in here:
            self._note(step, job())
        if here or not self._running:
            # A step may have been skipped, or refused before it was begun.
            return bool(steps)
        ended, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for future in ended:
            self._note(self._running.pop(future), future.result())
        return True

    def _ready(self) -> list[Step]:
        done = self._progress.results
        busy = {step.name for step in self._running.values()} | self._laters.keys() | done.keys()
        return [
            step
            for step in self._progress.operation.steps
            if step.name not in busy and all(name in done for name in step.after)
        ]

    def _begin(self, steps: Sequence[Step]) -> list[tuple[Step, Callable[[], Outcome]]]:
        """What is to be run of them; that writes are about to be sent is committed for all at once."""
        progress = self._progress
        jobs: list[tuple[Step, Callable[[], Outcome]]] = []
        fresh: list[tuple[Step, CommandStep]] = []
        for step in steps:
            if isinstance(step, Write):
                row = progress.rows.get(step.name)
                if row is not None:
                    jobs.append((step, partial(sending.send, progress, row, None)))
                    continue
                outcome = self._prepared(step)
                row = progress.rows.get(step.name)
                if outcome is not None:
                    self._note(step, outcome)
                elif row is not None and row.state == STATE.WAITING:
                    sending.about_to_send(progress, row)
                    fresh.append((step, row))
            elif isinstance(step, Check):
                jobs.append((step, partial(self._check, step)))
            else:
                jobs.append((step, partial(self._decide, step)))
        if fresh:
            committed = monotonic()
            progress.begin([row for _, row in fresh])
            jobs += [(s, partial(sending.send, progress, row, committed)) for s, row in fresh]
        return jobs

    def _prepared(self, step: Write) -> Outcome:
        progress = self._progress
        try:
            if step.when is not None and not step.when(progress):
                progress.ended(progress.row_of(step), STATE.SKIPPED)
                return None
            if progress.until - monotonic() < sending.SHORTEST_CALL:
                return Later(RetryableError("there is no time left for an answer"))
            sending.prepared(progress, step, step.name, near=None)
        except Exception as error:  # noqa: BLE001 (judged)
            return self._judged(step, error)
        return None

    def _check(self, step: Check) -> Outcome:
        progress = self._progress
        row = progress.row_of(step)
        try:
            progress.ended(row, STATE.DONE, step.run(progress))
        except Exception as error:  # noqa: BLE001 (judged)
            return self._judged(step, error)
        return None

    def _decide(self, step: Decide) -> Outcome:
        progress = self._progress
        row = progress.row_of(step)
        rest = [s for s in progress.operation.steps if s is not step]
        last = all(s.name in progress.results for s in rest)

        def decide() -> Outcome:
            with progress.transaction():
                progress.ended(row, STATE.DONE, step.run(progress))
                if (no := _verdict(step, progress)) is not None:
                    row.state = STATE.REFUSED
                    progress.end_with(no)
                # The caller's answer is fixed with the last decision, in one commit.
                progress.begin([row], **(progress.acknowledging() if last and not no else {}))
            return no

        try:
            return despite_deadlocks(decide)
        except Exception as error:  # noqa: BLE001 (judged)
            return self._judged(step, error)

    def _judged(self, step: Step, error: Exception) -> Outcome:
        """What an error means, where it is the step's own."""
        if gave_way(error):
            return busy()
        if isinstance(error, OperationalError | InterfaceError | LeaseLostError):
            raise error
        if not isinstance(error, HubError):
            log.error(
                "a step is defect", step=step.name, command=self._progress.reference, exc_info=error
            )
        return judged(error)

    def _note(self, step: Step, outcome: Outcome) -> None:
        progress = self._progress
        if isinstance(outcome, Later):
            outcome = self._for_good(step, outcome)
        if isinstance(outcome, Later):
            self._laters[step.name] = outcome
        elif isinstance(outcome, Never):
            self._nevers.append(outcome)
            row = progress.row_of(step)
            row.error_code, row.error = outcome.code, outcome.error
            progress.ended(row, STATE.REFUSED if outcome.refusal else STATE.FAILED)

    def _for_good(self, step: Step, later: Later) -> Outcome:
        """Later, or never: its tries are used up, or its operation does not wait for who is away."""
        if later.unknown:
            return later
        away = later.spared and self._progress.operation.while_open == "refuse"
        row = self._progress.rows.get(step.name)
        tries = row.attempts if row else self._progress.command.attempts
        if away or (not later.spared and tries >= POLICY.attempts):
            return never(later.error, away=away)
        return later

    def _leave_alone_who_is_down(self) -> None:
        """Where nothing was sent, nothing is begun that must wait for a breaker anyway."""
        if self._progress.command.sent_at is not None:
            return
        for step in self._progress.operation.steps:
            if not isinstance(step, Write) or step.when is not None:
                continue
            try:
                row = doors.for_capability(step.capability)
            except HubError as error:
                self._note(step, judged(error))
                continue
            away = row.circuit_breaker.away if row.breaker_enabled else None
            if away is not None:
                self._note(step, judged(away, row.pk))
        self._halted = bool(self._laters)


def _local(step: Step) -> bool:
    return isinstance(step, Decide) or (isinstance(step, Check) and step.local)


def _verdict(step: Decide, progress: Progress) -> Never | None:
    try:
        if step.verdict is not None:
            step.verdict(progress)
    except Refused as no:
        return never(no)
    return None
