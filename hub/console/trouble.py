"""What wants a person, the worst first, and below it what follows from it.

Incidents come first: rules have found them, and they know their cause. What no open incident tells
yet (a run that failed once, what has been in quarantine for days) is told beside them. An outage
brings stale streams and dead letters with it; those stand below it, so that a person at night reads
one line and not twelve.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from connectors.admin.asking import run_url
from connectors.admin.streams import Reading
from connectors.inbox.care import AtRisk, those_at_risk
from connectors.models import Stream, SyncRun
from hub.console.boxes import Box
from hub.console.incidents import said
from observability.display import SEVERITIES, Tone, ago, duration, lag_tone
from observability.incidents import Incident

MOST_INCIDENTS = 100
#: An incident of these kinds says of a whole system why everything else of it is wrong.
EXPLAINS = {Incident.Kind.SYSTEM_DOWN, "credentials"}
WORDS = {Tone.BAD: "now", Tone.WARN: "soon", Tone.QUIET: "note"}
ORDER = (Tone.BAD, Tone.WARN, Tone.QUIET)
Rows = Sequence[tuple[Stream, Reading]]


@dataclass(slots=True)
class Trouble:
    """Something that wants a person: how bad, what, where to look, and what follows from it.

    `kind` is the rule that finds it: where an incident of that rule is open about the same place,
    the incident tells it. `quiet`: somebody looks after it already, or nobody is to be told now.
    """

    tone: Tone
    what: str
    detail: str
    address: str
    kind: str
    system: str = ""
    stream: str = ""
    since: str = ""
    quiet: str = ""
    follows: list[Trouble] = field(default_factory=list)

    @property
    def word(self) -> str:
        """Its tone in words: colour is never the only sign."""
        return WORDS[self.tone]


def troubles(
    request: HttpRequest, rows: Rows, boxes: Iterable[Box], now: datetime
) -> list[Trouble]:
    """All of them, grouped. `now` is the database's."""
    risks = those_at_risk((stream for stream, _ in rows), now)
    found = [*of_streams(rows), *forgetting(risks), *dead_letters(boxes)]
    return grouped(incidents(request, now), found)


def grouped(known: dict[int, tuple[int | None, Trouble]], found: list[Trouble]) -> list[Trouble]:
    """Incidents below their cause, and what was found besides below what explains its system."""
    top: list[Trouble] = []
    for cause, one in known.values():
        if cause in known:
            known[cause][1].follows.append(one)
        else:
            top.append(one)
    told = {(one.kind, one.system, one.stream) for _, one in known.values()}
    causes = {one.system: one for one in reversed(top) if one.kind in EXPLAINS}
    places = {(one.system, one.stream): one for one in reversed(top) if one.stream}
    for one in found:
        if (one.kind, one.system, one.stream) in told:
            continue
        cause_of_it = causes.get(one.system) or places.get((one.system, one.stream))
        (top if cause_of_it is None else cause_of_it.follows).append(one)
    for one in top:
        one.follows.sort(key=_worst)
    return sorted(top, key=_worst)


def _worst(one: Trouble) -> tuple[bool, int]:
    """What nobody looks after stands above what somebody does."""
    return bool(one.quiet), ORDER.index(one.tone)


def incidents(request: HttpRequest, now: datetime) -> dict[int, tuple[int | None, Trouble]]:
    """{id: (its cause, what is told of it)} of what is wrong and not over."""
    if not request.user.has_perm("observability.view_incident"):
        return {}
    rows = Incident.objects.filter(resolved_at=None).order_by("-id")[:MOST_INCIDENTS]
    return {row.pk: (row.part_of_id, _incident(row, now)) for row in rows}


def _incident(row: Incident, now: datetime) -> Trouble:
    quiet = f"seen by {row.acknowledged_by}" if row.acknowledged_at else ""
    if row.silenced_until is not None and row.silenced_until > now:
        quiet = f"silenced until {row.silenced_until:%H:%M} UTC"
    return Trouble(
        SEVERITIES[row.severity],
        row.title,
        said(row.cause),
        reverse("admin:observability_incident_change", args=[row.pk]),
        row.kind,
        row.system,
        row.stream,
        since=ago(row.opened_at, now),
        quiet=quiet,
    )


def of_streams(rows: Rows) -> list[Trouble]:
    """Failed and held runs, stopped streams, quarantine, and what is past its objective."""
    return [one for stream, reading in rows for one in _of_stream(stream, reading)]


def _of_stream(stream: Stream, reading: Reading) -> Iterator[Trouble]:
    run, lag = reading.last_run, reading.lag_seconds
    address = reverse("admin:connectors_stream_change", args=[stream.pk])

    def trouble(tone: Tone, what: str, detail: str, address: str, kind: str) -> Trouble:
        place = stream.connection.slug, stream.slug
        return Trouble(tone, f"{stream}: {what}", detail, address, kind, *place)

    if run and run.state == SyncRun.State.FAILED:
        text = said(run.error)[:160]
        yield trouble(Tone.BAD, "last run failed", text, run_url(run.pk), "run_failing")
    if run and run.state == SyncRun.State.HELD:
        yield trouble(Tone.WARN, "run held", said(run.error)[:160], run_url(run.pk), "run_held")
    if stream.stopped_at is not None:
        yield trouble(Tone.BAD, "stopped", stream.stopped_because, address, "stream_stopped")
    if held := stream.held:  # type: ignore[attr-defined]
        listed = reverse("admin:connectors_quarantinedrecord_changelist")
        place = f"{listed}?stream__id__exact={stream.pk}"
        text = f"{held:,} {'record' if held == 1 else 'records'}"
        yield trouble(Tone.WARN, "quarantine", text, place, "quarantine")
    if lag_tone(lag, stream.objective_seconds) is Tone.BAD and stream.enabled:
        text = f"{duration(lag)} old, promised {duration(stream.objective_seconds)}"
        yield trouble(Tone.BAD, "stale", text, address, "lag")


def forgetting(risks: Iterable[AtRisk]) -> Iterator[Trouble]:
    """Upstreams that are about to throw away what the hub has not read."""
    for risk in risks:
        left = risk.left.total_seconds()
        detail = (
            f"the upstream forgets in {duration(left)} what was not read"
            if left > 0
            else "the upstream has forgotten what was not read; reconcile it"
        )
        address = reverse("admin:connectors_stream_change", args=[risk.stream.pk])
        place = risk.stream.connection.slug, risk.stream.slug
        yield Trouble(Tone.BAD, f"{risk.stream}: retention", detail, address, "retention", *place)


def dead_letters(boxes: Iterable[Box]) -> Iterator[Trouble]:
    """What was given up, by where it belongs."""
    for box in boxes:
        if box.dead:
            named = {name: place for name, place in box.places.items() if place}
            what = f"{'.'.join(named.values()) or box.name}: dead letters"
            address = f"{box.address}?{urlencode(named)}"
            place = box.system, box.places.get("stream", "")
            detail = f"{box.count:,} in the {box.name}"
            yield Trouble(Tone.BAD, what, detail, address, "dead_letters", *place)


def count_of(found: Iterable[Trouble]) -> dict[str, int]:
    """How many stand under each word, without what somebody looks after; what follows is its cause's."""
    counts: dict[str, int] = defaultdict(int)
    for one in found:
        if not one.quiet:
            counts[one.word] += 1
    return counts
