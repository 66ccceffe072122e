"""The one middleware of our own: a correlation id for every request."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from django.http import HttpRequest, HttpResponse

from observability import context, received, spans
from observability.logs import request_line
from observability.redaction import redact_address

# Probes come every few seconds and say nothing.
_QUIET = frozenset({"/healthz", "/readyz"})


def correlation(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Accept or create the id, answer with it, and write one log line for the request."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with context.correlation(context.accepted_id(request.headers)) as correlation_id:
            started = perf_counter()
            method = request.method or ""
            parent = request.headers.get(context.TRACEPARENT, "")
            read = not received.belongs(method, request.path, 200)
            with spans.request(method, request.path, parent, read=read) as span:
                response = get_response(request)
                span.mark(http_response_status_code=response.status_code)
            response[context.HEADER] = correlation_id
            milliseconds = round((perf_counter() - started) * 1000, 1)
            asked = (method, request.path, response.status_code)
            if received.belongs(*asked):
                received.note(*asked, milliseconds, correlation_id)
            if request.path not in _QUIET:
                path = redact_address(request.path)
                request_line(method, path, response.status_code, milliseconds, correlation_id)
            return response

    return middleware
