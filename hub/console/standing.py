"""How things stand: freshness by data class, breakers, silences, and the runs of the last day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from connectors.admin.progress import TONES, state_badge
from connectors.admin.streams import Reading
from connectors.models import Breaker, Connection, Stream, SyncRun
from connectors.outbox.letters import OUTBOX
from connectors.runtime.measuring import classes_of
from hub.console.boxes import Box
from observability import starts
from observability.display import Tone, ago, badge, duration, lag_badge, lag_tone
from observability.silences import Silence

Row = tuple[Stream, Reading]
LOOKED_BACK = timedelta(days=60)

# Ids grow with time, and runs are kept for ever: the day is found from the newest end.
OF_A_DAY = """
SELECT state, count(*), sum(read), sum(merged) FROM connectors_syncrun
WHERE id > coalesce((SELECT id FROM connectors_syncrun WHERE queued_at < now() - interval '1 day'
                     ORDER BY id DESC LIMIT 1), 0)
GROUP BY state"""


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One stream: its lag, as a share (0 to 100) of what was promised too."""

    stream: Stream
    reading: Reading
    lag: SafeString
    share: float
    tone: Tone
    state: SafeString | None


def stream_row(stream: Stream, reading: Reading) -> StreamRow:
    """A stream for the table of lags."""
    lag = reading.lag_seconds
    promised = stream.objective_seconds
    return StreamRow(
        stream=stream,
        reading=reading,
        lag=lag_badge(lag, promised),
        share=round(min(100.0, 100 * lag / max(1, promised)), 1) if lag is not None else 0,
        tone=lag_tone(lag, promised),
        state=state_badge(reading.last_run) if reading.last_run else None,
    )


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A data class: the stream that is worst off, and how many were not late when last judged."""

    name: str
    worst: Stream
    lag: SafeString
    promised: str
    fresh: int
    streams: int
    tone: Tone


def by_class(rows: Iterable[Row]) -> list[ClassRow]:
    """The worst off first. A stream counts for every class of the fields that it feeds."""
    members: dict[str, list[Row]] = defaultdict(list)
    for stream, reading in rows:
        if stream.enabled:
            for name in classes_of(stream.connection.connector, stream.slug):
                members[name].append((stream, reading))
    found = [_class_row(name, fed) for name, fed in members.items()]
    order = [Tone.BAD, Tone.QUIET, Tone.GOOD]
    return sorted(found, key=lambda row: (order.index(row.tone), row.name))


#: How bad a verdict is; what was not judged may be anything.
BADNESS = {True: 2, None: 1, False: 0}
SAYS = {
    True: (" · late", Tone.BAD),
    None: (" · not judged yet", Tone.QUIET),
    False: ("", Tone.GOOD),
}


def _class_row(name: str, fed: Sequence[Row]) -> ClassRow:
    def late(row: Row) -> bool | None:
        verdict = row[1].verdict(name)
        return None if verdict is None or verdict.maintenance else verdict.late

    def promised(row: Row) -> int:
        verdict = row[1].verdict(name)
        return verdict.promised_seconds if verdict else row[0].objective_seconds

    def worst_off(row: Row) -> tuple[int, float]:
        age = row[1].lag_seconds
        return BADNESS[late(row)], float("inf") if age is None else age / max(1, promised(row))

    worst = max(fed, key=worst_off)
    age, (said, tone) = worst[1].lag_seconds, SAYS[late(worst)]
    verdict = worst[1].verdict(name)
    if verdict is not None and verdict.maintenance:
        said = " · in maintenance"
    text = "never read" if age is None else f"{duration(age)}{said}"
    return ClassRow(
        name=name,
        worst=worst[0],
        lag=badge(text, tone, f"a change is promised here within {duration(promised(worst))}"),
        promised=duration(promised(worst)),
        fresh=sum(late(row) is False for row in fed),
        streams=len(fed),
        tone=tone,
    )


@dataclass(frozen=True, slots=True)
class Door:
    """A connection that is not called as usual: why, and what waits for it in the outbox."""

    connection: Connection
    tone: Tone
    state: str
    reason: str
    waiting: int


def doors(boxes: Iterable[Box]) -> tuple[list[Door], int]:
    """(those that are not called as usual, how many connections there are). One statement."""
    waiting: dict[str, int] = defaultdict(int)
    for box in boxes:
        if not box.dead and box.name == OUTBOX.name:
            waiting[box.system] += box.count
    rows = list(Connection.objects.select_related("breaker").order_by("slug"))
    shut = [(row, *told) for row in rows if (told := _shut(row)) is not None]
    return [Door(*door, waiting[door[0].slug]) for door in shut], len(rows)


def _shut(row: Connection) -> tuple[Tone, str, str] | None:
    if not row.enabled:
        return Tone.QUIET, "off", "switched off by a person"
    breaker = getattr(row, "breaker", None)
    if breaker is None or breaker.state == Breaker.State.CLOSED:
        return None
    return Tone.BAD, f"breaker {breaker.get_state_display()}", breaker.reason


@dataclass(frozen=True, slots=True)
class Ended:
    """How many runs of the last day are in a state, and where they are listed."""

    state: str
    count: int
    tone: Tone
    address: str


@dataclass(frozen=True, slots=True)
class Day:
    """The runs of the last 24 hours, and what they read and changed."""

    states: list[Ended]
    read: str
    changed: str


def day() -> Day:
    """One statement."""
    with connection.cursor() as cursor:
        cursor.execute(OF_A_DAY)
        found = {state: (count, read, changed) for state, count, read, changed in cursor.fetchall()}
    listed = reverse("admin:connectors_syncrun_changelist")
    order = [SyncRun.State.FAILED, SyncRun.State.HELD, SyncRun.State.RUNNING, SyncRun.State.QUEUED,
             SyncRun.State.DONE]  # fmt: skip
    return Day(
        [
            Ended(
                str(state.label).lower(),
                found[state][0],
                TONES[state],
                f"{listed}?state__exact={state}",
            )
            for state in order
            if state in found
        ],
        f"{sum(read for _, read, _ in found.values()):,}",
        f"{sum(changed for _, _, changed in found.values()):,}",
    )


def silences(request: HttpRequest, now: datetime) -> list[Silence]:
    """Those that run, the one that ends first at the top."""
    if not request.user.has_perm("observability.view_silence"):
        return []
    return list(Silence.objects.filter(starts_at__lte=now, until__gt=now).order_by("until"))


@dataclass(frozen=True, slots=True)
class Deploy:
    """What the newest start of the workers brought that the one before it did not have."""

    ago: SafeString
    what: str


def last_deploy(now: datetime) -> Deploy | None:
    """The last one of the last weeks; None where nothing was deployed since."""
    found = starts.changed(now - LOOKED_BACK, now)
    if not found:
        return None
    at = found[0]["at"]
    what = (f"{one['what']} {one['name']}" for one in found if one["at"] == at)
    return Deploy(ago(at, now), ", ".join(what))
