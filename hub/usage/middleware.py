"""Deprecation headers and usage of what Django answers; `hub.reads.front` sees to the rest."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from django.http import HttpRequest, HttpResponse

from hub.auth import cors
from hub.auth.access import READER
from hub.usage import counting, noted
from observability import metrics

#: What answered, where no compiled read did.
DJANGO = "django"
#: What failed: by us, or by whoever asked.
ERRORS = ("server error", "client error")


def usage(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Headers for everybody; counted are holders of a key or a token: people in the admin only try things."""

    def middleware(request: HttpRequest) -> HttpResponse:
        noted.uses(None)
        began = perf_counter()
        response = get_response(request)
        uses, milliseconds = noted.taken(), (perf_counter() - began) * 1000
        reader = request.META.get(READER)
        key = reader.counted_as if reader is not None else ""
        if uses is not None and response.status_code == 200:
            for name, value in uses.headers:
                response[name] = value
            if key:
                counting.count(key, uses, DJANGO, milliseconds)
                return response
        if request.path.startswith(cors.PATHS):
            person = reader is not None and reader.person
            metrics.observe(
                counting.METRIC,
                milliseconds,
                operation=_operation(request),
                key=key or ("(person)" if person else "(none)"),
                outcome=_outcome(response.status_code),
            )
        return response

    return middleware


def _operation(request: HttpRequest) -> str:
    """`POST /api/v1/lots/<str:lot>/bids`: the route, as addresses hold anything."""
    found = request.resolver_match
    if found is None or found.route.startswith("^"):  # the last resort of `hub.urls`
        return "(unknown address)"
    return f"{request.method} /{found.route}"


def _outcome(status: int) -> str:
    if status < 400:
        return DJANGO
    return ERRORS[0] if status >= 500 else ERRORS[1]
