"""The front page: what a person on duty wants at two in the morning.

What needs a person first; then freshness by data class, what is shut, the runs of the last day, the
lag of each stream, and sizes. The parts are `trouble` and `standing`; the page renews itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse

from catalog.entities import entities
from catalog.explain import database_now
from catalog.sizes import entity_sizes
from connectors.admin.runs import run_rows
from connectors.admin.streams import read_all, with_last_run
from connectors.models import Stream, SyncRun
from hub.console.boxes import boxes
from hub.console.standing import by_class, day, doors, last_deploy, silences, stream_row
from hub.console.throughput import lying, throughput
from hub.console.trouble import count_of, troubles

LATEST = 8
NEEDED = "connectors.view_stream"


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK."""
    if not request.user.has_perm(NEEDED):
        return context
    streams = with_last_run(Stream.objects.order_by("connection__slug", "slug"))
    rows = read_all(streams.annotate(asked_at=Now()), sized=False)
    now: datetime = rows[0][0].asked_at if rows else database_now()  # type: ignore[attr-defined]
    in_boxes = boxes(request)
    found = troubles(request, rows, in_boxes, now)
    counts = count_of(found)
    shut, connections = doors(in_boxes)
    sizes = entity_sizes()
    return {
        **context,
        "title": "Overview",
        "dashboard": True,
        "at": now,
        "trouble": found,
        "now": counts["now"],
        "soon": counts["soon"],
        "figures": [*throughput(), *lying(in_boxes)],
        "silences": silences(request, now),
        "classes": by_class(rows),
        "streams": [stream_row(stream, reading) for stream, reading in rows],
        "doors": shut,
        "connections": connections,
        "day": day(),
        "deploy": last_deploy(now),
        "runs": run_rows(SyncRun.objects.all(), LATEST),
        "counts": [
            (
                cls._meta.verbose_name_plural,
                sizes[name],
                reverse(f"admin:{cls._meta.app_label}_{cls._meta.model_name}_changelist"),
            )
            for name, cls in entities().items()
        ],
    }
