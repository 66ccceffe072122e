"""Spans for an OpenTelemetry collector, sent by OTLP/HTTP where OTEL_EXPORTER_OTLP_ENDPOINT says.

The trace id is the correlation id's (`context.trace_id`), so that all that one cause sets in motion, in
whatever process and however much later, is one trace. Requests that change something, webhooks, sync
runs, commands and outgoing calls have a span; reads only where their caller's `traceparent` says that
it keeps its own. Nothing of OpenTelemetry is loaded, and a span costs a look at one name, where no
endpoint is set.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/ names what else the environment can set:
headers, time-outs, OTEL_SERVICE_NAME.
"""

from __future__ import annotations

import os
import threading
import time
from contextvars import Token
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any, Self

from observability import context
from observability.errors import HubError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span, TracerProvider

INTERNAL, SERVER, CLIENT = "INTERNAL", "SERVER", "CLIENT"
#: Of a trace's flags (https://www.w3.org/TR/trace-context/): whoever asks keeps its own span.
SAMPLED = 1

_endpoint = ""
_provider: TracerProvider | None = None
_lock = threading.Lock()


def configure(endpoint: str) -> None:
    """Send spans to a collector, from the first one on; empty: keep none."""
    global _endpoint, _provider
    with _lock:
        former, _provider, _endpoint = _provider, None, endpoint.rstrip("/")
    if former is not None:
        former.shutdown()


class Nothing:
    """The block of a span that is not kept."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def mark(self, **attributes: Any) -> None:
        """Nothing to say it of."""

    def failed(self, error: BaseException) -> None:
        """Nothing to say it of."""


_NOTHING = Nothing()


class Kept(Nothing):
    """The block of a span. An error that ends it is named by its code; its text may be personal."""

    __slots__ = ("_former", "_given", "_kind", "_name", "_parent", "_span")
    _former: Token[str | None]
    _span: Span

    def __init__(self, name: str, kind: str, parent: str, given: dict[str, Any]) -> None:
        self._name, self._kind, self._parent, self._given = name, kind, parent, given

    def __enter__(self) -> Self:
        self._span = _begun(self._name, self._kind, self._parent, self._given)
        told = self._span.get_span_context()
        self._former = context.SPAN.set(f"00-{told.trace_id:032x}-{told.span_id:016x}-01")
        return self

    def __exit__(self, *met: object) -> None:
        error = met[1] if len(met) > 1 else None
        context.SPAN.reset(self._former)
        if isinstance(error, BaseException):
            self.failed(error)
        self._span.end()

    def mark(self, **attributes: Any) -> None:
        """Say more of it; see `span`."""
        self._span.set_attributes(_named(attributes))
        if attributes.get("http_response_status_code", 0) >= 500:
            _fail(self._span, str(attributes["http_response_status_code"]))

    def failed(self, error: BaseException) -> None:
        """Say that it ended in an error which was dealt with."""
        _fail(self._span, error.code if isinstance(error, HubError) else type(error).__name__)


def span(name: str, kind: str = INTERNAL, *, parent: str = "", **attributes: Any) -> Nothing:
    """A block with a span of its own, under the current correlation id, which must be there.

    `parent`: the caller's `traceparent`; without one, the span in progress. An attribute
    `http_route` is sent as `http.route`; those of ours as `headwater_run`.
    """
    return Kept(name, kind, parent, attributes) if _endpoint else _NOTHING


def request(method: str, path: str, parent: str, *, read: bool) -> Nothing:
    """The block of a request that came. `parent`: its `traceparent`, or what it sent in its place."""
    if not _endpoint or not wanted(parent, read=read):
        return _NOTHING
    return Kept(method, SERVER, parent, {"http_request_method": method, "url_path": path})


def answered(  # one request, said at its end
    method: str, path: str, status: int, seconds: float, parent: str, *, read: bool
) -> None:
    """A request that was answered under the current correlation id without a block of its own."""
    if not _endpoint or not wanted(parent, read=read):
        return
    ended = time.time_ns()
    given = {
        "http_request_method": method,
        "url_path": path,
        "http_response_status_code": status,
    }
    made = _begun(method, SERVER, parent, given, ended - int(seconds * 1e9))
    if status >= 500:
        _fail(made, str(status))
    made.end(ended)


def wanted(parent: str, *, read: bool) -> bool:
    """Whether a request gets a span: as its caller's flags say, and without them where it is no read."""
    sent = context.parent_of(parent)
    return not read if sent is None else bool(sent.flags & SAMPLED)


def flush() -> None:
    """Send what waits, now."""
    if _provider is not None:
        _provider.force_flush()


def _begun(name: str, kind: str, parent: str, given: dict[str, Any], at: int | None = None) -> Span:
    from opentelemetry import trace  # noqa: PLC0415 (loaded where it is used alone)
    from opentelemetry.context import Context  # noqa: PLC0415

    # Of another trace nothing is a parent: a caller may choose both of its ids.
    mine = context.trace_id(context.ensure_id())
    sent = context.parent_of(parent) or context.parent_of(context.SPAN.get() or "")
    above = Context()
    if sent is not None and sent.trace == mine:
        place = trace.SpanContext(
            int(sent.trace, 16), int(sent.span, 16), bool(parent), trace.TraceFlags(SAMPLED)
        )
        above = trace.set_span_in_context(trace.NonRecordingSpan(place), above)
    attributes = {"headwater.correlation_id": context.current_id(), **_named(given)}
    tracer = _made().get_tracer("headwater")
    began: Any = tracer.start_span(name, above, trace.SpanKind[kind], attributes, start_time=at)
    return began  # type: ignore[no-any-return]


def _fail(made: Span, code: str) -> None:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 (loaded where it is used alone)

    made.set_attribute("error.type", code)
    made.set_status(StatusCode.ERROR)


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    """`http_response_status_code` as the conventions spell it: `http.response.status_code`."""
    return {
        _SPELLED.get(name, name.replace("_", ".", 1)): value
        for name, value in attributes.items()
        if value is not None
    }


#: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
_SPELLED = {
    "http_request_method": "http.request.method",
    "http_response_status_code": "http.response.status_code",
}


def _made() -> TracerProvider:
    """Made when first needed, for none outlives a fork."""
    global _provider  # noqa: PLW0603 (one a process)
    with _lock:
        if _provider is None:
            _provider = _provider_to(_endpoint)
            # A child of multiprocessing, as granian's workers are, ends without `atexit`.
            Finalize(None, _provider.shutdown, exitpriority=0)
        return _provider


def _provider_to(endpoint: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415

    class Ids(RandomIdGenerator):
        """The trace is the correlation id's."""

        def generate_trace_id(self) -> int:
            return int(context.trace_id(context.ensure_id()), 16)

    named = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "headwater")}
    provider = TracerProvider(resource=Resource.create(named), id_generator=Ids())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    return provider


def _in_child() -> None:
    global _provider, _lock
    _provider, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_in_child)
