"""Who may read: holders of an API key, and people who are logged in to the admin."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse

from hub.auth.keys import presented, recognise
from hub.problems import NO_KEY, problem

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="headwater"'}


def reader(request: HttpRequest) -> str | None:
    """The name of who asks; None where nobody valid does."""
    if key := presented(request.headers):
        return recognise(key)
    user = getattr(request, "user", None)
    if user is not None and user.is_staff and _same_origin(request):
        return f"user {user.get_username()}"
    return None


def admitted(request: HttpRequest) -> HttpResponse | None:
    """None for a reader, otherwise the refusal."""
    if reader(request) is not None:
        return None
    return problem(401, "unauthorized", NO_KEY, headers=CHALLENGE)


def _same_origin(request: HttpRequest) -> bool:
    """A browser says where a script's request comes from; another site's does not count."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.get_host()
