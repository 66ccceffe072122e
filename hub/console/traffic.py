"""What the hub is asked: operations by key, how fast, how often in vain, and how much is kept."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from hub.auth.models import ApiKey
from hub.cache.reading import PROCESS, REDIS, SHARED
from hub.usage.counting import METRIC
from hub.usage.middleware import ERRORS
from hub.usage.report import shown_as, unnamed
from observability import metrics
from observability.charts import busiest, line_chart
from observability.metrics import Point

NEEDED = "hub.view_fieldusage"
#: {what is asked for: (as people read it, minutes, minutes of a step of the charts)}
SPANS = {
    "hour": ("hour", 60, 1),
    "day": ("day", 1440, 60),
    "month": ("thirty days", 30 * 1440, 1440),
}
MOST = 200
KEPT = (PROCESS, SHARED, REDIS)
#: What stands for a value in an address, as Django spells it.
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
WITHOUT_KEY = ("(none)", "(person)", metrics.OTHER)


@dataclass(slots=True)
class Row:
    """One operation of one key. Times in milliseconds."""

    operation: str
    key: str
    name: str
    point: Point
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def errors(self) -> list[tuple[int, str]]:
        """Requests that were refused or broke: how many, and which."""
        return [(self.outcomes[one], one) for one in ERRORS if self.outcomes[one]]

    @property
    def broken(self) -> int:
        """Those that were our fault."""
        return self.outcomes[ERRORS[0]]

    @property
    def kept(self) -> float:
        """Share that was answered without a statement of its own, in per cent."""
        return 100 * sum(self.outcomes[outcome] for outcome in KEPT) / self.point.count


def page(request: HttpRequest) -> HttpResponse:
    """GET `?span=hour|day|month`. Five statements."""
    if not request.user.has_perm(NEEDED):
        raise PermissionDenied
    span = request.GET.get("span", "day")
    if span not in SPANS:
        raise Http404("span is hour, day or month")
    _, minutes, step = SPANS[span]
    found = rows(minutes)
    context = {
        **admin.site.each_context(request),
        "title": "API traffic",
        "span": span,
        "spans": [(name, title) for name, (title, *_) in SPANS.items()],
        "rows": found,
        "most": MOST,
        "requests": sum(row.point.count for row in found),
        "charts": charts(minutes, step),
    }
    return TemplateResponse(request, "console/traffic.html", context)


def rows(minutes: int) -> list[Row]:
    """The busiest operations of keys; three statements."""
    names = dict(ApiKey.objects.values_list("prefix", "name"))
    asked = metrics.total_by(METRIC, "operation", "key", minutes=minutes, most=MOST)
    found = {
        (operation, key): Row(operation, key, _named(key, names), point)
        for (operation, key), point in asked.items()
    }
    told = metrics.total_by(METRIC, "operation", "key", "outcome", minutes=minutes, most=6 * MOST)
    for (operation, key, outcome), point in told.items():
        if (operation, key) in found:
            found[operation, key].outcomes[outcome] = point.count
    for row in found.values():
        row.key = "" if row.key in WITHOUT_KEY else shown_as(row.key)
        row.operation = PARAMETER.sub(r"{\1}", row.operation)
    return list(found.values())


def charts(minutes: int, step: int) -> list[Any]:
    """Requests by where their answer came from, and the slowest twentieth of the busiest."""
    outcomes = metrics.series_by(METRIC, "outcome", minutes=minutes, step=step, quantiles=False)
    operations = metrics.series_by(METRIC, "operation", minutes=minutes, step=step)
    times = [point.at for point in next(iter(outcomes.values()), [])]
    unit = f"in {step} min" if step < 1440 else "a day"
    return [
        line_chart(
            {name: [p.count for p in points] for name, points in busiest(outcomes).items()},
            title="Requests by where their answer came from", unit=unit, times=times,
        ),
        line_chart(
            {name: [p.p95 for p in points] for name, points in busiest(operations).items()},
            title="Slowest twentieth (p95) by operation", unit="ms", times=times,
        ),
    ]  # fmt: skip


def _named(key: str, names: dict[str, str]) -> str:
    if key in WITHOUT_KEY:
        return {"(none)": "no key", "(person)": "a person"}.get(key, "all others")
    return names.get(key) or unnamed(key)
