"""What was written is read back from its owners: the last leg of a command's life.

Many commands are confirmed at once: each stream is asked once for all that was written to it, as far
as its connector can do that, and what it said is committed for all together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from time import monotonic
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, transaction

from connectors.commands import doors, ledger
from connectors.commands.progress import DRAIN_SECONDS, to_read_back
from connectors.commands.trouble import LONGEST, POLICY, Later, judged
from connectors.models import Command, CommandStep
from connectors.outbox import readback
from connectors.outbox.readback import ReadBack, Written
from connectors.runtime import wake
from observability.context import correlation

log = structlog.get_logger(__name__)

CONFIRMED: dict[str, Any] = {
    "state": Command.State.CONFIRMED, "confirmed_at": ledger.NOW, "finished_at": ledger.NOW,
    "waits_for_id": None, "error_code": "", "error": "",
}  # fmt: skip

Rows = dict[int, list[CommandStep]]


def confirm(commands: Sequence[Command]) -> None:
    """Read back what these commands wrote, which this process has leased.

    Raises django.db.DatabaseError.
    """
    left: Rows = {command.pk: [] for command in commands}
    for row in CommandStep.objects.filter(command__in=commands):
        if to_read_back(row):
            left[row.command_id].append(row)
    # One call for many has no one id.
    told = commands[0].correlation_id if len(commands) == 1 else None
    with correlation(told or None):
        _Confirming({command.pk: command for command in commands}, left).run()


class _Confirming:
    def __init__(self, commands: dict[int, Command], left: Rows) -> None:
        self._commands, self._left = commands, left

    def run(self) -> None:
        nothing: Rows = {pk: [] for pk, rows in self._left.items() if not rows}
        ledger.write_all(self._told(nothing), **CONFIRMED)
        places: dict[tuple[int | None, str], list[CommandStep]] = defaultdict(list)
        for row in (row for rows in self._left.values() for row in rows):
            places[row.connection_id, row.stream].append(row)
        for found in places.values():
            # Whose read-back failed at another system is asked for again as a whole.
            rows = [row for row in found if row.command_id in self._commands]
            if not rows:
                continue
            try:
                said = self._asked(rows)
            except (OperationalError, InterfaceError):
                raise
            except Exception as error:  # noqa: BLE001 (written down with the commands)
                for row in rows:
                    self._later(row.command_id, error)
                continue
            self._keep(rows, said)

    def _asked(self, rows: Sequence[CommandStep]) -> list[ReadBack]:
        place = doors.of(rows[0].connection_id)
        written = [
            Written(
                place.pk, row.stream, row.record_key, row.idempotency_key, row.body.encode(),
                self._commands[row.command_id].correlation_id,
            )
            for row in rows
        ]  # fmt: skip
        with doors.opened(place, monotonic() + DRAIN_SECONDS) as connector:
            return readback.ask(connector, written)

    def _keep(self, rows: Sequence[CommandStep], said: Sequence[ReadBack]) -> None:
        """One transaction for all of them: who has lost the lease tells the inbox nothing."""
        heard: Rows = defaultdict(list)
        for row, one in zip(rows, said, strict=True):
            row.read_back_at = one.asked
            heard[row.command_id].append(row)
        done = {
            pk: steps for pk, steps in heard.items()
            if all(row.read_back_at for row in self._left[pk])
        }  # fmt: skip
        more = {pk: steps for pk, steps in heard.items() if pk not in done}
        with transaction.atomic():
            mine = ledger.write_all(self._told(done), wait=False, **CONFIRMED)
            mine |= ledger.write_all(self._told(more), wait=False, lease=ledger.LEASE_SECONDS)
            readback.tell_inbox(
                [one for row, one in zip(rows, said, strict=True) if row.command_id in mine]
            )
            wake.notify(wake.INBOX)
        for pk in heard:
            if pk in done or pk not in mine:
                self._commands.pop(pk, None)

    def _told(self, rows: Rows) -> list[tuple[Command, Sequence[CommandStep]]]:
        return [(self._commands[pk], steps) for pk, steps in rows.items()]

    def _later(self, pk: int, error: Exception) -> None:
        """It is asked for until it is had: what was written is there, and not what we show."""
        command = self._commands.pop(pk, None)
        if command is None:
            return
        met = judged(error)
        spared = isinstance(met, Later) and met.spared
        asked = met.wait if isinstance(met, Later) else 0.0
        text = str(error)
        log.warning("a write could not be read back", command=command.reference, error=text[:500])
        backoff = 0.0 if spared else POLICY.wait(command.attempts) or LONGEST
        try:
            ledger.write(
                command, after=max(asked, backoff), attempts=command.attempts - spared,
                error_code=getattr(error, "code", "internal"), error=text[:2000],
            )  # fmt: skip
        except ledger.LeaseLostError:
            log.info("somebody else confirms it now", command=command.reference)
