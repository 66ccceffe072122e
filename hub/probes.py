"""`/healthz`: the process answers. `/readyz`: it can serve, with the reasons where it cannot.

Neither needs a login, and neither tells more than which part is missing.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from observability import health

_NEVER_CACHED = {"Cache-Control": "no-store"}


def healthz(_request: HttpRequest) -> HttpResponse:
    """200 as long as the process can answer at all; touches nothing else."""
    return JsonResponse({"status": "ok"}, headers=_NEVER_CACHED)


def readyz(_request: HttpRequest) -> HttpResponse:
    """200 when every required check passes ("ready" or "degraded"), else 503 ("unready")."""
    report = health.report()
    status = 503 if report.status is health.Status.UNREADY else 200
    return JsonResponse(report.as_json(), status=status, headers=_NEVER_CACHED)
