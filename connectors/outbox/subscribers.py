"""A turn of webhooks to one endpoint (Standard Webhooks 1.0), and what its answers say about it.

Any answer but a 2xx is a failure that may pass, because the receiver may be mended; 410 says "never
again". While an endpoint fails it is asked for one webhook at a time, with growing pauses, so
that its backlog does not spend its attempts on an outage.
"""

from __future__ import annotations

import random
import time

import structlog
from django.db import connection, transaction

from connectors.models import Message, Subscriber
from connectors.outbox.commands import BOX, Command, claim_of
from connectors.runtime.box import Failure, Leases
from connectors.runtime.retry import policy
from connectors.runtime.session import HubSession, Response
from connectors.webhooks.schemes import standard_signature
from observability.context import correlation
from observability.errors import HubError, PermanentError

log = structlog.get_logger(__name__)

BATCH = 20
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


def turn(pk: int) -> int:
    """Send due webhooks to one endpoint; how many it took; 0 also where it failed."""
    row = Subscriber.objects.get(pk=pk)
    lease = row.timeout_seconds + MARGIN_SECONDS
    claimed = claim_of(f"subscriber/{pk}", 1 if row.failures else BATCH, lease)
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
        for command in claimed:
            if not leases.take(command.id):
                continue
            with correlation(command.correlation_id or None):
                error = _send(row, session, command)
                if error is not None:
                    # The others have not been tried.
                    leases.give_back()
                    _refused(row, command, error)
                    return 0
                taken += 1
    finally:
        session.close()
    return taken


def _send(row: Subscriber, session: HubSession, command: Command) -> HubError | None:
    """What was wrong, if it was not taken."""
    try:
        response = session.post(row.url, data=command.body, headers=_signed(row, command))
        if not 200 <= response.status_code < 300:
            raise PermanentError(
                "the endpoint refused", status=response.status_code, excerpt=response.content
            )
    except HubError as error:
        return error
    with transaction.atomic(), connection.cursor() as cursor:
        if BOX.finish({command.id: command.token}, Message.State.APPLIED):
            cursor.execute(
                "UPDATE connectors_outboxcommand SET reply = %s WHERE id = %s",
                [_shown(response), command.id],
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


def _refused(row: Subscriber, command: Command, error: HubError) -> None:
    if error.status == GONE:
        BOX.give_back({command.id: command.token})
        switch_off(row, "the endpoint answered 410 Gone")
        return
    asked = error.retry_after
    pause = max(_random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 2.0**row.failures), asked or 0.0)
    wait = policy(row.retry_seconds).wait(command.attempts, asked)
    log.warning("a webhook was not taken", subscriber=row.slug, **error.details())
    BOX.fail([Failure(command.id, command.token, error.code, _why(error), wait)])
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
    text = response.text[:REPLY_CHARACTERS].replace("\x00", "")
    return f"{response.status_code} {text}".strip()
