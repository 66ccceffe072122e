"""The hub's own commands, many at once: what each writes is committed for all, before and after.

Only what is one write and nothing else, and has met no error yet (`ledger.FRESH`). What does not go as asked
is left as it stands to the drain, which takes it up alone, and finds out first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError

from connectors.commands import ledger, sending, sidebyside
from connectors.commands.confirming import confirm
from connectors.commands.declare import Operation, Write, operations
from connectors.commands.progress import Progress
from connectors.models import Command
from connectors.runtime import wake
from observability.context import correlation

log = structlog.get_logger(__name__)

#: So many are sent in less time than a lease, also where an upstream is slow.
AT_ONCE = 40


def simple() -> list[str]:
    """The operations whose commands can be carried out together."""
    return [slug for slug, one in operations().items() if not one.path and _write_of(one)]


def carry_out_together(commands: Sequence[Command]) -> None:
    """Send what these commands write, which this process has leased, and read it back.

    Raises django.db.DatabaseError.
    """
    ready = [made for command in commands if (made := _prepared(command)) is not None]
    for progress, row in ready:
        sending.about_to_send(progress, row)
    before = monotonic()
    mine = ledger.write_all(
        [(progress.command, [row]) for progress, row in ready],
        lease=ledger.LEASE_SECONDS, state=Command.State.SENT, sent_at=ledger.NOW,
    )  # fmt: skip
    ready = [(progress, row) for progress, row in ready if progress.command.pk in mine]
    sent = [(progress, _begun(progress, row, before)) for progress, row in ready]
    _acknowledge([progress for progress, future in sent if future.result()])


def _prepared(command: Command) -> tuple[Progress, Any] | None:
    """The row of its write; None where it must be left to the drain."""
    operation = operations()[command.operation]
    progress, step = Progress(command, operation), _write_of(operation)
    try:
        if step is not None:
            return progress, sending.prepared(progress, step, step.name, near=None)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # noqa: BLE001 (met again, and judged, by who takes it up alone)
        log.info("a command is carried out alone", command=command.reference, error=str(error))
    _leave(progress)
    return None


def _begun(progress: Progress, row: Any, committed: float) -> Future[bool]:
    with correlation(progress.correlation_id or None):
        return sidebyside.begin(partial(_sent, progress, row, committed))


def _sent(progress: Progress, row: Any, committed: float) -> bool:
    """Whether it was done; otherwise it is left as it stands."""
    try:
        if sending.send(progress, row, committed) is None:
            return True
        _leave(progress)
    except ledger.LeaseLostError:
        pass
    return False


def _acknowledge(done: Sequence[Progress]) -> None:
    alike: dict[int, list[Progress]] = defaultdict(list)
    for progress in done:
        alike[progress.operation.status].append(progress)
    for status, some in alike.items():
        mine = ledger.write_all(
            [(progress.command, list(progress.unwritten.values())) for progress in some],
            lease=ledger.LEASE_SECONDS, status=status, state=Command.State.ACKNOWLEDGED,
            results={one.command.pk: one.acknowledging()["result"] for one in some},
            acknowledged_at=ledger.NOW, attempts=0, error_code="", error="",
        )  # fmt: skip
        confirm([one.command for one in some if one.command.pk in mine])


def _leave(progress: Progress) -> None:
    """To be taken up alone, which an attempt that is counted says."""
    progress.write(lease=None, after=0.0)
    wake.WRITES.ring()


def _write_of(operation: Operation) -> Write | None:
    step = operation.steps[0]
    if len(operation.steps) > 1 or not isinstance(step, Write):
        return None
    return step if step.when is None and step.undo is None else None
