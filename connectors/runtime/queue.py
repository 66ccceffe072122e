"""The queue of sync runs: ask, claim, hold, finish. PostgreSQL is the only truth.

`SyncRun` documents the states. Every decision about time is the database's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Least

from connectors.models import Checkpoint, Stream, SyncRun
from connectors.runtime import bell
from connectors.runtime.box import beyond
from observability import sentry
from observability.context import current_id, new_id
from observability.errors import SPARING, Action, HubError, action_for
from observability.redaction import redact_text

log = structlog.get_logger(__name__)

LEASE_SECONDS = 20
#: Waits between the attempts of a run that makes no progress, in seconds.
BACKOFF = (5, 30, 120, 600, 3600, 14400, 43200)
#: After how many intervals, at most, a failing stream is tried again.
SLOWEST = 32

# Runs that keep a stream fresh take turns on it. Remaps and reconciliations go on beside them,
# because the store's own guards decide what is news; but one remap a stream, and one
# reconciliation a connection, whose upstream has others to serve. A remap needs no upstream.
CLAIMABLE = """
FROM connectors_syncrun r
JOIN connectors_stream s ON s.id = r.stream_id AND (s.stopped_at IS NULL OR r.kind = 'remap')
JOIN connectors_connection c ON c.id = s.connection_id AND (r.kind = 'remap' OR (
    c.enabled AND (c.paused_until IS NULL OR c.paused_until <= now())))
WHERE ((r.state = 'queued' AND r.not_before <= now())
    OR (r.state = 'running' AND r.lease_until < now()))
  AND (r.kind = 'record' OR NOT EXISTS (
        SELECT 1 FROM connectors_syncrun o JOIN connectors_stream n ON n.id = o.stream_id
        WHERE o.id <> r.id AND o.state = 'running' AND o.lease_until >= now()
          AND CASE r.kind
              WHEN 'remap' THEN o.kind = 'remap' AND o.stream_id = r.stream_id
              WHEN 'reconcile' THEN o.kind = 'reconcile' AND n.connection_id = s.connection_id
              ELSE o.kind IN ('incremental', 'full', 'backfill') AND o.stream_id = r.stream_id
              END))"""

#: 0: somebody waits for it; 1: it keeps a stream fresh; 2: it has time.
RANK = "CASE WHEN r.kind = 'record' THEN 0 WHEN r.kind IN ('remap', 'reconcile') THEN 2 ELSE 1 END"

CLAIM = f"""
WITH due AS (
    SELECT r.id {CLAIMABLE}
    ORDER BY {RANK}, r.not_before, r.id LIMIT 1
    FOR UPDATE OF r SKIP LOCKED
)
UPDATE connectors_syncrun r SET state = 'running', token = token + 1, attempts = attempts + 1,
    lease_until = now() + interval '{LEASE_SECONDS} seconds',
    started_at = COALESCE(started_at, now()), error = '', error_code = ''
FROM due WHERE r.id = due.id RETURNING r.id"""  # noqa: S608 (no value comes from outside)

# Two workers that claim at once could take two runs of one stream; claiming is short, so in turn.
CLAIM_LOCK = "SELECT pg_advisory_xact_lock(hashtext('connectors.syncrun.claim'))"

HOLD = f"""
UPDATE connectors_syncrun SET lease_until = now() + interval '{LEASE_SECONDS} seconds'
WHERE id = %s AND token = %s AND state = 'running'"""  # noqa: S608 (no value comes from outside)

WAITED = "EXTRACT(EPOCH FROM now() - GREATEST(r.not_before, r.lease_until))"

DUE = f"SELECT count(*), COALESCE(max({WAITED}), 0)::float8 {CLAIMABLE}"

# A free worker takes a run in no time: one that waits longer finds them all busy.
PRESSED = f"SELECT EXISTS (SELECT 1 {CLAIMABLE} AND {RANK} < 2 AND {WAITED} > 2)"

# A stream is due when its last run began an interval ago; each failure in a row doubles the wait.
# What is missed during an outage is one run, because the next one reads from the checkpoint on.
SCHEDULE = """
SELECT s.id FROM connectors_stream s
JOIN connectors_connection c ON c.id = s.connection_id AND c.enabled
LEFT JOIN LATERAL (
    SELECT max(r.queued_at) AS asked_at,
           bool_or(r.state IN ('queued', 'running')) AS busy,
           max(r.id) FILTER (WHERE r.state <> 'failed') AS last_good,
           array_agg(r.id) FILTER (WHERE r.state = 'failed') AS failed
    FROM (SELECT * FROM connectors_syncrun r WHERE r.stream_id = s.id
            AND r.kind IN ('incremental', 'full', 'backfill')
          ORDER BY r.id DESC LIMIT 10) r) last ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS failures FROM unnest(last.failed) AS f (id)
    WHERE f.id > COALESCE(last.last_good, 0)) failed ON true
WHERE s.enabled AND s.stopped_at IS NULL AND NOT COALESCE(last.busy, false)
  AND (last.asked_at IS NULL OR last.asked_at
       + s.interval_seconds * LEAST(2 ^ failed.failures, %s) * interval '1 second' <= now())"""

# Compared when the last comparison, or the last full read, began an interval ago. What an outage
# held up is one run a stream, and they take turns on their connection.
RECONCILIATIONS = """
SELECT s.id FROM connectors_stream s
JOIN connectors_connection c ON c.id = s.connection_id AND c.enabled
    AND (c.paused_until IS NULL OR c.paused_until <= now())
JOIN connectors_checkpoint k ON k.stream_id = s.id
LEFT JOIN LATERAL (
    SELECT r.queued_at, r.state FROM connectors_syncrun r
    WHERE r.stream_id = s.id AND r.kind = 'reconcile' ORDER BY r.id DESC LIMIT 1) last ON true
WHERE s.enabled AND s.stopped_at IS NULL AND s.reconcile_every_seconds > 0 AND k.full_refresh_at IS NOT NULL
  AND GREATEST(k.verified_through, k.full_refresh_at)
      + s.reconcile_every_seconds * interval '1 second' <= now()
  AND COALESCE(last.state NOT IN ('queued', 'running') AND last.queued_at
      + s.reconcile_every_seconds * interval '1 second' <= now(), true)"""


class LeaseLostError(Exception):
    """Somebody else holds the run now; nothing of this worker's may be committed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A time-limited right to work a run; `token` rejects a holder that came too late."""

    run_id: int
    token: int

    def hold(self) -> None:
        """Prolong the lease. Raises LeaseLostError."""
        with connection.cursor() as cursor:
            cursor.execute(HOLD, (self.run_id, self.token))
            if cursor.rowcount != 1:
                raise LeaseLostError(f"run {self.run_id} is held by another worker")

    def update(self, **values: Any) -> None:
        """Write to the run if it is still ours; first of its transaction. Raises LeaseLostError."""
        mine = SyncRun.objects.filter(pk=self.run_id, token=self.token, state="running")
        if mine.update(**values) != 1:
            raise LeaseLostError(f"run {self.run_id} is held by another worker")


def ask(
    stream: Stream,
    kind: str,
    *,
    asked_by: str,
    record_key: str = "",
    allow_deletes: bool = False,
) -> SyncRun:
    """Queue a run, or return the one that waits already; wakes a worker after commit."""
    with transaction.atomic():
        run, created = SyncRun.objects.get_or_create(
            stream=stream,
            kind=kind,
            record_key=record_key,
            state=SyncRun.State.QUEUED,
            defaults={
                "asked_by": asked_by,
                "allow_deletes": allow_deletes,
                "correlation_id": current_id() or new_id(),
            },
        )
        if not created and (allow_deletes or run.asked_by != asked_by):
            # A person who asks does not wait for the backoff of a schedule.
            SyncRun.objects.filter(pk=run.pk).update(
                not_before=run.queued_at, allow_deletes=run.allow_deletes or allow_deletes
            )
        transaction.on_commit(bell.ring)
    return run


def ask_since(stream: Stream, since: datetime | None, *, asked_by: str) -> SyncRun:
    """Queue a backfill: what changed since a moment, or all where the upstream cannot tell."""
    if since is None or not stream.spec.incremental:
        return ask(stream, SyncRun.Kind.FULL, asked_by=asked_by)
    run = ask(stream, SyncRun.Kind.BACKFILL, asked_by=asked_by)
    # One that waits already is widened.
    SyncRun.objects.filter(pk=run.pk, state=SyncRun.State.QUEUED).update(
        since=Least(F("since"), Value(since))
    )
    return run


def retry(run: SyncRun, asked_by: str) -> None:
    """Queue a failed run again; it goes on from its own cursor. Nothing, if another waits already."""
    if _another_waits(run):
        return
    changed = SyncRun.objects.filter(pk=run.pk, state=SyncRun.State.FAILED).update(
        state=SyncRun.State.QUEUED,
        attempts=0,
        not_before=_now(),
        finished_at=None,
        asked_by=asked_by,
    )
    if changed:
        transaction.on_commit(bell.ring)


def natural_kind(stream: Stream) -> str:
    """What a schedule asks of a stream: its changes, once it has been read in full."""
    checkpoint = Checkpoint.objects.filter(stream=stream).first()
    read = checkpoint is not None and checkpoint.full_refresh_at is not None
    return SyncRun.Kind.INCREMENTAL if read and stream.spec.incremental else SyncRun.Kind.FULL


def schedule_due() -> list[SyncRun]:
    """Queue a run for each stream whose interval has passed. A failed first read is resumed."""
    with connection.cursor() as cursor:
        cursor.execute(SCHEDULE, (SLOWEST,))
        ids = [row[0] for row in cursor.fetchall()]
    asked = []
    for stream in Stream.objects.filter(pk__in=ids).select_related("connection"):
        kind = natural_kind(stream)
        last = stream.runs.filter(kind__in=SyncRun.KEEPS_FRESH).first()
        if (
            kind == SyncRun.Kind.FULL
            and last
            and last.state == SyncRun.State.FAILED
            and last.cursor
        ):
            retry(last, "schedule")
            asked.append(last)
        else:
            asked.append(ask(stream, kind, asked_by="schedule"))
    return asked


def schedule_reconciliations() -> list[SyncRun]:
    """Queue one for each stream that reads its changes alone and was last compared long ago."""
    with connection.cursor() as cursor:
        cursor.execute(RECONCILIATIONS)
        ids = [row[0] for row in cursor.fetchall()]
    return [
        ask(stream, SyncRun.Kind.RECONCILE, asked_by="schedule")
        for stream in Stream.objects.filter(pk__in=ids).select_related("connection")
        # The refreshes of the others compare everything each time.
        if stream.spec.incremental
    ]


def claim() -> tuple[SyncRun, Claim] | None:
    """Take the next due run, or one whose holder's lease has expired; None if there is none."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CLAIM_LOCK)
        cursor.execute(CLAIM)
        row = cursor.fetchone()
    if row is None:
        return None
    run = SyncRun.objects.select_related("stream__connection").get(pk=row[0])
    return run, Claim(run.pk, run.token)


def due() -> tuple[int, float]:
    """(runs that wait for a worker, for how many seconds the longest has waited)."""
    with connection.cursor() as cursor:
        cursor.execute(DUE)
        count, seconds = cursor.fetchone()
    return count, seconds


def gives_way(deadline: float | None) -> bool:
    """Whether a run that has time should be given back: its time is up, or others need a worker."""
    if deadline is not None and monotonic() > deadline:
        return True
    with connection.cursor() as cursor:
        cursor.execute(PRESSED)
        return bool(cursor.fetchone()[0])


def give_back(held: Claim) -> None:
    """Let another worker go on with the run, without an attempt spent and after those who wait.

    It lets the lease lapse: the next run of its kind may have been asked for, and wait, already.
    """
    run = SyncRun.objects.get(pk=held.run_id)
    now = _now()
    held.update(attempts=max(0, run.attempts - 1), not_before=now, lease_until=now)
    transaction.on_commit(bell.ring)


def fail(run: SyncRun, held: Claim, error: BaseException) -> None:
    """Record an error and do what the error table says: again later, or for a person."""
    run.refresh_from_db(fields=["attempts"])
    code = error.code if isinstance(error, HubError) else "internal"
    said: dict[str, Any] = {"error_code": code, "error": describe(error)}
    attempts = run.attempts - isinstance(error, SPARING)
    garbled = code == "upstream.garbled"
    again = action_for(error) is Action.RETRY and attempts < len(BACKOFF) and not garbled
    if again and not _another_waits(run):
        wait = float(BACKOFF[max(0, attempts - 1)])
        if isinstance(error, HubError) and error.retry_after is not None:
            wait = max(error.retry_after, 0.0) + beyond(error)
        said |= {"state": SyncRun.State.QUEUED, "attempts": attempts, "not_before": _now(wait)}
    else:
        said |= {"state": SyncRun.State.FAILED, "finished_at": _now()}
        if isinstance(error, HubError):
            # Any other error was logged as such where it was caught.
            sentry.report(error)
    try:
        held.update(lease_until=None, **said)
    except LeaseLostError:
        return
    log.warning("sync run failed", run=run.pk, stream=str(run.stream), **said)


def _another_waits(run: SyncRun) -> bool:
    """Whether a run waits that reads the same from the beginning; a backfill is made to."""
    same = SyncRun.objects.filter(
        stream=run.stream, kind=run.kind, record_key=run.record_key, state=SyncRun.State.QUEUED
    ).exclude(pk=run.pk)
    if run.kind == SyncRun.Kind.BACKFILL:
        return same.update(since=Least(F("since"), Value(run.since))) > 0
    return same.exists()


def describe(error: BaseException) -> str:
    """The error for a person: message, status, first bytes, correlation id."""
    if not isinstance(error, HubError):
        return redact_text(f"{type(error).__name__}: {error}")
    said = [error.message]
    if error.status is not None:
        said.append(f"status {error.status}")
    if error.excerpt:
        said.append(f"came: {error.excerpt!r}")
    if error.correlation_id:
        said.append(f"correlation id {error.correlation_id}")
    return "; ".join(said)


def _now(plus_seconds: float = 0.0) -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now() + %s * interval '1 second'", (plus_seconds,))
        moment: datetime = cursor.fetchone()[0]
    return moment
