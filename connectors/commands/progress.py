"""A command under way in this process: what its steps see, and how it is written down."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from time import monotonic
from typing import Any

from django.db import connection, transaction
from pydantic_core import to_jsonable_python

from connectors.commands import doors, ledger
from connectors.commands.declare import Check, Decide, Operation, Step, Undo, Write
from connectors.commands.trouble import Never
from connectors.models import Command, CommandStep

KINDS: Mapping[type, CommandStep.Kind] = {
    Check: CommandStep.Kind.CHECK,
    Write: CommandStep.Kind.WRITE,
    Decide: CommandStep.Kind.DECIDE,
    Undo: CommandStep.Kind.UNDO,
}
#: Beyond the last call that a caller waits for.
LEASE_MARGIN = 5.0
#: What the drain gives a command at once.
DRAIN_SECONDS = 60.0
#: What is there until it is taken back.
LASTING = (CommandStep.Kind.WRITE, CommandStep.Kind.DECIDE)
AT_REST: Mapping[str, Any] = {"lease": None, "after": 0.0, "attempts": 0, "waits_for_id": None}
STATE = CommandStep.State
DONE = (STATE.DONE, STATE.SKIPPED, STATE.UNDONE)


class Progress:
    """Implements `declare.Work`. `until` (time.monotonic seconds): no call lasts beyond it.

    Thread-safe in what is done to rows: steps run side by side.
    """

    def __init__(self, command: Command, operation: Operation) -> None:
        self.command, self.operation = command, operation
        now: datetime = getattr(command, "looked_at", command.accepted_at)
        self._clock = now, monotonic()
        #: Whether a caller waits.
        self.awaited = command.deferred_at is None and not command.answered
        left = (command.deadline_at - now).total_seconds() if self.awaited else DRAIN_SECONDS
        self.until = monotonic() + left
        #: Of the command, with the next commit.
        self._changes: dict[str, Any] = {}
        self.rows: dict[str, CommandStep] = {}
        self.results: dict[str, Any] = {}
        #: Rows that are further than what is written down: with the next commit they are.
        self.unwritten: dict[str, CommandStep] = {}
        # Steps run side by side.
        self._lock = threading.RLock()
        if command.token > 1:
            self._resume()

    def _resume(self) -> None:
        """From what is written down. What was only looked at is looked at again, until it mattered."""
        rows = {row.name: row for row in CommandStep.objects.filter(command=self.command)}
        if self.command.sent_at is None and self.command.problem is None:
            rows = {name: row for name, row in rows.items() if row.kind != CommandStep.Kind.CHECK}
        self.rows = rows
        self.results = {n: row.result for n, row in rows.items() if row.state in DONE}

    # --- what steps see -------------------------------------------------------------------------

    @cached_property
    def params(self) -> Any:
        """See `Work`. Raises pydantic.ValidationError where the model has changed since."""
        return self.operation.params.model_validate(self.command.params)

    @property
    def reference(self) -> str:
        """See `Work`."""
        return self.command.reference

    @property
    def caller(self) -> str:
        """See `Work`."""
        return self.command.caller

    @property
    def correlation_id(self) -> str:
        """See `Work`."""
        return self.command.correlation_id

    def ask(self, question: str, **values: Any) -> dict[str, Any]:
        """See `Work`."""
        if connection.in_atomic_block:
            raise RuntimeError(f"{question} was asked inside a transaction; ask it in a Check")
        with doors.opened(doors.for_question(question), self.until) as connector:
            return connector.ask(question, values)

    # --- how it is written down -----------------------------------------------------------------

    def now(self) -> datetime:
        """The database's time, as good as this process knows it."""
        then, at = self._clock
        return then + timedelta(seconds=monotonic() - at)

    def row_of(self, step: Step) -> CommandStep:
        """The row of a declared step."""
        return self.row(step.name, kind_of(step))

    def row(self, name: str, kind: CommandStep.Kind) -> CommandStep:
        """The row of a step, begun now where there is none."""
        if name not in self.rows:
            self.rows[name] = CommandStep(
                name=name, kind=kind, state=STATE.RUNNING, started_at=self.now()
            )
        return self.rows[name]

    def ended(self, row: CommandStep, state: CommandStep.State, result: Any = None) -> None:
        """A step came to an end; written down with the next commit."""
        with self._lock:
            row.state, row.finished_at = state, self.now()
            if state in (STATE.DONE, STATE.SKIPPED):
                row.result = self.results[row.name] = to_jsonable_python(result)
                row.error_code = row.error = ""
            self.unwritten[row.name] = row

    def keep(self, row: CommandStep, state: CommandStep.State | None = None) -> None:
        """A row has changed, and is written down with the next commit."""
        with self._lock:
            row.state = state or row.state
            self.unwritten[row.name] = row

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction of ours: what is written in it, is written with it or not at all."""
        with self._lock:
            before = dict(self.unwritten), self.command, dict(self._changes)
        try:
            with transaction.atomic():
                yield
        except BaseException:
            with self._lock:
                self.unwritten, self.command = {**before[0], **self.unwritten}, before[1]
                self._changes = before[2]
            raise

    def write(self, rows: Iterable[CommandStep] = (), **changes: Any) -> None:
        """Commit these rows and all that were not written yet. Raises LeaseLostError."""
        with self._lock:
            pending = {**self.unwritten, **{row.name: row for row in rows}}
            # A request has its lease for as long as its caller waits; the drain prolongs its own.
            left = max(self.until - monotonic(), 0.0) + LEASE_MARGIN
            lease = left if self.awaited else ledger.LEASE_SECONDS
            changes = {"lease": lease, **self._changes, **changes}
            self.command = ledger.write(self.command, pending.values(), **changes)
            self.unwritten.clear()
            self._changes.clear()

    def begin(self, rows: Iterable[CommandStep], **changes: Any) -> None:
        """Commit that these are about to happen."""
        if self.command.sent_at is None:
            changes = {"state": Command.State.SENT, "sent_at": ledger.NOW, **changes}
        self.write(rows, **changes)

    # --- how it ends ----------------------------------------------------------------------------

    @property
    def acknowledged(self) -> bool:
        """Whether the caller has a result."""
        return self.command.result is not None

    @property
    def over(self) -> bool:
        """Whether it will never be done."""
        return self.command.problem is not None or "problem" in self._changes

    def end_with(self, never: Never) -> None:
        """It will never be done; written down, as the caller's answer, with the next commit."""
        self._changes = {
            "problem": never.problem, "status": never.status,
            "error_code": never.code, "error": never.error,
        }  # fmt: skip

    def acknowledging(self) -> dict[str, Any]:
        """What changes when all steps are done. Raises what the operation's `result` raises."""
        to_read = any(to_read_back(row) for row in self.rows.values())
        state = Command.State.ACKNOWLEDGED if to_read else Command.State.CONFIRMED
        ended = {} if to_read else {"confirmed_at": ledger.NOW, "finished_at": ledger.NOW}
        return {
            **AT_REST, **ended, "state": state, "status": self.operation.status,
            "result": to_jsonable_python(self.operation.result(self)),
            "acknowledged_at": ledger.NOW, "error_code": "", "error": "",
        }  # fmt: skip

    def ending(self) -> dict[str, Any]:
        """What changes when all is taken back that can be."""
        steps = self.operation.by_name
        left = any(
            row.kind in LASTING and row.state == STATE.DONE
            and not getattr(steps.get(row.name), "stays", False)
            for row in self.rows.values()
        )  # fmt: skip
        refused = any(row.state == STATE.REFUSED for row in self.rows.values()
                      if row.kind != CommandStep.Kind.UNDO)  # fmt: skip
        state = Command.State.REFUSED if refused and not left else Command.State.FAILED
        return {**AT_REST, "state": state, "finished_at": ledger.NOW}


def kind_of(step: Step | Undo) -> CommandStep.Kind:
    """The kind of a declared step."""
    return KINDS[type(step)]


def to_read_back(row: CommandStep) -> bool:
    """Whether what a step wrote has to be read back still."""
    written = row.kind == CommandStep.Kind.WRITE and row.state == STATE.DONE
    return written and row.stream != "" and row.read_back_at is None
