"""Remap: entities derived again from what is stored, after a mapping, contract or rule changed.

Two passes, a page a transaction, with no call to any upstream: first the stream's stored records,
each validated and mapped by the code of today, then the records in its quarantine, which are
released where they pass now. It may be stopped anywhere and goes on from its own cursor.

A stored record that breaks the contract of today is held in quarantine, and what it said stays. A
tombstoned one is left alone: what the upstream deleted cannot be told from what the mapping of
then made none of our business, and only a reconciliation can.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Greatest, Now

from catalog.merge import Cause
from catalog.stage import Contribution
from catalog.stored import Stored, count_alive, lock_unchanged, read_stored
from connectors.drift.report import Report, behind
from connectors.models import Checkpoint, QuarantinedRecord, Stream, SyncRun
from connectors.runtime import queue, wake
from connectors.runtime.apply import apply_prepared
from connectors.runtime.deadlocks import despite_deadlocks
from connectors.runtime.prepare import Prepared, Preparer
from connectors.runtime.quarantine import hold
from connectors.runtime.release import Judged, Retrial
from connectors.runtime.sweep import HARMLESS
from observability.freshness import advance

log = structlog.get_logger(__name__)

PAGE = 1000
#: A cursor is one of these and the last key, or the last id, that was worked on.
STORED, HELD = "stored:", "held:"


class TooManyGoneError(Exception):
    """The mapping of today would tombstone more than the stream allows; the message says so."""


def remap(run: SyncRun, held: queue.Claim, cause: Cause, deadline: float | None) -> None:
    """Work a claimed remap to its end or the deadline. Raises LeaseLostError."""
    try:
        for _ in Remap(run, held, cause).pages():
            if queue.gives_way(deadline):
                queue.give_back(held)
                return
    except TooManyGoneError as because:
        held.update(
            state=SyncRun.State.HELD, error_code="mass_delete", error=str(because),
            finished_at=Now(), lease_until=None,
        )  # fmt: skip
        return
    with transaction.atomic():
        held.update(state=SyncRun.State.DONE, finished_at=Now(), lease_until=None)
        preparer = Preparer(run.stream.connection.slug, run.stream.spec)
        Report(run.stream, preparer.source, run.pk).settle(reads=False)
        _caught_up(run.stream, preparer)
    log.info("remap ends", run=run.pk, stream=str(run.stream))


def _caught_up(stream: Stream, preparer: Preparer) -> None:
    """What was read by the last complete run is applied now, if what it held is released."""
    mark = Checkpoint.objects.filter(stream=stream).first()
    read = stream.runs.filter(kind__in=SyncRun.KEEPS_FRESH, state=SyncRun.State.DONE)
    began = read.values_list("started_at", flat=True).first()
    if mark is None or began is None or behind(stream, preparer.source):
        return
    Checkpoint.objects.filter(pk=mark.pk).update(watermark=Greatest("watermark", Value(began)))
    for slug in (stream.spec.slug, *(child.slug for child in stream.spec.children)):
        advance(stream.connection.slug, slug, began)


class Remap:
    """The execution of one remap under one claim."""

    def __init__(self, run: SyncRun, held: queue.Claim, cause: Cause) -> None:
        self.run, self.held, self.cause = run, held, cause
        self.stream, self.spec = run.stream, run.stream.spec
        self.preparer = Preparer(run.stream.connection.slug, self.spec)

    def pages(self) -> Iterator[None]:
        """Commit one page after the other. Raises TooManyGoneError."""
        if self.run.expected is None:
            self.run.expected = count_alive(self.preparer.source) + self.stream.quarantine.count()
            self.held.update(expected=self.run.expected)
        cursor = self.run.cursor or STORED
        if cursor.startswith(STORED):
            yield from self._stored(cursor.removeprefix(STORED))
            cursor = f"{HELD}0"
        yield from self._held(int(cursor.removeprefix(HELD)))

    def _stored(self, after: str) -> Iterator[None]:
        while records := read_stored(self.preparer.source, after, PAGE):
            prepared, said = self._derive(records)
            after = records[-1].record_key
            self.run.tombstoned = despite_deadlocks(
                partial(self._commit, f"{STORED}{after}", records, prepared, said)
            )
            wake.CHANGES.ring()
            yield

    def _derive(self, records: Sequence[Stored]) -> tuple[Prepared, dict[str, list[Contribution]]]:
        """What the records say under the mapping of today, by key; the rest is in `Prepared`."""
        prepared, derived = Prepared([record.record_key for record in records]), {}
        for record in records:
            key = record.record_key
            said = self.preparer.judged(
                key, record.payload, record.payload_hash, record.version, prepared,
                known=True, told=record.told,
            )  # fmt: skip
            if said and said[0].deleted:
                prepared.gone.append(key)
            elif said:
                derived[key] = said
        return prepared, derived

    @transaction.atomic
    def _commit(
        self,
        cursor: str,
        records: Sequence[Stored],
        prepared: Prepared,
        derived: dict[str, list[Contribution]],
    ) -> int:
        """The transaction of a page; how many records the run has tombstoned by then."""
        self._progress(cursor, len(records))
        same = lock_unchanged(records, self.preparer.source, self.preparer.child_sources.values())
        page = replace(
            prepared,
            contributions=[c for key in derived if key in same for c in derived[key]],
            gone=[key for key in prepared.gone if key in same],
            broken=[record for record in prepared.broken if record.record_key in same],
        )
        tombstoned = self.run.tombstoned + len(page.gone)
        self._guard(tombstoned)
        applied = apply_prepared(self.preparer, page, self.cause, present=False, restated=True)
        # What is held already is newer than what is stored, or the same.
        held = QuarantinedRecord.objects.filter(
            stream=self.stream, record_key__in=[record.record_key for record in page.broken]
        ).values_list("record_key", flat=True)
        news = [record for record in page.broken if record.record_key not in set(held)]
        hold(self.stream, news, self.run, self.spec.contract.VERSION)
        self.held.update(
            stored=F("stored") + applied.stored,
            merged=F("merged") + applied.merged.total,
            quarantined=F("quarantined") + len(news),
            tombstoned=tombstoned,
        )
        return tombstoned

    def _guard(self, would: int) -> None:
        """A mapping that relates half of a stream to nothing is likelier wrong than the stream."""
        expected, share = max(1, self.run.expected or 1), self.stream.delete_guard_share
        if would > HARMLESS and would / expected > share and not self.run.allow_deletes:
            raise TooManyGoneError(
                f"The mapping of today relates {would} or more of {expected} stored records to no"
                f" entity, more than the {share:.0%} that may be tombstoned unconfirmed. The rest"
                " was not worked on. If they are truly none of our business, confirm the deletions."
            )

    def _held(self, after: int) -> Iterator[None]:
        retrial = Retrial(self.run, self.cause, self.preparer)
        while judged := retrial.judged(after):
            after = judged[-1][0].pk
            despite_deadlocks(partial(self._commit_held, f"{HELD}{after}", retrial, judged))
            wake.CHANGES.ring()
            yield

    @transaction.atomic
    def _commit_held(self, cursor: str, retrial: Retrial, judged: Sequence[Judged]) -> None:
        self._progress(cursor, len(judged))
        applied, still = retrial.commit(judged)
        self.held.update(
            stored=F("stored") + applied.stored,
            merged=F("merged") + applied.merged.total,
            quarantined=F("quarantined") + still,
        )

    def _progress(self, cursor: str, read: int) -> None:
        """The run's row first: whoever lost the lease must stop before it writes anything else."""
        values: dict[str, Any] = {
            "cursor": cursor,
            "pages": F("pages") + 1,
            "read": F("read") + read,
            "attempts": 0,
            "lease_until": Now() + timedelta(seconds=queue.LEASE_SECONDS),
        }
        self.held.update(**values)
