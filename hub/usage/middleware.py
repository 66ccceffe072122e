"""Deprecation headers and usage of what Django answers; `hub.reads.front` sees to the rest."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from hub.auth.access import READER
from hub.usage import counting, noted


def usage(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Headers for everybody; counted are holders of a key or a token: people in the admin only try things."""

    def middleware(request: HttpRequest) -> HttpResponse:
        noted.uses(None)
        response = get_response(request)
        uses = noted.taken()
        if uses is not None and response.status_code == 200:
            for name, value in uses.headers:
                response[name] = value
            reader = request.META.get(READER)
            if reader is not None and reader.counted_as:
                counting.count(reader.counted_as, uses)
        return response

    return middleware
