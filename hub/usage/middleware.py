"""Deprecation headers and usage of what Django answers; `hub.reads.front` sees to the rest."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from hub.auth.keys import prefix_of, presented
from hub.usage import counting, noted


def usage(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Headers for everybody; counted are holders of a key: people in the admin only try things."""

    def middleware(request: HttpRequest) -> HttpResponse:
        noted.uses(None)
        response = get_response(request)
        uses = noted.taken()
        if uses is not None and response.status_code == 200:
            for name, value in uses.headers:
                response[name] = value
            if key := presented(request.headers):
                counting.count(prefix_of(key), uses)
        return response

    return middleware
