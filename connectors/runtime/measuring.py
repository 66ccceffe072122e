"""What the runtime measures: pages and runs as they end, and everything that waits, thrice a minute."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import Error as DatabaseError
from django.db import connection

from catalog.entities import entities
from connectors.models import Checkpoint, Connection, Stream, Subscriber, SyncRun
from connectors.runtime.connector import installed
from connectors.runtime.prepare import Prepared
from observability import judging, metrics
from observability.clock import database_now
from observability.freshness import watermarks
from observability.judging import Watched

log = structlog.get_logger(__name__)

#: A change that is applied sooner than this after it was made is late for nobody.
SOON = timedelta(seconds=30)

# What a complete read that began after its arrival has covered waits for nothing any more, dead
# letters among it. Three ways to one table: each has an index of its own.
WAITING = " UNION ALL ".join(
    f"""
SELECT c.slug AS system, e.stream, LEAST(e.occurred_at, e.received_at) AS since
FROM connectors_inboxevent e JOIN connectors_connection c ON c.id = e.connection_id
LEFT JOIN observability_streamfreshness f ON f.system = c.slug AND f.stream = e.stream
WHERE e.state {states} AND e.received_at > COALESCE(f.watermark, '-infinity')"""  # noqa: S608 (our own constants)
    for states in ("IN ('received', 'retrying')", "= 'claimed'", "= 'dead'")
)
OLDEST = f"SELECT system, stream, min(since) FROM ({WAITING}) AS waiting GROUP BY 1, 2"  # noqa: S608 (our own SQL)

_DEPTH = """
SELECT {place}, count(*), EXTRACT(EPOCH FROM now() - min(m.received_at))::float8 FROM (
    SELECT * FROM {table} WHERE state IN ('received', 'retrying')
    UNION ALL SELECT * FROM {table} WHERE state = 'claimed') AS m {join} GROUP BY 1"""
DEPTHS = {
    "inbox": _DEPTH.format(
        place="c.slug",
        table="connectors_inboxevent",
        join="JOIN connectors_connection c ON c.id = m.connection_id",
    ),
    "outbox": _DEPTH.format(
        place="COALESCE(s.slug, c.slug, h.slug)",
        table="connectors_outboxcommand",
        join="LEFT JOIN connectors_connection c ON c.id = m.connection_id"
        " LEFT JOIN connectors_subscriber s ON s.id = m.subscriber_id"
        " LEFT JOIN observability_channel h ON h.id = m.channel_id",
    ),
}

HELD = """
SELECT c.slug, s.slug, count(q.id) FROM connectors_stream s
JOIN connectors_connection c ON c.id = s.connection_id
LEFT JOIN connectors_quarantinedrecord q ON q.stream_id = s.id GROUP BY 1, 2"""


class Pages:
    """The pages of one run, told once each is committed."""

    def __init__(self, run: SyncRun, system: str, source: int) -> None:
        self._place = {"system": system, "stream": run.stream.slug}
        self._source = source
        #: Changes after that are news; None: nothing is known to be.
        self._since = _read_before(run)

    def committed(self, prepared: Prepared) -> None:
        """How many records came, and how long what is news among them took."""
        said = [c for c in prepared.contributions if c.source_id == self._source]
        for outcome, number in (
            ("read", len(prepared.keys)),
            ("unchanged", prepared.unchanged),
            ("changed", len(said)),
            ("quarantined", len(prepared.broken)),
        ):
            if number:
                metrics.count("stream_records", number, **self._place, outcome=outcome)
        since = self._since
        if since is not None:
            propagated(
                **self._place,
                changed=[c.changed_at for c in said if c.changed_at and c.changed_at > since],
            )


def _read_before(run: SyncRun) -> datetime | None:
    """Up to where a stream was read before a run that keeps it fresh.

    What is stored for the first time has changed at any time: that says nothing about us.
    """
    if run.kind not in SyncRun.KEEPS_FRESH:
        return None
    mark = Checkpoint.objects.filter(stream=run.stream, full_refresh_at__isnull=False).first()
    return (run.since or mark.watermark) if mark is not None else None


def propagated(system: str, stream: str, changed: Sequence[datetime]) -> None:
    """What the upstream changed at these moments (its clock) is applied by now. Raises nothing."""
    if not changed:
        return
    try:
        now = database_now()
        for moment in changed:
            seconds = max(0.0, (now - moment).total_seconds())
            metrics.observe("propagation_seconds", seconds, system=system, stream=stream)
        if now - min(changed) > SOON:
            judging.late(system, stream, min(changed))
    except DatabaseError as error:
        log.warning("a late change could not be noted", stream=stream, error=str(error).strip())


def ended(run: SyncRun) -> None:
    """A run was worked on: how it ended, if it did. Raises nothing."""
    try:
        state, began, finished = SyncRun.objects.values_list(
            "state", "started_at", "finished_at"
        ).get(pk=run.pk)
        if state == SyncRun.State.RUNNING or began is None:
            return
        # One that is queued again has failed, and will be tried once more.
        outcome = "retried" if state == SyncRun.State.QUEUED else state
        seconds = ((finished or database_now()) - began).total_seconds()
    except DatabaseError as error:
        log.warning("how a run ended could not be noted", run=run.pk, error=str(error).strip())
        return
    place = {"system": run.stream.connection.slug, "stream": run.stream.slug}
    metrics.observe("run_seconds", seconds, **place, kind=run.kind, outcome=outcome)


def sample() -> None:
    """Judge the minute, and note what can only be looked at. Raises django.db.DatabaseError."""
    watched = watch()
    judging.judge(watched)
    judging.note_delays(watched)
    for (system, stream), fresh in watermarks().items():
        if fresh.lag_seconds is not None:
            metrics.observe("stream_lag_seconds", fresh.lag_seconds, system=system, stream=stream)
    for system, stream, count in _rows(HELD):
        metrics.observe("stream_quarantine", count, system=system, stream=stream)
    _note_depths("inbox", Connection.objects.filter(enabled=True).values_list("slug", flat=True))
    _note_depths("outbox", Subscriber.objects.filter(enabled=True).values_list("slug", flat=True))
    metrics.flush()


def watch() -> list[Watched]:
    """The streams that are switched on, and since when something of them waits."""
    oldest = {(system, stream): since for system, stream, since in _rows(OLDEST)}
    rows = Stream.objects.filter(enabled=True, connection__enabled=True)
    return [
        Watched(
            row.connection.slug,
            row.slug,
            row.interval_seconds,
            oldest.get((row.connection.slug, row.slug)),
            classes_of(row.connection.connector, row.slug),
        )
        for row in rows.select_related("connection")
    ]


def classes_of(connector: str, stream: str) -> tuple[str, ...]:
    """The data classes of the fields that a stream and its children feed; of one that nothing
    declares any more none.
    """
    cls = installed().get(connector)
    spec = next((s for s in cls.streams if s.slug == stream), None) if cls else None
    if spec is None:
        return ()
    declared = {name: entity.declaration for name, entity in entities().items()}
    parts = (spec, *spec.children)
    return tuple(
        sorted({declared[part.entity].class_of(field) for part in parts for field in part.fields})
    )


def _note_depths(box: str, places: Iterable[str]) -> None:
    depths = dict.fromkeys(places, (0, 0.0))
    depths |= {place: (count, seconds) for place, count, seconds in _rows(DEPTHS[box])}
    for place, (count, seconds) in depths.items():
        metrics.observe("box_waiting", count, box=box, place=place)
        metrics.observe("box_oldest_seconds", seconds, box=box, place=place)


def _rows(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
