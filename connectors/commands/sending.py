"""One upstream write, exactly once.

    waiting ◀──(cannot have been sent)──┐
       │                                │
       └──▶ running ──▶ push ──answer──▶ done, or refused
              ▲           │
              │           └──no answer──▶ still running: nobody knows
              │                              │
              └──(it did not arrive)── find ◀┘ ──(it arrived)──▶ done

That a write is about to be sent is committed before it is sent, with the time. Whoever finds it so,
in this process or another, asks the upstream first. What it has not done a while after it was
sent it will not do: until then a "no" is not believed, because a request that nobody waits for
any more may still be worked on.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from time import monotonic

import structlog
from django.db import InterfaceError, OperationalError

from connectors.commands import doors
from connectors.commands.declare import Undo, Write
from connectors.commands.progress import STATE, Progress, kind_of
from connectors.commands.trouble import Later, Never, judged, never
from connectors.models import CommandStep, Connection
from connectors.runtime.connector import Connector, Push, connector_class
from connectors.runtime.pause import pauses
from connectors.runtime.verdicts import never_sent
from observability.errors import (
    Action,
    ConflictError,
    HubError,
    PermanentError,
    RetryableError,
    action_for,
)

log = structlog.get_logger(__name__)

#: What was committed longer ago is committed again before it is sent: this process may have stood
#: still meanwhile, and lost its command to another.
FRESH_SECONDS = 2.0
#: Beyond the upstream's own time-out, until a "no" is believed.
SETTLE_SECONDS = 2 * FRESH_SECONDS
#: With less than this left for an answer, nothing is sent.
SHORTEST_CALL = 0.5
#: What these say is said of a write that was not done.
DEFINITE = (PermanentError, ConflictError)


def prepared(progress: Progress, step: Write | Undo, name: str, near: int | None) -> CommandStep:
    """The row of a write that was never sent. `near`: the connection that is asked first, for an undo.

    Raises what `values` raises; ConfigurationError, PermanentError.
    """
    place = _place(step.capability, near)
    cls = connector_class(place.connector)
    capability = cls.capability(step.capability)
    key = f"{progress.reference}.{name}"
    push = capability.push(step.values(progress), key)
    row = progress.row(name, kind_of(step))
    row.idempotency_key = key
    row.capability, row.connection_id, row.stream = step.capability, place.pk, capability.stream
    row.record_key, row.body, row.state = push.record_key, push.body.decode(), STATE.WAITING
    return row


def about_to_send(progress: Progress, row: CommandStep) -> None:
    """Mark it; the caller commits it before `send`."""
    row.state, row.sent_at = STATE.RUNNING, progress.now()
    row.attempts += 1


def send(progress: Progress, row: CommandStep, committed: float | None) -> Never | Later | None:
    """Bring one write to an end; None: it is done.

    `committed`: since when (time.monotonic) this process knows that it is about to be sent and was
    not; None: that has to be found out. Raises LeaseLostError, django.db.DatabaseError.
    """
    try:
        place = doors.of(row.connection_id)
        if progress.until - monotonic() < SHORTEST_CALL:
            raise RetryableError("there is no time left for an answer", connection=place.slug)
        with doors.opened(place, progress.until) as connector:
            return _Sending(progress, row, place, connector).run(committed)
    except HubError as error:
        # Nobody was asked anything.
        if committed is not None:
            progress.keep(row, STATE.WAITING)
        met = judged(error, row.connection_id)
        unknown = row.state == STATE.RUNNING
        return replace(met, unknown=unknown) if isinstance(met, Later) else met


def found_out(progress: Progress, row: CommandStep) -> Never | Later | None:
    """What became of a write of which nobody knows; None: it arrived, and is done.

    It is not sent again, unless repeating it is harmless, and the only way to know. Raises as `send`.
    """
    try:
        place = doors.of(row.connection_id)
        with doors.opened(place, progress.until) as connector:
            if type(connector).find is not Connector.find:
                return _Sending(progress, row, place, connector).found_out()
    except HubError as error:
        return judged(error, row.connection_id)
    return send(progress, row, None)


def settle_in(progress: Progress, row: CommandStep, place: Connection) -> float:
    """Seconds until the upstream's "it did not arrive" is believed."""
    sent = row.sent_at or row.started_at
    settled = sent + timedelta(seconds=place.timeout_seconds + SETTLE_SECONDS)
    return (settled - progress.now()).total_seconds()


class _Sending:
    def __init__(
        self, progress: Progress, row: CommandStep, place: Connection, connector: Connector
    ) -> None:
        self.progress, self.row, self.place, self.connector = progress, row, place, connector
        self.spec = connector.stream(row.stream)
        # The push as it was made, whatever the record has been called since.
        self.push = Push(row.capability, row.record_key, row.body.encode(), row.idempotency_key)

    def run(self, committed: float | None) -> Never | Later | None:
        if committed is None:
            if self.row.state == STATE.RUNNING:
                found = self._found()
                if not isinstance(found, bool):
                    return found
                if found:
                    return None
            committed = self._commit()
        elif monotonic() - committed > FRESH_SECONDS:
            self.row.sent_at = self.progress.now()
            self.progress.write([self.row])
        try:
            key = self.connector.push(self.spec, self.push)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001 (judged, and written down with the step)
            return self._failed(error)
        self._done(key)
        return None

    def found_out(self) -> Never | Later | None:
        found = self._found()
        if isinstance(found, Later):
            return found
        return None if found else never(PermanentError("it did not arrive"))

    def _commit(self) -> float:
        before = monotonic()
        about_to_send(self.progress, self.row)
        self.progress.begin([self.row])
        return before

    def _found(self) -> bool | Later:
        """Whether it arrived, as far as that is certain."""
        if type(self.connector).find is Connector.find:
            return False
        try:
            key = self.connector.find(self.spec, self.push)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001 (asked again later)
            return self._unknown(error)
        if key is not None:
            self._done(key)
            return True
        left = settle_in(self.progress, self.row, self.place)
        if left > 0:
            early = RetryableError(
                f"{self.place.slug}: whether it arrived is not certain yet",
                connection=self.place.slug,
            )
            return Later(early, unknown=True, wait=left, connection_id=self.place.pk)
        return False

    def _failed(self, error: Exception) -> Never | Later | None:
        row = self.row
        row.error, row.error_code = _said(error)
        log.warning(
            "a write did not go as asked", connection=self.place.slug, step=row.name,
            command=self.progress.reference, error=row.error[:500],
            exc_info=not isinstance(error, HubError),
        )  # fmt: skip
        if isinstance(error, DEFINITE):
            return never(error)
        if isinstance(error, HubError) and never_sent(error):
            self.progress.keep(row, STATE.WAITING)
            if action_for(error) is Action.PAUSE:
                pauses(self.place.pk, error)
            return judged(error, self.place.pk)
        found = self._found()
        if found is True:
            return None
        return found if isinstance(found, Later) else self._unknown(error)

    def _unknown(self, error: Exception) -> Later:
        met = judged(error, self.place.pk)
        if isinstance(met, Later):
            return Later(met.error, unknown=True, wait=met.wait, connection_id=self.place.pk)
        wrapped = RetryableError(_said(error)[0], connection=self.place.slug)
        return Later(wrapped, unknown=True, connection_id=self.place.pk)

    def _done(self, key: str) -> None:
        self.row.record_key = key
        self.progress.ended(self.row, STATE.DONE, {"key": key, "system": self.place.slug})


def _place(capability: str, near: int | None) -> Connection:
    if near is not None:
        row = doors.of(near)
        if any(c.slug == capability for c in connector_class(row.connector).capabilities):
            return row
    return doors.for_capability(capability)


def _said(error: Exception) -> tuple[str, str]:
    if isinstance(error, HubError):
        return error.message, error.code
    return f"{type(error).__name__}: {error}", "internal"
