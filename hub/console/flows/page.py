"""The map's page, and the document that is made of it."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse

from catalog.sizes import source_sizes
from hub.console.flows import declared, observed
from hub.console.flows.document import architecture
from hub.console.flows.drawing import drawn
from hub.console.flows.graph import COMMANDS, DAYS, MOST, Map
from observability.channels import Channel

NEEDED = "connectors.view_stream"
#: Who is called by which key is for those who may see usage.
CONSUMERS = "hub.view_fieldusage"


def whole(*, consumers: bool = True) -> Map:
    """Everything that there is to draw. Twelve statements, and no upstream is asked."""
    written, sizes = observed.writes(), source_sizes()
    times: dict[str, int] = {}
    for (_, operation), count in written.items():
        times[operation] = times.get(operation, 0) + count
    systems = declared.systems(times, sizes)
    told = declared.subscribers()
    readers, left_out = observed.readers(written) if consumers else ([], 0)
    channels = Channel.objects.values_list("slug", flat=True)
    called = [*(one.name for one in told), *channels]
    return Map(
        systems,
        declared.nodes(),
        [*readers, *told[:MOST]],
        observed.undeclared(systems, readers, called, sizes),
        left_out + len(told[MOST:]),
    )


def page(request: HttpRequest) -> HttpResponse:
    """GET: the map, and the same as tables."""
    shown = _shown(request)
    context = {
        **admin.site.each_context(request),
        "title": "Map",
        "map": shown,
        "drawing": drawn(shown),
        "days": DAYS,
        "commands": COMMANDS,
        "consumers": request.user.has_perm(CONSUMERS),
    }
    return TemplateResponse(request, "console/map.html", context)


def file(request: HttpRequest, form: str) -> HttpResponseBase:
    """GET: the integration architecture document (`md`), or its drawing (`svg`)."""
    shown = _shown(request)
    kinds = {
        "md": (architecture, "text/markdown; charset=utf-8"),
        "svg": (lambda one: drawn(one, linked=False), "image/svg+xml"),
    }
    make, content_type = kinds[form]
    headers = {"Content-Disposition": f'attachment; filename="architecture.{form}"'}
    return HttpResponse(make(shown), content_type=content_type, headers=headers)


def _shown(request: HttpRequest) -> Map:
    if not request.user.has_perm(NEEDED):
        raise PermissionDenied
    return whole(consumers=request.user.has_perm(CONSUMERS))
