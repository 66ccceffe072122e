"""Reconciliation: a whole stream compared with its upstream, at leisure, and what was missed healed.

It reads what a full refresh reads, but slowly, and beside the runs that keep the stream fresh. A
record that differs counts as missed if the stream should have had it: its change is older than
what the stream's own runs have applied. A newer one, or one that does not tell its age, is in
flight. Both are stored; the counts tell how far the stream can be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import connection
from django.db.models import F

from catalog.merge import Cause
from catalog.stage import Contribution
from catalog.stored import count_alive
from connectors.models import Checkpoint, SyncRun
from connectors.runtime import queue
from connectors.runtime.pull import Fetched, Pull

log = structlog.get_logger(__name__)

#: The share of a connection's rate limit that is left to others.
SPARED = 0.5
#: How far an upstream's clock may be behind ours.
CLOCKS = timedelta(minutes=5)

#: Version, payload hash, when it was tombstoned.
Stored = tuple[int, bytes, datetime | None]

# How each record that the page says differs is stored by now.
STORED = """
SELECT p.place, r.version, r.payload_hash, r.deleted_at
FROM unnest(%s::text[]) WITH ORDINALITY AS p (key, place)
JOIN catalog_sourcerecord r ON r.source_id = %s AND r.record_key = p.key"""


def reconcile(run: SyncRun, held: queue.Claim, cause: Cause, deadline: float | None) -> None:
    """Work a claimed reconciliation. Raises HubError and LeaseLostError."""
    row = run.stream.connection
    connector = row.open()
    try:
        rates = [run.stream.reconcile_requests_per_second]
        if row.requests_per_second:
            rates.append(row.requests_per_second * SPARED)
        connector.session.slow_down(min(rates))
        Reconciliation(run, held, connector, cause).all(deadline)
    finally:
        connector.session.close()


class Reconciliation(Pull):
    """A full read that keeps out of the way, and counts."""

    def _begin(self) -> None:
        if self.run.expected is None:
            # The upstream knows better, where it tells.
            self.held.update(expected=count_alive(self.preparer.source))

    def _gives_way(self, deadline: float | None) -> bool:
        return queue.gives_way(deadline)

    def _commit_page(self, number: int, fetched: Fetched) -> None:
        # Before the page is stored, which makes it equal.
        missed = self._missed(fetched)
        super()._commit_page(number, fetched)
        self.held.update(
            compared=F("compared") + len(fetched.prepared.keys), missed=F("missed") + len(missed)
        )
        if missed:
            log.warning("records were missed", stream=str(self.stream), keys=missed[:20])

    def _missed(self, fetched: Fetched) -> list[str]:
        """The keys of the page's records that should have been stored as they are."""
        said = fetched.prepared.contributions
        said = [c for c in said if c.source_id == self.preparer.source]
        # Before the records: whatever these runs have applied is to be seen then.
        applied = self._applied_through() if said else None
        if applied is None:
            return []
        said = [c for c in said if c.changed_at is not None and c.changed_at < applied]
        stored = self._stored([c.record_key for c in said])
        return [c.record_key for c in said if differs(c, stored.get(c.record_key), fetched.asked)]

    def _applied_through(self) -> datetime | None:
        """Changes before this moment of the upstream's clock are applied, or were missed."""
        mark = Checkpoint.objects.filter(stream=self.stream).first()
        if mark is None:
            return None
        ours = mark.watermark - CLOCKS if mark.watermark else None
        known = max(filter(None, (mark.position, ours)), default=None)
        return known and known - timedelta(seconds=self.stream.lookback_seconds)

    def _stored(self, keys: Sequence[str]) -> dict[str, Stored]:
        with connection.cursor() as cursor:
            cursor.execute(STORED, (list(keys), self.preparer.source))
            return {
                keys[place - 1]: (version, bytes(digest), deleted)
                for place, version, digest, deleted in cursor.fetchall()
            }

    def _checkpoint(self, *, verified: bool) -> None:
        """How exact the stream is. Its position is its own runs' affair."""
        run = SyncRun.objects.get(pk=self.run.pk)
        if self.spec.incremental:
            # Runs that read changes alone see no deletion: these should have been told.
            run.compared += run.tombstoned
            run.missed += run.tombstoned
            run.save(update_fields=["compared", "missed"])
        if verified:
            exactness = 1 - run.missed / run.compared if run.compared else 1.0
            Checkpoint.objects.filter(stream=self.stream).update(
                verified_through=run.started_at, exactness=exactness
            )


def differs(said: Contribution, stored: Stored | None, asked: datetime) -> bool:
    """Whether the upstream, asked at a moment, says otherwise than a store that is not newer."""
    if stored is None:
        return not said.deleted
    version, digest, died = stored
    if died is not None:
        return not said.deleted and died <= asked
    return said.version > version or (
        said.version == version and (said.deleted or said.payload_hash != digest)
    )
