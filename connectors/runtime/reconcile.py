"""Reconciliation: a whole stream compared with its upstream, at leisure, and what was missed healed.

It reads what a full refresh reads, but slowly, and beside the runs that keep the stream fresh. A
record that differs counts as missed if the stream should have had it: its change is older than
what the stream's own runs have applied. A newer one is in flight. Both are stored; the counts
tell how far the stream can be trusted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import F

from catalog.merge import Cause
from catalog.restate import count_alive
from catalog.stage import Contribution
from connectors.models import Checkpoint, SyncRun
from connectors.runtime import queue
from connectors.runtime.prepare import Prepared
from connectors.runtime.pull import Fetched, Pull

#: So many keys of missed records a run keeps for people to look at.
KEYS = 200
#: The share of a connection's rate limit that is left to others.
SPARED = 0.5
#: How far an upstream's clock may be behind ours.
CLOCKS = timedelta(minutes=5)

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

    #: When each page that is prepared but not stored was asked for, oldest first.
    _asked: deque[datetime]

    def _begin(self) -> None:
        self._asked = deque()
        if self.run.expected is None:
            # The upstream knows better, where it tells.
            self.held.update(expected=count_alive([self.preparer.source]))

    def _gives_way(self, deadline: float | None) -> bool:
        return queue.gives_way(deadline)

    def _pages(self) -> Iterator[Fetched]:
        pages = super()._pages()
        while True:
            asked = database_now()
            fetched = next(pages, None)
            if fetched is None:
                return
            self._asked.append(asked)
            yield fetched

    def _commit_page(self, number: int, fetched: Fetched) -> None:
        prepared = fetched.prepared
        missed = self._compare(prepared, self._asked.popleft())
        keys = [*self.run.missed_keys, *missed][:KEYS]
        super()._commit_page(number, fetched)
        self.run.missed_keys = keys
        self.held.update(
            compared=F("compared") + len(prepared.keys),
            missed=F("missed") + len(missed),
            missed_keys=keys,
        )

    def _compare(self, prepared: Prepared, asked: datetime) -> list[str]:
        """The keys of missed records. Takes from the page what has vanished since it was asked for."""
        said = [c for c in prepared.contributions if c.source_id == self.preparer.source]
        if not said:
            return []
        # Before the records: whatever these runs have applied is to be seen then.
        applied = self._applied_through()
        stored = self._stored([c.record_key for c in said])
        late = {
            c.record_key
            for c in said
            if (known := stored.get(c.record_key)) and known[2] and known[2] > asked
        }
        if late:
            prepared.contributions = [
                c for c in prepared.contributions
                if c.record_key not in late and c.record_key.rpartition("/")[0] not in late
            ]  # fmt: skip
        return [
            c.record_key
            for c in said
            if c.record_key not in late
            and differs(c, stored.get(c.record_key))
            and (c.changed_at is None or (applied is not None and c.changed_at < applied))
        ]

    def _applied_through(self) -> datetime | None:
        """Changes before this moment of the upstream's clock are applied, or were missed."""
        mark = Checkpoint.objects.filter(stream=self.stream).first()
        if mark is None:
            return None
        ours = mark.watermark - CLOCKS if mark.watermark else None
        known = max(filter(None, (mark.position, ours)), default=None)
        return known and known - timedelta(seconds=self.stream.lookback_seconds)

    def _stored(self, keys: Sequence[str]) -> dict[str, tuple[int, bytes, datetime | None]]:
        with connection.cursor() as cursor:
            cursor.execute(STORED, (list(keys), self.preparer.source))
            return {
                keys[place - 1]: (version, bytes(digest), deleted)
                for place, version, digest, deleted in cursor.fetchall()
            }

    def _checkpoint(self, *, verified: bool) -> None:
        """How exact the stream is. Its position is its own runs' affair."""
        run = SyncRun.objects.get(pk=self.run.pk)
        if verified:
            Checkpoint.objects.filter(stream=self.stream).update(
                verified_through=run.started_at,
                exactness=1 - run.missed / run.compared if run.compared else 1.0,
            )


def differs(said: Contribution, stored: tuple[int, bytes, datetime | None] | None) -> bool:
    """Whether the upstream says otherwise than the store, which is not newer."""
    if stored is None or stored[2] is not None:
        return not said.deleted
    return said.version > stored[0] or (
        said.version == stored[0] and (said.deleted or said.payload_hash != stored[1])
    )


def database_now() -> datetime:
    """The database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
