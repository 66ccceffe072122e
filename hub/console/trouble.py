"""What wants a person, the worst first, and below it what follows from it.

An outage of a system brings stale streams, failed runs and dead letters with it: they are told
below their cause, so that a person at night reads one line and not twelve.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse

from connectors.admin.asking import run_url
from connectors.admin.streams import Reading
from connectors.inbox.care import AtRisk, those_at_risk
from connectors.models import Stream, SyncRun
from connectors.replay.boxes import BOXES
from connectors.replay.chosen import Chosen
from observability.display import Tone, duration, exact, lag_tone
from observability.incidents import Incident

MOST_INCIDENTS = 30
MOST_PLACES = 10
#: Kinds of incident that have pages of their own, where something can be done about them.
PAGES: dict[str, str] = {Incident.Kind.CONTRACT_DRIFT: "connectors_driftincident"}
#: What an incident of these kinds says of a system explains what else is wrong with it.
EXPLAINS = {Incident.Kind.SYSTEM_DOWN}
Rows = Iterable[tuple[Stream, Reading]]


@dataclass(slots=True)
class Trouble:
    """Something that wants a person: how bad, what, where to look, and what follows from it."""

    tone: Tone
    what: str
    detail: str
    address: str
    system: str = ""
    explains: bool = False
    follows: list[Trouble] = field(default_factory=list)

    @property
    def now(self) -> bool:
        """Whether it cannot wait."""
        return self.tone is Tone.BAD


def troubles(
    request: HttpRequest, rows: Sequence[tuple[Stream, Reading]], now: datetime
) -> list[Trouble]:
    """All of them, grouped. `now` is the database's."""
    risks = those_at_risk((stream for stream, _ in rows), now)
    found = [*incidents(request), *of_streams(rows), *forgetting(risks), *dead_letters(request)]
    return grouped(found)


def grouped(found: Iterable[Trouble]) -> list[Trouble]:
    """Red first; below the trouble that explains a system what else is wrong with that system."""
    causes: dict[str, Trouble] = {}
    rest: list[Trouble] = []
    for one in found:
        if one.explains and one.system not in causes:
            causes[one.system] = one
        else:
            rest.append(one)
    alone = []
    for one in rest:
        cause = causes.get(one.system)
        (alone if cause is None else cause.follows).append(one)
    for cause in causes.values():
        cause.follows.sort(key=_worst)
    return sorted([*causes.values(), *alone], key=_worst)


def _worst(one: Trouble) -> bool:
    return not one.now


def incidents(request: HttpRequest) -> list[Trouble]:
    """What is wrong and not over, as the hub found it."""
    if not request.user.has_perm("observability.view_incident"):
        return []
    return [
        Trouble(
            Tone.WARN if row.acknowledged_at else Tone.BAD,
            row.title,
            _since(row),
            reverse(f"admin:{PAGES.get(row.kind, 'observability_incident')}_change", args=[row.pk]),
            row.system,
            row.kind in EXPLAINS,
        )
        for row in Incident.objects.filter(resolved_at=None)[:MOST_INCIDENTS]
    ]


def _since(row: Incident) -> str:
    seen = f"seen by {row.acknowledged_by}, " if row.acknowledged_at else ""
    cause = f": {row.cause}" if row.cause else ""
    return f"{seen}since {exact(row.opened_at)[:16]} UTC{cause}"


def of_streams(rows: Rows) -> list[Trouble]:
    """Failed and held runs, stopped streams, quarantine, and what is past its objective."""
    return [one for stream, reading in rows for one in _of_stream(stream, reading)]


def _of_stream(stream: Stream, reading: Reading) -> Iterable[Trouble]:
    name, system, run = str(stream), stream.connection.slug, reading.last_run
    address = reverse("admin:connectors_stream_change", args=[stream.pk])
    if run and run.state == SyncRun.State.FAILED:
        yield Trouble(
            Tone.BAD, f"{name}: last run failed", run.error[:160], run_url(run.pk), system
        )
    if run and run.state == SyncRun.State.HELD:
        yield Trouble(Tone.WARN, f"{name}: run held", run.error[:160], run_url(run.pk), system)
    if stream.stopped_at is not None:
        yield Trouble(Tone.BAD, f"{name}: stopped", stream.stopped_because, address, system)
    if held := stream.held:  # type: ignore[attr-defined]
        listed = reverse("admin:connectors_quarantinedrecord_changelist")
        detail = f"{held:,} {'record' if held == 1 else 'records'}"
        place = f"{listed}?stream__id__exact={stream.pk}"
        yield Trouble(Tone.WARN, f"{name}: quarantine", detail, place, system)
    fresh = reading.freshness
    lag = fresh.lag_seconds if fresh else None
    if lag_tone(lag, stream.objective_seconds) is Tone.BAD and stream.enabled:
        detail = f"{duration(lag)} old, promised {duration(stream.objective_seconds)}"
        yield Trouble(Tone.BAD, f"{name}: stale", detail, address, system)


def forgetting(risks: Iterable[AtRisk]) -> list[Trouble]:
    """Upstreams that are about to throw away what the hub has not read."""
    found: list[Trouble] = []
    for risk in risks:
        left = risk.left.total_seconds()
        detail = (
            f"the upstream forgets in {duration(left)} what was not read"
            if left > 0
            else "the upstream has forgotten what was not read; reconcile it"
        )
        address = reverse("admin:connectors_stream_change", args=[risk.stream.pk])
        system = risk.stream.connection.slug
        found.append(Trouble(Tone.BAD, f"{risk.stream}: retention", detail, address, system))
    return found


def dead_letters(request: HttpRequest) -> list[Trouble]:
    """What was given up, by where it belongs. One statement for each box that the person sees."""
    found: list[Trouble] = []
    for letters in BOXES.values():
        options = letters.model._meta
        if not request.user.has_perm(f"{options.app_label}.view_{options.model_name}"):
            continue
        listed = reverse(f"admin:{options.app_label}_{options.model_name}_changelist")
        dead = letters.dead(Chosen()).order_by().values_list(*letters.places.values())
        for *places, count in dead.annotate(count=Count("pk")).order_by("-count")[:MOST_PLACES]:
            words = {n: place for n, place in zip(letters.places, places, strict=True) if place}
            system = words.get("connection", "")
            address = f"{listed}?{urlencode(words)}"
            what = f"{'.'.join(words.values())}: dead letters"
            detail = f"{count:,} in the {letters.name}"
            found.append(Trouble(Tone.BAD, what, detail, address, system))
    return found


def count_of(found: Iterable[Trouble]) -> dict[bool, int]:
    """How many cannot wait (True), and how many can; what follows is its cause's."""
    counts: dict[bool, int] = defaultdict(int)
    for one in found:
        counts[one.now] += 1
    return counts
