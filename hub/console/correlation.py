"""Everything that happened under one correlation id, on every floor, as one timeline.

Each kind of thing is one SELECT by an index; all of them are one statement. A sync run changes a
hundred thousand records under its id: of each kind the first `MOST` are shown, and how many there are
is counted up to `COUNTED`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from hub.console.happened import KINDS, OWN_IDS, Kind
from observability.display import Tone, duration

MOST = 100
COUNTED = 10_000

#: States that are neither good nor bad in themselves have no colour.
TONES: Mapping[str, Tone] = {
    **dict.fromkeys(("done", "applied", "confirmed", "acknowledged", "resolved"), Tone.GOOD),
    **dict.fromkeys(("running", "claimed", "accepted", "sent", "queued", "received"), Tone.BUSY),
    **dict.fromkeys(("retrying", "waiting", "held", "refused", "quarantined"), Tone.WARN),
    **dict.fromkeys(("dead", "failed", "open", "no answer"), Tone.BAD),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. `begins` and `lasts` are shares of the whole time, in per cent."""

    kind: Kind
    at: datetime
    system: str
    what: str
    state: str
    milliseconds: float | None
    address: str
    delta: str
    begins: float
    lasts: float

    @property
    def tone(self) -> Tone:
        if self.state.isdecimal():  # the status of an answer
            return Tone.GOOD if self.state < "4" else Tone.WARN if self.state < "5" else Tone.BAD
        return TONES.get(self.state, Tone.QUIET)

    @property
    def took(self) -> str:
        return "–" if self.milliseconds is None else _spelled(self.milliseconds)


@dataclass(frozen=True, slots=True)
class Cut:
    """A kind of which not all is shown."""

    kind: Kind
    count: int
    address: str

    @property
    def said(self) -> str:
        if self.count > COUNTED:
            return f"the first {MOST} of more than {COUNTED:,}"
        return f"the first {MOST} of {self.count:,}"


def may_look(request: HttpRequest) -> bool:
    """Whether the person may see anything that can stand in a timeline."""
    return any(request.user.has_perm(kind.permission) for kind in KINDS)


def find(request: HttpRequest) -> HttpResponse:
    """GET `?id=…` leads to its page; without one, the form."""
    if not may_look(request):
        raise PermissionDenied
    wanted = request.GET.get("id", "").strip()
    if wanted and "/" not in wanted:
        return redirect("correlation", wanted)
    return _page(request, "", {"wanted": wanted})


def page(request: HttpRequest, correlation_id: str) -> HttpResponse:
    """GET: the timeline of an id."""
    kinds = [kind for kind in KINDS if request.user.has_perm(kind.permission)]
    if not kinds:
        raise PermissionDenied
    rows = _rows(kinds, correlation_id, MOST + 1)
    seen: dict[str, int] = {}
    kept = []
    for row in rows:
        seen[row[0]] = seen.get(row[0], 0) + 1
        if seen[row[0]] <= MOST:
            kept.append(row)
    cut = [kind for kind in kinds if seen.get(kind.slug, 0) > MOST]
    lines = _lines(kept)
    context = {
        "wanted": correlation_id,
        "lines": lines,
        "systems": sorted({line.system for line in lines if line.system}),
        "lasted": _spelled(_milliseconds(lines[0].at, max(_end(row) for row in kept)))
        if lines
        else "",
        "cuts": _cuts(cut, correlation_id),
        "hidden": [kind.plural for kind in KINDS if kind not in kinds],
    }
    return _page(request, correlation_id, context)


def known(request: HttpRequest, correlation_id: str) -> bool:
    """Whether anything that the person may see happened under an id. One statement."""
    kinds = [kind for kind in KINDS if request.user.has_perm(kind.permission)]
    return bool(kinds and _rows(kinds, correlation_id, 1))


def _page(request: HttpRequest, correlation_id: str, context: dict[str, Any]) -> HttpResponse:
    title = f"Correlation {correlation_id}" if correlation_id else "Find by correlation id"
    shown = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, "console/correlation.html", shown)


def _rows(kinds: Sequence[Kind], correlation_id: str, most: int) -> list[tuple[Any, ...]]:
    """(kind, at, pk, system, what, state, milliseconds), oldest first."""
    found = " UNION ALL ".join(
        f"SELECT '{kind.slug}', x.* FROM ({kind.sql}) AS x" for kind in kinds
    )
    statement = f"WITH {OWN_IDS} {found} ORDER BY 2, 3"
    with connection.cursor() as cursor:
        cursor.execute(statement, {"id": correlation_id, "most": most})
        return list(cursor.fetchall())


def _cuts(kinds: Sequence[Kind], correlation_id: str) -> list[Cut]:
    if not kinds:
        return []
    counted = ", ".join(f"(SELECT count(*) FROM ({kind.sql}) AS x)" for kind in kinds)
    statement = f"WITH {OWN_IDS} SELECT {counted}"
    with connection.cursor() as cursor:
        cursor.execute(statement, {"id": correlation_id, "most": COUNTED + 1})
        counts = cursor.fetchone()
    return [
        Cut(kind, count, _list_address(kind, correlation_id))
        for kind, count in zip(kinds, counts, strict=True)
    ]


def _list_address(kind: Kind, correlation_id: str) -> str:
    if not kind.listed_by:
        return ""
    return (
        f"{reverse(f'admin:{kind.page}_changelist')}?{urlencode({kind.listed_by: correlation_id})}"
    )


def _lines(rows: Sequence[tuple[Any, ...]]) -> list[Line]:
    if not rows:
        return []
    first = rows[0][1]
    whole = max(_milliseconds(first, max(_end(row) for row in rows)), 0.001)
    by_slug = {kind.slug: kind for kind in KINDS}
    return [
        Line(
            kind=by_slug[slug],
            at=at,
            system=system or "",
            what=what,
            state=state,
            milliseconds=lasted,
            address=reverse(f"admin:{by_slug[slug].page}_change", args=[pk]),
            delta=f"+{_spelled(_milliseconds(first, at))}",
            begins=round(100 * _milliseconds(first, at) / whole, 2),
            lasts=round(100 * (lasted or 0.0) / whole, 2),
        )
        for slug, at, pk, system, what, state, lasted in rows
    ]


def _end(row: tuple[Any, ...]) -> datetime:
    at: datetime = row[1]
    return at + timedelta(milliseconds=row[6] or 0)


def _milliseconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() * 1000


def _spelled(milliseconds: float) -> str:
    """`0.4 ms`, `812 ms`, `3.250 s`, `4 min 12 s`."""
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.3f} s"
    return duration(milliseconds / 1000)
