"""`/metrics`: everything that was measured, for Prometheus (text format 0.0.4).

Any web process answers for all, because the sums are PostgreSQL's. For holders of a key or a token with
the scope `metrics`, and for whoever asks from this very machine. A proxy here that does not say for
whom it asks looks like that too: it has to keep this address to itself.
"""

from __future__ import annotations

from ipaddress import ip_address

from django.http import HttpRequest, HttpResponse

from hub.auth.access import reader_of
from hub.auth.rights import METRICS, Needs
from hub.problems import DATABASE_AWAY, RequestError, problem_of, unavailable
from observability.metrics import prometheus

#: Headers by which a proxy tells that somebody else asks.
FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_VIA")


def page(request: HttpRequest) -> HttpResponse:
    """GET: the text, or a problem of status 401, 403, 429 or 503."""
    try:
        if not _of_this_machine(request):
            reader_of(request).rights.must_cover(Needs((METRICS,)))
        text = "".join(prometheus.text())
    except RequestError as error:
        return problem_of(error)
    except DATABASE_AWAY:
        return unavailable()
    return HttpResponse(text, prometheus.CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _of_this_machine(request: HttpRequest) -> bool:
    """Whether nobody stands between us and a process here."""
    if any(name in request.META for name in FORWARDED):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
