"""What was written is read back from its owners: the last leg of a command's life."""

from __future__ import annotations

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


def confirm(command: Command) -> Command:
    """Read back what a command wrote that this process has leased; the command as it is then.

    Raises django.db.DatabaseError.
    """
    rows = [row for row in CommandStep.objects.filter(command=command) if to_read_back(row)]
    with correlation(command.correlation_id or None):
        try:
            for place, row in enumerate(rows, start=1):
                error = _confirmed(command, row, last=place == len(rows))
                if error is not None:
                    return _later(command, error)
            return Command.objects.get(pk=command.pk)
        except ledger.LeaseLostError:
            return Command.objects.get(pk=command.pk)


def _confirmed(command: Command, row: CommandStep, *, last: bool) -> Exception | None:
    try:
        said = _asked(command, row)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # noqa: BLE001 (written down with the command)
        return error
    with transaction.atomic():
        row.read_back_at = said.asked
        ended: dict[str, Any] = {
            "state": Command.State.CONFIRMED, "confirmed_at": ledger.NOW,
            "finished_at": ledger.NOW, "waits_for_id": None, "error_code": "", "error": "",
        }  # fmt: skip
        # First of its transaction: who has lost the lease tells the inbox nothing.
        ledger.write(
            command, [row], lease=None if last else ledger.LEASE_SECONDS, wait=False,
            **(ended if last else {}),
        )  # fmt: skip
        readback.tell_inbox(said)
        wake.notify(wake.INBOX)
    return None


def _asked(command: Command, row: CommandStep) -> ReadBack:
    place = doors.of(row.connection_id)
    written = Written(
        place.pk, row.stream, row.record_key, row.idempotency_key, row.body.encode(),
        command.correlation_id,
    )  # fmt: skip
    with doors.opened(place, monotonic() + DRAIN_SECONDS) as connector:
        return readback.ask(connector, written)


def _later(command: Command, error: Exception) -> Command:
    """It is asked for until it is had: what was written is there, and not what we show."""
    met = judged(error)
    spared = isinstance(met, Later) and met.spared
    asked = met.wait if isinstance(met, Later) else 0.0
    text = str(error)
    log.warning("a write could not be read back", command=command.reference, error=text[:500])
    backoff = 0.0 if spared else POLICY.wait(command.attempts) or LONGEST
    return ledger.write(
        command, after=max(asked, backoff), attempts=command.attempts - spared,
        error_code=getattr(error, "code", "internal"), error=text[:2000],
    )  # fmt: skip
