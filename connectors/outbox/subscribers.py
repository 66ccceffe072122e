"""A turn of calls to one endpoint, and what its answers say about it.

Webhooks go one by one (Standard Webhooks 1.0); purges that wait together, in one call (`kinds`).
Any answer but a 2xx is a failure that may pass, because the receiver may be mended; 410 says "never
again". While an endpoint fails it is asked for one command at a time, with growing pauses, so
that its backlog does not spend its attempts on an outage.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec
import structlog
from django.db import connection, transaction

from connectors.models import Message, Subscriber
from connectors.outbox.commands import BOX, Command, claim_of
from connectors.outbox.kinds import KINDS, Call, Kind, Purge
from connectors.runtime.box import Failure, Leases
from connectors.runtime.retry import policy
from connectors.runtime.session import HubSession, Response
from connectors.webhooks.schemes import standard_signature
from observability.context import correlation
from observability.errors import HubError, PermanentError
from observability.redaction import redact_text

log = structlog.get_logger(__name__)

BATCH = 20
#: Purges are claimed in such numbers: they share calls.
PURGES = 200
MARGIN_SECONDS = 15.0
#: The longest pause of an endpoint that fails.
LONGEST_PAUSE = 60.0
REPLY_CHARACTERS = 300
MEBIBYTE = 1024 * 1024
GONE = 410
DISABLED = "endpoint.disabled"

_random = random.Random()  # noqa: S311 (jitter, no secret)

DELIVERED = """
UPDATE connectors_subscriber
SET delivered_at = now(), failing_since = NULL, failures = 0, paused_until = NULL
WHERE id = %s AND (failures > 0 OR delivered_at IS NULL
                   OR delivered_at < now() - interval '1 second')"""

FAILED = """
UPDATE connectors_subscriber
SET failures = failures + 1, failing_since = COALESCE(failing_since, now()),
    paused_until = now() + %s * interval '1 second'
WHERE id = %s"""

SWITCH_OFF = """
UPDATE connectors_subscriber SET enabled = false, disabled_because = %s
WHERE id = %s AND enabled"""

BURY = """
UPDATE connectors_outboxcommand SET state = 'dead', finished_at = now(), error_code = %s, error = %s
WHERE target = %s AND state IN ('received', 'retrying')"""


@dataclass(frozen=True, slots=True)
class Told:
    """One call, and the commands that it carries out."""

    commands: Sequence[Command]
    call: Call


def turn(pk: int) -> int:
    """Tell one endpoint what is due; how many commands it took; 0 also where it failed."""
    row = Subscriber.objects.get(pk=pk)
    kind = KINDS[row.kind]
    lease = row.timeout_seconds + MARGIN_SECONDS
    most = BATCH if kind.purge is None else PURGES
    claimed = claim_of(f"subscriber/{pk}", 1 if row.failures else most, lease)
    if not claimed:
        return 0
    leases, taken = Leases(BOX, {command.id: command.token for command in claimed}, lease), 0
    session = HubSession(
        row.slug,
        row.url,
        timeout=(min(5.0, row.timeout_seconds), row.timeout_seconds),
        max_body_bytes=MEBIBYTE,
        retries=0,
    )
    try:
        for told in _calls(row, kind, claimed):
            if not leases.take(*[command.id for command in told.commands]):
                continue
            with correlation(told.commands[0].correlation_id or None):
                error = _send(row, session, told)
                if error is not None:
                    # The others have not been tried.
                    leases.give_back()
                    _refused(row, told, error)
                    return 0
                taken += len(told.commands)
    finally:
        session.close()
    return taken


def _calls(row: Subscriber, kind: Kind, claimed: Sequence[Command]) -> Iterator[Told]:
    """Each made when it is to be sent: a signature grows old."""
    if kind.purge is None:
        for command in claimed:
            yield Told([command], Call(row.url, _signed(row, command), command.body))
        return
    left = iter(claimed)
    purges = [msgspec.json.decode(command.body, type=Purge) for command in claimed]
    for count, purge in kind.merged(purges):
        yield Told(list(islice(left, count)), kind.purge(row, purge))


def _send(row: Subscriber, session: HubSession, told: Told) -> HubError | None:
    """What was wrong, if it was not taken."""
    try:
        response = session.post(told.call.url, data=told.call.body, headers=told.call.headers)
        if not 200 <= response.status_code < 300:
            raise PermanentError(
                "the endpoint refused", status=response.status_code, excerpt=response.content
            )
    except HubError as error:
        return error
    with transaction.atomic(), connection.cursor() as cursor:
        mine = BOX.finish({c.id: c.token for c in told.commands}, Message.State.APPLIED)
        if mine:
            cursor.execute(
                "UPDATE connectors_outboxcommand SET reply = %s WHERE id = ANY(%s)",
                [_shown(response), list(mine)],
            )
        cursor.execute(DELIVERED, [row.pk])
    return None


def _signed(row: Subscriber, command: Command) -> dict[str, str]:
    stamp = int(time.time())
    return {
        "Content-Type": "application/json",
        "User-Agent": "Headwater-Webhooks",
        "webhook-id": command.idempotency_key,
        "webhook-timestamp": str(stamp),
        "webhook-signature": standard_signature(
            command.idempotency_key, stamp, command.body, row.live_secrets()
        ),
    }


def _refused(row: Subscriber, told: Told, error: HubError) -> None:
    if error.status == GONE:
        BOX.give_back({c.id: c.token for c in told.commands})
        switch_off(row, "the endpoint answered 410 Gone")
        return
    asked = error.retry_after
    pause = max(_random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 2.0**row.failures), asked or 0.0)
    retries = policy(row.retry_seconds)
    log.warning("a change was not taken", subscriber=row.slug, **error.details())
    BOX.fail(
        Failure(c.id, c.token, error.code, _why(error), retries.wait(c.attempts, asked))
        for c in told.commands
    )
    with connection.cursor() as cursor:
        cursor.execute(FAILED, [pause, row.pk])


def switch_off(row: Subscriber, because: str) -> None:
    """Send nothing more; what waits becomes dead letters, for a person to replay or to leave."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SWITCH_OFF, [because, row.pk])
        if cursor.rowcount:
            log.error("a subscriber's endpoint was switched off", subscriber=row.slug,
                      because=because)  # fmt: skip
        cursor.execute(BURY, [DISABLED, because, f"subscriber/{row.pk}"])


def _why(error: HubError) -> str:
    status = f"{error.status}: " if error.status else ""
    return f"{status}{error.message}" + (f": {error.excerpt}" if error.excerpt else "")


def _shown(response: Response) -> str:
    text = redact_text(response.text[: 4 * REPLY_CHARACTERS].replace("\x00", ""))
    text = text[:REPLY_CHARACTERS]
    return f"{response.status_code} {text}".strip()
