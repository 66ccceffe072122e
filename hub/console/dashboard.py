"""The front page: what needs a person first, then freshness, runs and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from catalog.entities import entities
from catalog.sizes import entity_sizes
from connectors.admin.asking import run_url
from connectors.admin.progress import state_badge
from connectors.admin.runs import run_rows
from connectors.admin.streams import Reading, read_all, with_last_run
from connectors.inbox.care import at_risk
from connectors.models import Stream, SyncRun
from connectors.replay.boxes import BOXES
from connectors.replay.chosen import Chosen
from observability.display import Tone, duration, exact, lag_badge, lag_tone
from observability.incidents import Incident

LATEST = 8
MOST_PLACES = 10
NEEDED = "connectors.view_stream"
#: Kinds of incident that have pages of their own, where something can be done about them.
INCIDENTS: dict[str, str] = {Incident.Kind.CONTRACT_DRIFT: "connectors_driftincident"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that wants a person: how bad, what, and where to look."""

    tone: Tone
    what: str
    detail: str
    address: str


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One stream on the front page."""

    stream: Stream
    reading: Reading
    lag: SafeString
    share: float
    tone: Tone
    state: SafeString | None


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK."""
    if not request.user.has_perm(NEEDED):
        return context
    rows = [_row(stream, reading) for stream, reading in read_all(_streams())]
    sizes = entity_sizes()
    return {
        **context,
        "title": "Overview",
        "dashboard": True,
        "trouble": by_tone(
            [*incidents(request), *trouble(rows), *forgetting(), *dead_letters(request)]
        ),
        "streams": rows,
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


def _streams() -> Any:
    return with_last_run(Stream.objects.order_by("connection__slug", "slug"))


def _row(stream: Stream, reading: Reading) -> StreamRow:
    lag = reading.freshness.lag_seconds if reading.freshness else None
    promised = stream.objective_seconds
    return StreamRow(
        stream=stream,
        reading=reading,
        lag=lag_badge(lag, promised),
        share=round(min(100.0, 100 * lag / max(1, promised)), 1) if lag is not None else 0,
        tone=lag_tone(lag, promised),
        state=state_badge(reading.last_run) if reading.last_run else None,
    )


def trouble(rows: list[StreamRow]) -> list[Trouble]:
    """Red first: failed runs, then held ones, quarantine, and what is past its objective."""
    found: list[Trouble] = []
    quarantine = reverse("admin:connectors_quarantinedrecord_changelist")
    for row in rows:
        stream, run, name = row.stream, row.reading.last_run, str(row.stream)
        if run and run.state == SyncRun.State.FAILED:
            found.append(
                Trouble(Tone.BAD, f"{name}: last run failed", run.error[:160], run_url(run.pk))
            )
        if run and run.state == SyncRun.State.HELD:
            found.append(Trouble(Tone.WARN, f"{name}: run held", run.error[:160], run_url(run.pk)))
        if stream.stopped_at is not None:
            address = reverse("admin:connectors_stream_change", args=[stream.pk])
            found.append(Trouble(Tone.BAD, f"{name}: stopped", stream.stopped_because, address))
        held = stream.held  # type: ignore[attr-defined]
        if held:
            address = f"{quarantine}?stream__id__exact={stream.pk}"
            found.append(
                Trouble(
                    Tone.WARN,
                    f"{name}: quarantine",
                    f"{held:,} {'record' if held == 1 else 'records'}",
                    address,
                )
            )
        if row.tone is Tone.BAD and stream.enabled and row.reading.freshness:
            late = duration(row.reading.freshness.lag_seconds)
            promised = duration(stream.objective_seconds)
            address = reverse("admin:connectors_stream_change", args=[stream.pk])
            found.append(
                Trouble(Tone.BAD, f"{name}: stale", f"{late} old, promised {promised}", address)
            )
    return by_tone(found)


def incidents(request: HttpRequest) -> list[Trouble]:
    """What is wrong and not over."""
    if not request.user.has_perm("observability.view_incident"):
        return []
    return [
        Trouble(
            Tone.WARN if row.acknowledged_at else Tone.BAD,
            row.title,
            f"since {exact(row.opened_at)[:16]} UTC: {row.cause}",
            reverse(
                f"admin:{INCIDENTS.get(row.kind, 'observability_incident')}_change", args=[row.pk]
            ),
        )
        for row in Incident.objects.filter(resolved_at=None)[:MOST_PLACES]
    ]


def forgetting() -> list[Trouble]:
    """Upstreams that are about to throw away what the hub has not read."""
    found: list[Trouble] = []
    for risk in at_risk():
        left = risk.left.total_seconds()
        detail = (
            f"the upstream forgets in {duration(left)} what was not read"
            if left > 0
            else "the upstream has forgotten what was not read; reconcile it"
        )
        address = reverse("admin:connectors_stream_change", args=[risk.stream.pk])
        found.append(Trouble(Tone.BAD, f"{risk.stream}: retention", detail, address))
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
            words = {
                name: place for name, place in zip(letters.places, places, strict=True) if place
            }
            name = ".".join(words.values())
            detail = f"{count:,} in the {letters.name}"
            address = f"{listed}?{urlencode(words)}"
            found.append(Trouble(Tone.BAD, f"{name}: dead letters", detail, address))
    return found


def by_tone(found: list[Trouble]) -> list[Trouble]:
    """Red first."""
    return sorted(found, key=lambda one: one.tone is not Tone.BAD)
