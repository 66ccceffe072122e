"""One correlation id for everything that one cause sets in motion.

A request, a task and every outgoing call share it: in `X-Correlation-ID`, in the W3C
`traceparent` (https://www.w3.org/TR/trace-context/), in each log line, on runs and events.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass

HEADER = "X-Correlation-ID"
TRACEPARENT = "traceparent"

# What a caller may choose: short, and harmless in a log line, a header and a URL.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16

_current: ContextVar[str | None] = ContextVar("headwater_correlation_id", default=None)
#: The `traceparent` of the span in progress (observability.spans); None: spans are not kept.
SPAN: ContextVar[str | None] = ContextVar("headwater_span", default=None)
# An id has to be new and no secret: callers choose theirs. Asking the kernel for each lets go of the
# interpreter in the middle of a request.
_random = random.Random()  # noqa: S311
os.register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """A fresh id of 32 hex digits, so that it can serve as a W3C trace id too."""
    return f"{_random.getrandbits(128):032x}"


def current_id() -> str | None:
    """The correlation id of the work in progress; None outside of any."""
    return _current.get()


def ensure_id() -> str:
    """The current id, or a new one that is current from now on in this context."""
    correlation_id = _current.get()
    if correlation_id is None:
        correlation_id = new_id()
        _current.set(correlation_id)
    return correlation_id


class Correlation:
    """A block under an id, which is what `with` gives."""

    __slots__ = ("_former", "_id")
    _former: Token[str | None]

    def __init__(self, correlation_id: str) -> None:
        self._id = correlation_id

    def __enter__(self) -> str:
        self._former = _current.set(self._id)
        return self._id

    def __exit__(self, *_: object) -> None:
        _current.reset(self._former)


def correlation(correlation_id: str | None = None) -> Correlation:
    """Run a block under an id: the given one, or a new one. The former id returns afterwards."""
    return Correlation(correlation_id or new_id())


def accepted_id(headers: Mapping[str, str]) -> str | None:
    """The id a caller sent, or None. `X-Correlation-ID` wins over the trace id of `traceparent`.

    `headers` looks names up without regard to case (Django's `request.headers`, requests'
    `CaseInsensitiveDict`). An id that is too long or holds odd characters counts as not sent.
    """
    wished = headers.get(HEADER, "").strip()
    if _ACCEPTABLE.fullmatch(wished):
        return wished
    trace = _TRACEPARENT.fullmatch(headers.get(TRACEPARENT, "").strip())
    if trace and trace[1] != _NO_TRACE:
        return trace[1]
    return None


def outgoing_headers() -> dict[str, str]:
    """Headers for a call we make, under the current id (or a new one where there is none)."""
    correlation_id = ensure_id()
    # "01": sampled. The parent id names this call and must differ from call to call.
    parent = trace_parent() or f"00-{trace_id(correlation_id)}-{secrets.token_hex(8)}-01"
    return {HEADER: correlation_id, TRACEPARENT: parent}


def trace_parent() -> str:
    """The `traceparent` of the span in progress under the current id; empty where none is kept."""
    span, correlation_id = SPAN.get(), _current.get()
    if span is None or correlation_id is None:
        return ""
    parent = parent_of(span)
    return span if parent is not None and parent.trace == trace_id(correlation_id) else ""


@dataclass(frozen=True, slots=True)
class Parent:
    """What a `traceparent` says: 32 and 16 hex digits, and flags."""

    trace: str
    span: str
    flags: int


def parent_of(traceparent: str) -> Parent | None:
    """A `traceparent` taken apart; None where it is none."""
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    if found is None or found[1] == _NO_TRACE or found[2] == _NO_SPAN:
        return None
    return Parent(found[1], found[2], int(found[3], 16))


def trace_id(correlation_id: str) -> str:
    """The W3C trace id of a correlation id: itself if it has that form, else its digest."""
    if _TRACE_ID.fullmatch(correlation_id) and correlation_id != _NO_TRACE:
        return correlation_id
    return hashlib.sha256(correlation_id.encode()).hexdigest()[:32]
