"""What an outgoing call says about the upstream's health, and the reason in a few words.

A refusal is the answer of a system that is well. 429 says neither: it pauses the connection.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from enum import Enum, auto

import requests
import urllib3

from observability.errors import (
    AuthExpiredError,
    CircuitOpenError,
    ConfigurationError,
    GarbledError,
    HubError,
    PermanentError,
    RateLimitedError,
    RetryableError,
    UpstreamError,
)


class Verdict(Enum):
    """What a call counts as."""

    WELL = auto()
    ILL = auto()
    SILENT = auto()  # it says nothing about the upstream's health


class BodyTooLargeError(GarbledError):
    """A body over the connection's limit: it will be no smaller the next time."""


VERDICTS: dict[type[BaseException], Verdict] = {
    RetryableError: Verdict.ILL,  # refused, timed out, 5xx
    GarbledError: Verdict.ILL,
    BodyTooLargeError: Verdict.WELL,
    PermanentError: Verdict.WELL,
    AuthExpiredError: Verdict.WELL,
    RateLimitedError: Verdict.SILENT,
    CircuitOpenError: Verdict.SILENT,
    UpstreamError: Verdict.SILENT,
    # Of our own making: a setting, a defect, the database.
    BaseException: Verdict.SILENT,
}

#: Of the errors behind a failed call, the first that is known names the reason.
REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (requests.ConnectTimeout, "connecting timed out"),
    (requests.Timeout, "no answer in time"),
    (TimeoutError, "no answer in time"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionResetError, "connection closed without an answer"),
    (socket.gaierror, "its host name is not known"),
    (ssl.SSLError, "no secure connection"),
    (requests.ConnectionError, "no connection"),
)


def verdict_on(error: BaseException) -> Verdict:
    """By the nearest class in the table."""
    return next(VERDICTS[kind] for kind in type(error).__mro__ if kind in VERDICTS)


def reason_of(error: BaseException) -> str:
    """A few words that may be shown to API callers: no address, no excerpt."""
    if isinstance(error, HubError) and error.status is not None and error.status >= 500:
        return f"answers {error.status}"
    if isinstance(error, GarbledError):
        return "its answers cannot be read"
    causes = list(_causes(error))
    return next(
        (said for kind, said in REASONS for cause in causes if isinstance(cause, kind)),
        "its calls fail",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what is behind it; urllib3 keeps that in `reason` and in arguments."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        behind = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting += [b for b in behind if isinstance(b, BaseException)]


#: What keeps a request from ever leaving.
UNSENT: tuple[type[BaseException], ...] = (
    requests.ConnectTimeout,
    urllib3.exceptions.NewConnectionError,
    ConnectionRefusedError,
    socket.gaierror,
)


def never_sent(error: BaseException) -> bool:
    """Whether a call that failed cannot have reached the upstream, or was turned away unread.

    Of any other failure it is not known what the upstream did.
    """
    if isinstance(error, CircuitOpenError):
        return not error.in_vain or never_sent(error.__cause__ or error)
    if isinstance(error, RateLimitedError | AuthExpiredError | ConfigurationError):
        return True
    return any(isinstance(cause, UNSENT) for cause in _causes(error))
