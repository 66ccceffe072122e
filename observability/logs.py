"""Structured logs on standard error: JSON for machines, or coloured lines for a terminal.

structlog and the standard library share one chain, so a line of Django's or of a package's looks
like ours: with the correlation id, and without secrets.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from observability import context, lines
from observability.redaction import redacted

REQUEST_LOGGER = "hub.request"
AS_LINE = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
#: Whether lines are JSON, which needs no chain where every value is known to be harmless.
_lean = False


def add_correlation_id(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Put the current correlation id on the line, unless the caller named another."""
    correlation_id = context.current_id()
    if correlation_id is not None:
        event.setdefault("correlation_id", correlation_id)
    return event


def redact(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Mask secrets: values by the name they are under, and text by what it looks like."""
    return {name: redacted(name, value) for name, value in event.items()}


def _to_json(event: EventDict, **_options: object) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        add_correlation_id,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]


def request_line(
    method: str, path: str, status: int, milliseconds: float, correlation_id: str
) -> None:
    """The line of one request, as the chain writes it, at a tenth of its cost, and soon.

    For what is asked thousands of times a second. `path` must be one that cannot hold a secret.
    """
    event = {
        "method": method,
        "path": path,
        "status": status,
        "milliseconds": round(milliseconds, 1),
        "event": "request",
        "correlation_id": correlation_id,
        "logger": REQUEST_LOGGER,
        "level": "info",
        "timestamp": datetime.now(UTC),
    }
    if not _lean:
        del event["correlation_id"], event["logger"], event["level"], event["timestamp"]
        with context.correlation(correlation_id):
            structlog.get_logger(REQUEST_LOGGER).info(event.pop("event"), **event)
    elif logging.getLogger(REQUEST_LOGGER).isEnabledFor(logging.INFO):
        lines.put(orjson.dumps(event, option=AS_LINE))


def logging_config(form: str, level: str = "INFO") -> dict[str, Any]:
    """Set up structlog and return the matching `LOGGING` setting. `form`: json or console."""
    global _lean  # noqa: PLW0603 (one set-up a process)
    _lean = form == "json"
    shared = _shared_processors()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    # Tracebacks become text before they are redacted: an exception may quote a credential.
    last += [structlog.processors.format_exc_info, redact]
    last += [
        structlog.dev.ConsoleRenderer()
        if form == "console"
        else structlog.processors.JSONRenderer(serializer=_to_json)
    ]
    handler: dict[str, str] = {"class": "observability.lines.Handler", "formatter": "headwater"}
    quiet: dict[str, Literal["WARNING"]] = {"level": "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "headwater": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": last,
            },
        },
        "handlers": {"stderr": handler},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Django would mail and print on its own; one chain is enough.
            "django": {"handlers": [], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
            "urllib3": quiet,
            "django.request": {"level": "ERROR"},
            # Its digests are for a log that is kept, not for a terminal.
            **({"observability.audit": quiet} if form == "console" else {}),
        },
    }
