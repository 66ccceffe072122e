"""The page of retention: what is kept for how long, and what becomes of it then."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from observability import retention

NEEDED = "catalog.view_sourcerecord"


def page(request: HttpRequest) -> HttpResponse:
    """For whoever sees what systems say; no statement of its own."""
    if not request.user.has_perm(NEEDED):
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "Retention",
        "lines": retention.declared(),
    }
    return TemplateResponse(request, "console/retention.html", context)
