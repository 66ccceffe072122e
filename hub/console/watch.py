"""Every request to the admin: who looks, and whether they may see personal data."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from catalog import masking

PATH = "/admin/"


def watch(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Behind Django's authentication, and around the view and the rendering of its template."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(PATH):
            return get_response(request)
        with masking.looking(sees=request.user.has_perm(masking.SEE)):
            return get_response(request)

    return middleware
