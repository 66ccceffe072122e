"""`POST /hooks/{connection}/`: verified over the raw body, committed to the inbox, then 202.

A WSGI application of its own, in front of Django's middleware: what a sender waits for is one
signature and one INSERT. Answers are problem details (RFC 9457); what was wrong with a signature
is said in the log alone.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from django.core.exceptions import ValidationError
from django.db import Error as DjangoDatabaseError
from django.db import connection as database

from connectors.inbox.arrive import Arrival, Inlet
from connectors.models import Connection
from connectors.models.connection import SLUG
from connectors.runtime.connector import Connector, connector_class
from connectors.secrets import unseal
from connectors.webhooks.arrivals import Reader, unread
from connectors.webhooks.declare import Delivery, SignatureError, Webhook
from connectors.webhooks.schemes import UNCONFIGURED
from observability import context, received, refusals, spans
from observability.errors import HubError

log = structlog.get_logger(__name__)

PREFIX = "/hooks/"
MOST_BYTES = 5 * 1024 * 1024
#: Of a delivery that is too large, what is read and thrown away before it is refused.
MOST_SKIPPED = 4 * MOST_BYTES
#: How long a change of secrets takes to reach every process, at most.
KNOWN_SECONDS = 2.0
RETRY_AFTER = "5"

Headers = dict[str, str]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]

REASONS = {
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    503: "Service Unavailable",
}


class RefusedError(Exception):
    """The delivery is not accepted."""

    def __init__(self, status: int, code: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = [(name.replace("_", "-"), value) for name, value in headers.items()]


@dataclass(frozen=True, slots=True)
class Door:
    """What is known of one connection's webhook."""

    connection_id: int
    webhook: Webhook
    secrets: tuple[str, ...]
    reader: Reader
    until: float


class Receiver:
    """The WSGI application."""

    def __init__(self) -> None:
        self._inlet = Inlet()
        self._doors: dict[str, Door] = {}
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        headers = _headers(environ)
        began = time.perf_counter()
        correlation_id = context.accepted_id(_Titled(headers)) or context.new_id()
        with context.correlation(correlation_id):
            try:
                status, body, more = 202, self._receive(environ, headers, correlation_id), []
                kind = "application/json"
            except RefusedError as refused:
                status, more, kind = refused.status, refused.headers, "application/problem+json"
                body = _problem(refused, correlation_id)
                milliseconds = (time.perf_counter() - began) * 1000
                asked = (environ["REQUEST_METHOD"], environ["PATH_INFO"], status)
                received.note(*asked, milliseconds, correlation_id)
            spans.answered(
                environ["REQUEST_METHOD"], environ["PATH_INFO"], status,
                time.perf_counter() - began, headers.get(context.TRACEPARENT, ""), read=False,
            )  # fmt: skip
        start_response(
            f"{status} {REASONS[status]}",
            [
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                (context.HEADER, correlation_id),
                *more,
            ],
        )
        return [body]

    def _receive(self, environ: dict[str, Any], headers: Headers, correlation_id: str) -> bytes:
        slug = environ["PATH_INFO"].removeprefix(PREFIX).removesuffix("/")
        if environ["REQUEST_METHOD"] != "POST":
            raise RefusedError(405, "method", "Webhooks are sent by POST.", Allow="POST")
        body = _body(environ)
        door = self._door(slug)
        delivery = Delivery(method="POST", path=_target(environ), headers=headers, body=body)
        try:
            door.webhook.scheme.verify(delivery, door.secrets, time.time())
        except SignatureError as error:
            log.warning(
                "a webhook was refused", connection=slug, code=error.code, reason=error.reason
            )
            if error.code == UNCONFIGURED:
                # Ours to mend: a sender that is told it signed wrongly may give up for good.
                raise _unavailable() from error
            refusals.note(refusals.WEBHOOK, slug, "", error.code)
            raise RefusedError(
                401, "signature", "The signature does not belong to this body and secret."
            ) from error
        arrivals = door.reader.read(delivery.body, delivery.headers)
        kept = {n: headers[n] for n in door.webhook.headers if n in headers}
        try:
            new = self._put(door, arrivals, kept, correlation_id)
        except psycopg.Error as error:
            log.warning("a webhook could not be stored", connection=slug, error=str(error))
            raise _unavailable() from error
        return b'{"accepted":%d,"duplicates":%d}' % (new, len(arrivals) - new)

    def _put(self, door: Door, arrivals: list[Arrival], kept: Headers, correlation_id: str) -> int:
        try:
            return self._inlet.put(door.connection_id, arrivals, kept, correlation_id)
        except psycopg.DataError as error:
            # A value that fits no column fits none tomorrow either: sent again, it would come for
            # ever. Which event it is in nobody can tell, so each is kept for a person.
            held = [unread(arrival.body, f"it cannot be stored: {error}") for arrival in arrivals]
            return self._inlet.put(door.connection_id, held, kept, correlation_id)

    def _door(self, slug: str) -> Door:
        door = self._doors.get(slug)
        if door is None or door.until < time.monotonic():
            with self._lock:
                # Another thread may have looked while this one waited.
                now_known = self._doors.get(slug)
                if now_known is not None and now_known.until >= time.monotonic():
                    return now_known
                door = self._look_up(slug, now_known)
        return door

    def _look_up(self, slug: str, former: Door | None) -> Door:
        try:
            SLUG(slug)
        except ValidationError as error:
            raise _not_found() from error
        try:
            row = _row(slug)
        except DjangoDatabaseError as error:
            if former is not None:
                return former
            raise _unavailable() from error
        connector = _connector(row) if row else None
        webhook = connector.webhook if connector else None
        if row is None or connector is None or webhook is None:
            self._doors.pop(slug, None)
            raise _not_found()
        self._doors[slug] = door = Door(
            row.pk,
            webhook,
            _secrets(row),
            Reader.of(connector, webhook),
            time.monotonic() + KNOWN_SECONDS,
        )
        return door


def _row(slug: str) -> Connection | None:
    """The enabled connection of a name. Raises django.db.Error."""
    rows = Connection.objects.filter(slug=slug, enabled=True)
    try:
        return rows.first()
    except DjangoDatabaseError:
        # PostgreSQL was restarted since this thread last asked: its connection is of no use.
        database.close()
    try:
        return rows.first()
    except DjangoDatabaseError:
        database.close()
        raise


def _connector(row: Connection) -> type[Connector]:
    try:
        return connector_class(row.connector)
    except HubError as error:
        log.warning("a connection is not configured", connection=row.slug, error=str(error))
        raise _unavailable() from error


def _secrets(row: Connection) -> tuple[str, ...]:
    try:
        settings = connector_class(row.connector).Settings(
            **row.settings, **unseal(row.secrets, row.slug)
        )
    except (HubError, ValueError) as error:
        log.warning("a connection is not configured", connection=row.slug, error=str(error))
        return ()
    return tuple(settings.webhook_secrets())


def _headers(environ: Mapping[str, Any]) -> Headers:
    found = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    found["content-type"] = environ.get("CONTENT_TYPE", "")
    return found


def _body(environ: Mapping[str, Any]) -> bytes:
    given = environ.get("CONTENT_LENGTH") or ""
    if given and not (given.isascii() and given.isdigit()):
        raise RefusedError(400, "content_length", "Content-Length must be a number of bytes.")
    if given and int(given) > MOST_BYTES:
        _skip(environ)
        raise _too_large()
    # A chunked body has no length: one byte more than allowed tells that it is too long.
    body: bytes = environ["wsgi.input"].read(int(given) if given else MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        _skip(environ)
        raise _too_large()
    if given and len(body) != int(given):
        raise RefusedError(400, "truncated", f"{given} bytes were announced, {len(body)} came.")
    return body


def _skip(environ: Mapping[str, Any]) -> None:
    """Read on for a while: a sender that meets a closed connection never sees our answer."""
    left = MOST_SKIPPED
    while left > 0 and (part := environ["wsgi.input"].read(min(left, 65536))):
        left -= len(part)


def _target(environ: Mapping[str, Any]) -> str:
    """The request's path with its query, as it was signed."""
    query = environ.get("QUERY_STRING", "")
    path: str = environ["PATH_INFO"]
    return f"{path}?{query}" if query else path


def _not_found() -> RefusedError:
    return RefusedError(404, "not_found", "No connection of this name takes webhooks.")


def _too_large() -> RefusedError:
    return RefusedError(413, "too_large", f"A delivery has at most {MOST_BYTES} bytes.")


def _unavailable() -> RefusedError:
    return RefusedError(
        503, "unavailable", "Nothing was stored; send it again.", Retry_After=RETRY_AFTER
    )


def _problem(refused: RefusedError, correlation_id: str) -> bytes:
    return json.dumps(
        {
            "type": f"urn:headwater:problem:{refused.code}",
            "title": REASONS[refused.status],
            "status": refused.status,
            "detail": refused.detail,
            "code": refused.code,
            "correlation_id": correlation_id,
        }
    ).encode()


class _Titled(dict[str, str]):
    """Looks names up without regard to case; its keys are lower-case."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)
