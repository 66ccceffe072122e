"""The SLA page: how well freshness objectives were kept, by month, and what is left of their budgets."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.response import TemplateResponse

from observability import attainment, metrics
from observability.attainment import Attained
from observability.charts import sparkline
from observability.display import Tone, badge
from observability.objectives import FreshnessObjective

NEEDED = "observability.view_freshnessobjective"
MONTHS_SHOWN, MONTHS_TOLD = 6, 25
WORST_DAYS, MOST_DAYS = 90, 10
#: Objective, system, stream.
Place = tuple[str, str, str]
COLUMNS = (
    "month", "objective", "system", "stream", "target", "minutes_judged", "minutes_late",
    "attained", "kept", "minutes_maintenance",
)  # fmt: skip


@dataclass(slots=True)
class Line:
    """An objective, or one stream of it: the window, and a cell for each month."""

    window: Attained | None
    objective: FreshnessObjective | None
    name: str
    #: One for each month that is shown, the latest first; None: nothing was judged.
    cells: list[Attained | None] = field(default_factory=list)
    trend: Any = ""

    @property
    def whole(self) -> bool:
        """All streams of the objective together."""
        return not self.name

    @property
    def verdict(self) -> Any:
        """Kept or missed, in words."""
        if self.window is None:
            return badge("not judged yet")
        if not self.window.judged:
            return badge("in maintenance", title="No minute was judged but those.")
        if not self.window.kept:
            return badge("missed", Tone.BAD)
        low = self.window.left < 0.25
        return badge("budget low" if low else "kept", Tone.WARN if low else Tone.GOOD)

    @property
    def budget_left(self) -> int | None:
        """Of the error budget, in per cent; below 0: overdrawn."""
        return None if self.window is None else round(100 * self.window.left)


def page(request: HttpRequest) -> HttpResponseBase:
    """GET, or `?format=csv` and `?format=json` for every month. Five statements."""
    if not request.user.has_perm(NEEDED):
        raise PermissionDenied
    form = request.GET.get("format", "")
    if form in FORMATS:
        return FORMATS[form](attainment.by_month(MONTHS_TOLD))
    if form:
        raise Http404("format is csv or json")
    monthly = attainment.by_month(MONTHS_SHOWN - 1)
    months = sorted({one.since for one in monthly}, reverse=True)
    context = {
        **admin.site.each_context(request),
        "title": "Service levels",
        "months": months,
        "lines": lines(monthly, months),
        "worst": attainment.worst_days(WORST_DAYS, MOST_DAYS),
        "worst_days": WORST_DAYS,
    }
    return TemplateResponse(request, "console/sla.html", context)


def lines(monthly: Iterable[Attained], months: Sequence[date]) -> list[Line]:
    """Each objective, and below it its streams; a cell for each of the months."""
    rows = {row.name: row for row in FreshnessObjective.objects.select_related("calendar")}
    found: dict[Place, Line] = {(name, "", ""): Line(None, row, "") for name, row in rows.items()}
    for one in attainment.over_window():
        line = found.setdefault(_place(one), Line(None, rows.get(one.objective), _name(one)))
        line.window = one
    cells: defaultdict[Place, dict[date, Attained]] = defaultdict(dict)
    for one in monthly:
        found.setdefault(_place(one), Line(None, rows.get(one.objective), _name(one)))
        cells[_place(one)][one.since] = one
    for place, line in found.items():
        line.cells = [cells[place].get(month) for month in months]
    late = metrics.series_by(
        "freshness_late", "objective", labels={"system": ""}, minutes=7 * 1440, step=180
    )
    for name, points in late.items():
        if (name, "", "") in found:
            found[name, "", ""].trend = sparkline(
                [None if not p.count else p.total for p in points],
                title=f"Late minutes of {name} in the last week",
            )
    return [found[place] for place in sorted(found)]


def _place(one: Attained) -> Place:
    return one.objective, one.system, one.stream


def _name(one: Attained) -> str:
    return f"{one.system}.{one.stream}" if one.system else ""


def _told(months: Iterable[Attained]) -> Iterator[tuple[Any, ...]]:
    for one in months:
        yield (
            f"{one.since:%Y-%m}", one.objective, one.system, one.stream, one.target, one.judged,
            one.late, round(one.share, 6) if one.judged else None, one.kept, one.excused,
        )  # fmt: skip


def _csv(months: Iterable[Attained]) -> HttpResponse:
    headers = {"Content-Disposition": 'attachment; filename="service-levels.csv"'}
    answer = HttpResponse(content_type="text/csv; charset=utf-8", headers=headers)
    table = csv.writer(answer)
    table.writerow(COLUMNS)
    # Slugs and numbers alone: nothing that a spreadsheet takes for a formula.
    table.writerows(_told(months))
    return answer


def _json(months: Iterable[Attained]) -> HttpResponse:
    return JsonResponse({"months": [dict(zip(COLUMNS, row, strict=True)) for row in _told(months)]})


FORMATS = {"csv": _csv, "json": _json}
