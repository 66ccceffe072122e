"""What every answer of the APIs carries, whoever gave it: CORS, the rate limit, `Vary`."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from hub import use_limits
from hub.auth import cors
from hub.auth.access import answer_headers


def access(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Answer preflights, and add the fields to all other answers."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(cors.PATHS):
            return get_response(request)
        origin = request.headers.get("Origin")
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response = HttpResponse(status=204)
            fields = cors.preflight(origin or "")
        else:
            response = get_response(request)
            fields = cors.granted(origin) if origin else []
        for name, value in (*fields, *answer_headers(request.META)):
            response[name] = value
        patch_vary_headers(response, ("Authorization", "X-API-Key", use_limits.HEADER))
        if cors.enabled():
            patch_vary_headers(response, ("Origin",))
        return response

    return middleware
