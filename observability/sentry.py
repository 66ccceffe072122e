"""Events for Sentry: what they say of the work at hand, and what they must not say.

An event has as tags what the work is about (connection, stream, record, run, contract version,
correlation id): bound by whoever works (structlog's context variables, so that log lines have them too),
or told by the error. Secrets and data about people are masked in every part that can hold some; what
came with a request is dropped but for its method and path.

https://develop.sentry.dev/sdk/foundations/transport/envelopes/ is what is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from logging import LogRecord
from typing import Any
from urllib.parse import urlsplit

import sentry_sdk
from sentry_sdk.integrations.django import DjangoIntegration
from structlog.contextvars import get_contextvars

from observability.context import current_id
from observability.errors import HubError
from observability.redaction import scrub_text, scrubbed

#: Tags, by the name under which logs and errors know what they are about.
TAGS: Mapping[str, str] = {
    "connection": "connection",
    "subscriber": "subscriber",
    "stream": "stream",
    "record": "record",
    "run": "run",
    "contract": "contract_version",
    "code": "code",
    "correlation_id": "correlation_id",
}
#: Of a request's headers, those that say nothing about who asks.
HEADERS = frozenset({"accept", "content-length", "content-type", "host", "user-agent"})
#: Parts of an event whose texts are ours or a package's: nothing in them came from outside.
OURS = frozenset(
    {"sdk", "modules", "platform", "event_id", "timestamp", "release", "level", "tags"}
)

Event = dict[str, Any]
Hint = dict[str, Any]


def init(dsn: str, release: str) -> None:
    """Report to Sentry; an empty `dsn` reports to nobody."""
    if not dsn:
        return
    sentry_sdk.init(
        dsn=dsn,
        release=release,
        # Others would add what a request brought, or a document with its values.
        auto_enabling_integrations=False,
        integrations=[DjangoIntegration()],
        # a local variable may hold a credential
        include_local_variables=False,
        max_request_body_size="never",
        # Systems that we call get the headers of the session, and none of Sentry's.
        trace_propagation_targets=[],
        before_send=before_send,  # type: ignore[arg-type]
        before_breadcrumb=before_breadcrumb,
    )


def report(error: BaseException) -> None:
    """Send an error that was dealt with, and that somebody should know of."""
    if sentry_sdk.is_initialized():
        sentry_sdk.capture_exception(error)


def before_send(event: Event, hint: Hint) -> Event:
    """What is sent in place of an event."""
    about = dict(_about(hint))
    line = _line(hint)
    if line is not None:
        # A line of structlog's is a dictionary, of which Sentry would make one long title.
        event["logentry"] = {"message": line.pop("event", "")}
        event.pop("message", None)
        event.setdefault("extra", {}).update(line)
    tags = {TAGS[name]: str(value) for name, value in about.items() if name in TAGS and value}
    if "request" in event:
        event["request"] = _request(event["request"])
    event.pop("user", None)
    clean: Event = {
        name: value if name in OURS else _cleaned(name, value) for name, value in event.items()
    }
    given = clean.get("tags") or {}
    clean["tags"] = {name: _tag(name, value) for name, value in {**given, **tags}.items()}
    return clean


def before_breadcrumb(crumb: Event, hint: Hint) -> Event:
    """What is kept of one thing that led up to an event."""
    line = _line(hint)
    if line is not None:
        crumb["message"] = line.pop("event", "")
        crumb["data"] = {**crumb.get("data", {}), **line}
    data = crumb.get("data") or {}
    kept = {name: value for name, value in data.items() if not name.startswith("http.query")}
    if isinstance(kept.get("url"), str):
        kept["url"] = _without_query(kept["url"])
    return {
        **crumb,
        "message": scrub_text(str(crumb.get("message") or "")),
        "data": scrubbed("", kept),
    }


def _about(hint: Hint) -> Iterator[tuple[str, Any]]:
    """What the event is about: the work at hand, then its log line, then its error, nearest last."""
    if correlation_id := current_id():
        yield "correlation_id", correlation_id
    yield from get_contextvars().items()
    yield from (_line(hint) or {}).items()
    error = (hint.get("exc_info") or (None, None))[1]
    while error is not None:
        if isinstance(error, HubError):
            yield from error.details().items()
            return
        error = error.__cause__ or error.__context__


def _line(hint: Hint) -> dict[str, Any] | None:
    record = hint.get("log_record")
    if isinstance(record, LogRecord) and isinstance(record.msg, dict):
        return {name: value for name, value in record.msg.items() if name != "exc_info"}
    return None


def _cleaned(name: str, value: Any) -> Any:
    """A part of an event. Its own members have names such as `key`, which say nothing of secrets."""
    if name == "breadcrumbs":
        # Each was cleaned when it was left.
        return value
    if name in {"exception", "threads", "stacktrace", "logentry", "contexts"}:
        return _texts(value)
    return scrubbed("" if name in {"extra", "request"} else name, value)


def _texts(value: Any) -> Any:
    if isinstance(value, str):
        return scrub_text(value)
    if isinstance(value, Mapping):
        return {name: _texts(item) for name, item in value.items() if name != "vars"}
    return [_texts(item) for item in value] if isinstance(value, list | tuple) else value


def _tag(name: str, value: Any) -> str:
    # The id is ours, or of a form in which nothing else can be told.
    return str(value) if name == "correlation_id" else scrub_text(str(value))


def _request(given: Mapping[str, Any]) -> dict[str, Any]:
    headers = given.get("headers") or {}
    return {
        "method": given.get("method", ""),
        "url": _without_query(str(given.get("url", ""))),
        "headers": {name: value for name, value in headers.items() if name.lower() in HEADERS},
    }


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
