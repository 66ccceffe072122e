"""A turn of commands to one upstream: pushed, then read back."""

from __future__ import annotations

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from connectors.models import Connection, Message
from connectors.outbox import readback
from connectors.outbox.commands import BOX, Command, claim_of
from connectors.outbox.readback import Written
from connectors.runtime import wake
from connectors.runtime.box import Leases, failure
from connectors.runtime.connector import Connector, Push
from connectors.runtime.pause import pauses
from connectors.runtime.retry import DEFAULT
from observability.context import correlation
from observability.errors import HubError

log = structlog.get_logger(__name__)

BATCH = 20
MARGIN_SECONDS = 15.0

ACKNOWLEDGED = """
UPDATE connectors_outboxcommand SET reply = %s, record_key = %s
WHERE id = %s AND token = %s AND state = 'claimed'"""


def turn(pk: int) -> int:
    """Send due commands to one upstream; how many were claimed."""
    row = Connection.objects.get(pk=pk)
    lease = 2 * row.timeout_seconds + MARGIN_SECONDS
    claimed = claim_of(f"connection/{pk}", BATCH, lease)
    if not claimed:
        return 0
    leases = Leases(BOX, {command.id: command.token for command in claimed}, lease)
    try:
        connector = row.open()
    except HubError as error:
        _failed(row, claimed, error)
        return len(claimed)
    try:
        for command in claimed:
            if not leases.take(command.id):
                continue
            with correlation(command.correlation_id or None):
                if not _carry_out(row, connector, command):
                    # The upstream is to be left alone; the others have not been tried.
                    leases.give_back()
                    break
    finally:
        connector.session.close()
    return len(claimed)


def _carry_out(row: Connection, connector: Connector, command: Command) -> bool:
    """Push and read back; False: the connection is paused now."""
    try:
        spec = connector.stream(command.stream)
        key = command.record_key
        if not command.reply:
            push = Push(command.kind, key, command.body, command.idempotency_key)
            key = connector.push(spec, push)
            with connection.cursor() as cursor:
                cursor.execute(ACKNOWLEDGED, ["acknowledged", key, command.id, command.token])
        said = readback.ask(
            connector,
            [
                Written(
                    row.pk, command.stream, key, command.idempotency_key, command.body,
                    command.correlation_id,
                )
            ],
        )  # fmt: skip
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # noqa: BLE001 (written down with the command)
        return not _failed(row, [command], error)
    with transaction.atomic():
        if BOX.finish({command.id: command.token}, Message.State.APPLIED):
            readback.tell_inbox(said)
            wake.notify(wake.INBOX)
    return True


def _failed(row: Connection, commands: list[Command], error: Exception) -> bool:
    """Write it down; whether the connection is paused now."""
    log.warning(
        "a command could not be carried out",
        connection=row.slug,
        kind=commands[0].kind,
        record=commands[0].record_key,
        error=str(error)[:500],
        exc_info=not isinstance(error, HubError),
    )
    BOX.fail(failure(error, c.id, c.token, c.attempts, DEFAULT) for c in commands)
    return pauses(row.pk, error)
