"""People are told of incidents: messages of `observability.telling`, through the outbox.

Each kind of channel is one function that makes one attempt. What fails is tried again as any command
is, and becomes a dead letter in the end; a channel waits for nobody but itself.
"""

from __future__ import annotations

import base64
import secrets as randomness
import smtplib
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction

from connectors.models import Message as Command
from connectors.outbox.commands import BOX, Draft, claim_of, put
from connectors.runtime import wake
from connectors.runtime.auth import HiddenAddress
from connectors.runtime.box import failure
from connectors.runtime.retry import DEFAULT
from connectors.runtime.session import HubSession, Response
from connectors.secrets import seal, unseal
from connectors.webhooks.schemes import standard_signature
from observability.channels import Channel
from observability.context import correlation, new_id
from observability.errors import ConfigurationError, HubError, PermanentError, RetryableError
from observability.redaction import remember
from observability.telling import KIND, Line, Message

BATCH = 5
TIMEOUT_SECONDS = 10.0
LEASE_SECONDS = 2 * TIMEOUT_SECONDS + 15.0
MEBIBYTE = 1024 * 1024
#: Standard Webhooks 1.0, "Signature scheme": 24 to 64 random bytes.
SECRET_BYTES = 32
SECRET = "0"  # noqa: S105 (its name)
#: Sentry's levels, by severity.
LEVELS = {"page": "error", "ticket": "warning", "note": "info"}


class Told(msgspec.Struct):
    """A message as it waits in the outbox."""

    subject: str
    text: str
    incidents: list[dict[str, Any]]


def deliver(channel: Channel, message: Message) -> None:
    """Receiver of `observability.telling`: put it into the outbox, in the caller's transaction."""
    body = msgspec.json.encode(message.as_json())
    put([Draft(KIND, f"alert_{new_id()}", body, channel=channel.pk, correlation_id=new_id())])
    wake.notify(wake.OUTBOX)


def turn(pk: int) -> int:
    """Tell one channel what waits for it; how many messages it took; 0 also where it failed."""
    row = Channel.objects.get(pk=pk)
    taken = 0
    for command in claim_of(f"channel/{pk}", BATCH, LEASE_SECONDS):
        with correlation(command.correlation_id or None):
            try:
                send(row, command.idempotency_key, command.body)
            except HubError as error:
                BOX.fail([failure(error, command.id, command.token, command.attempts, DEFAULT)])
                continue
        with transaction.atomic():
            BOX.finish({command.id: command.token}, Command.State.APPLIED)
        taken += 1
    return taken


def send(row: Channel, key: str, body: bytes) -> None:
    """One attempt to tell a channel. Raises HubError, which names no secret."""
    SENDERS[row.kind](row, key, body)


def test(row: Channel, by: str) -> None:
    """Tell it, at once, that somebody tries it out. Raises HubError."""
    said = Line(
        0, "test", "note", "open", "", "", f"{by} tests this channel", "nothing is wrong",
        datetime.now(UTC), 1, 0, settings.HEADWATER_URL,
    )  # fmt: skip
    send(row, f"test_{new_id()}", msgspec.json.encode(Message((said,)).as_json()))


def keep_secret(row: Channel, secret: str) -> None:
    """Use a secret from now on: an address, a DSN. The caller saves the row."""
    row.secrets = seal({SECRET: secret})


def make_secret(row: Channel) -> str:
    """Make one to sign with, which is shown once. The caller saves the row."""
    made = "whsec_" + base64.b64encode(randomness.token_bytes(SECRET_BYTES)).decode()
    keep_secret(row, made)
    return made


def _secret(row: Channel, wanted: str) -> str:
    secret = unseal(row.secrets, row.slug).get(SECRET, "")
    if not secret:
        raise ConfigurationError(f"the channel {row.slug} has no {wanted}: enter it in its form")
    return secret


def _email(row: Channel, key: str, body: bytes) -> None:
    said = _told(body)
    if settings.EMAIL_BACKEND.endswith("smtp.EmailBackend") and not settings.EMAIL_HOST:
        raise ConfigurationError("HEADWATER_SMTP_URL is not set: no mail server is known")
    mail = EmailMessage(
        f"[Headwater] {said.subject}"[:200].replace("\n", " "),
        said.text,
        to=row.addresses,
        headers={"Message-ID": f"<{key}@{urlsplit(settings.HEADWATER_URL).hostname}>"},
    )
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        raise PermanentError("the mail server takes none of the addresses") from error
    except (smtplib.SMTPException, OSError) as error:
        raise RetryableError(f"the mail server failed: {type(error).__name__}") from error


def _slack(row: Channel, _key: str, body: bytes) -> None:
    """Slack, "Sending messages using incoming webhooks": a POST of {"text"}; others take it too."""
    said, address = _told(body), _secret(row, "address of an incoming webhook")
    text = f"*{said.subject}*\n{said.text}"
    _post(row, address, msgspec.json.encode({"text": text}), hidden=True)


def _webhook(row: Channel, key: str, body: bytes) -> None:
    """Standard Webhooks 1.0."""
    secret, stamp = _secret(row, "secret"), int(time.time())
    headers = {
        "webhook-id": key,
        "webhook-timestamp": str(stamp),
        "webhook-signature": standard_signature(key, stamp, body, [secret]),
    }
    _post(row, row.address, body, headers)


def _sentry(row: Channel, key: str, body: bytes) -> None:
    """One event in an envelope (Sentry, "Envelopes", "Event Payloads", "Authentication")."""
    dsn = unseal(row.secrets, row.slug).get(SECRET) or settings.SENTRY_DSN
    parts = urlsplit(dsn)
    remember([parts.username or ""])
    if not (parts.username and parts.hostname and parts.path.strip("/")):
        raise ConfigurationError(f"the channel {row.slug} has no DSN, and SENTRY_DSN is not set")
    said = _told(body)
    event_id = uuid.uuid5(uuid.NAMESPACE_OID, key).hex
    worst = min(LEVELS.values(), key=lambda level: level not in _levels(said))
    event = {
        "event_id": event_id,
        "timestamp": datetime.now(UTC),
        "level": worst,
        "logger": "headwater.incidents",
        "platform": "python",
        "release": settings.HEADWATER_VERSION,
        "message": {"formatted": said.subject},
        "fingerprint": [f"{one['kind']}/{one['system']}/{one['stream']}" for one in said.incidents],
        "tags": {
            name: said.incidents[0][name] for name in ("kind", "severity", "system", "stream")
        },
        "extra": {"text": said.text, "incidents": said.incidents},
    }
    payload = msgspec.json.encode(event)
    envelope = b"\n".join(
        (
            msgspec.json.encode({"event_id": event_id, "sent_at": datetime.now(UTC)}),
            msgspec.json.encode({"type": "event", "length": len(payload)}),
            payload,
            b"",
        )
    )
    path, _, project = parts.path.rstrip("/").rpartition("/")
    host = parts.hostname + (f":{parts.port}" if parts.port else "")
    headers = {
        "Content-Type": "application/x-sentry-envelope",
        "X-Sentry-Auth": "Sentry sentry_version=7, sentry_client=headwater/"
        f"{settings.HEADWATER_VERSION}, sentry_key={parts.username}",
    }
    _post(row, f"{parts.scheme}://{host}{path}/api/{project}/envelope/", envelope, headers)


def _levels(said: Told) -> set[str]:
    return {LEVELS.get(one["severity"], "info") for one in said.incidents}


def _post(
    row: Channel,
    address: str,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    hidden: bool = False,
) -> Response:
    """POST to a channel's endpoint. `hidden`: nobody is told its path. Raises UpstreamError."""
    parts = urlsplit(address)
    shown = f"{parts.scheme}://{parts.netloc}/" if hidden else address
    if hidden:
        # Whoever refuses quotes what was asked for, and not the whole address.
        given = (value for _, value in parse_qsl(parts.query))
        remember([parts.path, parts.path.rpartition("/")[2], *given])
    session = HubSession(
        row.slug,
        shown,
        auth=HiddenAddress(address) if hidden else None,
        timeout=(5.0, TIMEOUT_SECONDS),
        max_body_bytes=MEBIBYTE,
        retries=0,
    )
    named = {
        "Content-Type": "application/json",
        "User-Agent": "Headwater-Alerts",
        **(headers or {}),
    }
    try:
        response = session.post(shown, data=body, headers=named)
    finally:
        session.close()
    if not 200 <= response.status_code < 300:
        raise RetryableError(
            "the channel refused", status=response.status_code, excerpt=response.content[:200]
        )
    return response


def _told(body: bytes) -> Told:
    said: Told = msgspec.convert(msgspec.json.decode(body)["data"], Told)
    return said


SENDERS: Mapping[str, Callable[[Channel, str, bytes], None]] = MappingProxyType(
    {
        Channel.Kind.EMAIL: _email,
        Channel.Kind.SLACK: _slack,
        Channel.Kind.WEBHOOK: _webhook,
        Channel.Kind.SENTRY: _sentry,
    }
)
