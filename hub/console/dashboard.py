"""The front page: what a person on duty wants at two in the morning.

What needs a person first; then freshness by data class, what is shut, the runs of the last day, the
lag of each stream, and sizes. The parts are `trouble` and `standing`; the page renews itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse

from catalog.entities import entities
from catalog.sizes import entity_sizes
from connectors.admin.runs import latest_runs, run_rows
from connectors.admin.streams import read_all, with_last_run
from connectors.models import Stream, SyncRun
from hub.console.boxes import boxes
from hub.console.standing import by_class, day, doors, last_deploy, silences, stream_row
from hub.console.throughput import lying, throughput
from hub.console.trouble import count_of, troubles
from observability.clock import database_now

LATEST = 8
NEEDED = "connectors.view_stream"


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK."""
    if not request.user.has_perm(NEEDED):
        return context
    streams = with_last_run(Stream.objects.order_by("connection__slug", "slug"))
    newest = SyncRun.objects.order_by("-id").values("pk")[:LATEST]
    shown: list[Any] = list(streams.annotate(asked_at=Now(), newest=ArraySubquery(newest)))
    # Without a stream there is no run.
    latest: list[int] = shown[0].newest if shown else []
    runs = latest_runs(
        SyncRun.objects.filter(pk__in={*latest, *(row.last_run_id for row in shown)})
    )
    rows = read_all(shown, sized=False, runs=runs)
    now: datetime = shown[0].asked_at if shown else database_now()
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
        "runs": run_rows(runs[pk] for pk in latest if pk in runs),
        "counts": [
            (
                cls._meta.verbose_name_plural,
                sizes[name],
                reverse(f"admin:{cls._meta.app_label}_{cls._meta.model_name}_changelist"),
            )
            for name, cls in entities().items()
        ],
    }
