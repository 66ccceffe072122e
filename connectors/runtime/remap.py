"""Remap: entities derived again from what is stored, after a mapping, contract or rule changed.

Two passes, a batch a transaction, with no call to any upstream: first the stream's stored records,
each validated and mapped by the code of today, then the records in its quarantine, which are
released where they pass now. It may be stopped anywhere and goes on from its own cursor.

A stored record that breaks the contract of today is held in quarantine, and what it said stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import structlog
from django.db import DataError, IntegrityError, OperationalError, transaction
from django.db.models import F
from django.db.models.functions import Now
from pydantic import ValidationError

from catalog.merge import Cause, Merger
from catalog.restate import (
    Restated,
    Stored,
    count_alive,
    lock_unchanged,
    read_stored,
    restate,
)
from catalog.stage import Applied, withdraw_children
from connectors.models import QuarantinedRecord, Stream, SyncRun
from connectors.runtime import queue
from connectors.runtime.connector import connector_class
from connectors.runtime.declare import StreamSpec
from connectors.runtime.prepare import UNMAPPABLE, Broken, Prepared, Preparer, first_breach
from connectors.runtime.quarantine import hold
from connectors.runtime.release import Retrial
from connectors.runtime.sweep import HARMLESS, tombstone
from observability.errors import ConfigurationError

log = structlog.get_logger(__name__)

BATCH = 1000
#: A cursor is one of these and the last key, or the last id, that was worked on.
STORED, HELD = "stored:", "held:"
DEADLOCK = "40P01"
DEADLOCKS = 5


class TooManyGoneError(Exception):
    """The mapping of today would tombstone more than the stream allows; the message says so."""


def remap(run: SyncRun, held: queue.Claim, cause: Cause, deadline: float | None) -> None:
    """Work a claimed remap to its end or the deadline. Raises HubError and LeaseLostError."""
    work = Remap(run, held, cause)
    try:
        for _ in work.batches():
            if queue.gives_way(deadline):
                queue.give_back(held)
                return
    except TooManyGoneError as because:
        held.update(
            state=SyncRun.State.HELD, error_code="mass_delete", error=str(because),
            finished_at=Now(), lease_until=None,
        )  # fmt: skip
        return
    held.update(state=SyncRun.State.DONE, finished_at=Now(), lease_until=None)
    log.info("remap ends", run=run.pk, stream=str(run.stream))


def streams_about(entity: str) -> list[Stream]:
    """The streams whose records, or nested records, speak about an entity."""
    streams = Stream.objects.select_related("connection").order_by("connection__slug", "slug")
    return [row for row in streams if entity in _entities(row)]


def ask_remap(streams: Sequence[Stream], *, asked_by: str) -> list[SyncRun]:
    """Queue a remap of each stream."""
    return [queue.ask(stream, SyncRun.Kind.REMAP, asked_by=asked_by) for stream in streams]


def _entities(stream: Stream) -> set[str]:
    try:
        spec: StreamSpec = connector_class(stream.connection.connector).stream(stream.slug)
    except ConfigurationError:
        return set()
    return {spec.entity, *(child.entity for child in spec.children)}


class Remap:
    """The execution of one remap under one claim."""

    def __init__(self, run: SyncRun, held: queue.Claim, cause: Cause) -> None:
        self.run, self.held, self.cause = run, held, cause
        self.stream, self.spec = run.stream, run.stream.spec
        self.preparer = Preparer(run.stream.connection.slug, self.spec)
        self.merger = Merger()
        self._retrial = Retrial(run, cause, self.preparer, self.merger)
        self._tombstoned = run.tombstoned
        self._expected = run.expected

    def batches(self) -> Iterator[None]:
        """Commit one batch after the other. Raises TooManyGoneError."""
        if self._expected is None:
            sources = (self.preparer.source, *self.preparer.child_sources.values())
            self._expected = count_alive(sources) + self.stream.quarantine.count()
            self.held.update(expected=self._expected)
        cursor = self.run.cursor or STORED
        if cursor.startswith(STORED):
            yield from self._stored(cursor.removeprefix(STORED))
            cursor = f"{HELD}0"
        yield from self._held(int(cursor.removeprefix(HELD)))

    # --- what is stored ---------------------------------------------------------------------

    def _stored(self, after: str) -> Iterator[None]:
        deadlocks = 0
        while records := read_stored(self.preparer.source, after, BATCH):
            derived, prepared = self._derive(records)
            try:
                with transaction.atomic():
                    self._commit_stored(records, derived, prepared)
            except OperationalError as error:
                # A pull that inserts nested records took its locks in another order.
                deadlocks += 1
                if deadlocks == DEADLOCKS or getattr(error.__cause__, "sqlstate", "") != DEADLOCK:
                    raise
                continue
            after, deadlocks = records[-1].record_key, 0
            yield

    def _derive(self, records: Sequence[Stored]) -> tuple[dict[int, Restated], Prepared]:
        """What the records say under the mapping of today, by id; the rest is in `Prepared`."""
        derived: dict[int, Restated] = {}
        prepared = Prepared([record.record_key for record in records])
        for record in records:
            raw = record.payload.encode()
            try:
                said = self.preparer.sentences(
                    record.record_key, raw, record.payload_hash, record.version, prepared,
                    known=True,
                )  # fmt: skip
            except ValidationError as error:
                prepared.broken.append(Broken(record.record_key, raw, *first_breach(error)))
            except UNMAPPABLE as error:
                prepared.broken.append(Broken(record.record_key, raw, "", str(error)))
            else:
                if said and said[0].deleted:
                    prepared.gone.append(record.record_key)
                elif said:
                    derived[record.id] = Restated(record, said[0], said[1:])
        return derived, prepared

    def _commit_stored(
        self, records: Sequence[Stored], derived: dict[int, Restated], prepared: Prepared
    ) -> None:
        # The run's row first: whoever lost the lease must stop before it writes anything else.
        self._progress(f"{STORED}{records[-1].record_key}")
        same = lock_unchanged(records)
        keys = {record.record_key for record in records if record.id in same}
        gone = [key for key in prepared.gone if key in keys]
        broken = [record for record in prepared.broken if record.record_key in keys]
        self._guard(len(gone))
        applied = self._apply([derived[i] for i in derived if i in same], broken)
        withdrawn = (
            tombstone(gone, self.preparer, self.merger, self.cause) if gone else Applied.nothing()
        )
        # What is held already is newer than what is stored, or the same.
        known = set(
            QuarantinedRecord.objects.filter(
                stream=self.stream, record_key__in=[record.record_key for record in broken]
            ).values_list("record_key", flat=True)
        )
        news = [record for record in broken if record.record_key not in known]
        hold(self.stream, news, self.run, self.spec.contract.VERSION)
        self._tombstoned += withdrawn.stored
        nested = sum(len(restated.children) for restated in derived.values())
        self.held.update(
            read=F("read") + len(records) + nested,
            unchanged=F("unchanged") + max(0, len(same) + nested - applied.stored),
            stored=F("stored") + applied.stored,
            merged=F("merged") + applied.merged.total + withdrawn.merged.total,
            quarantined=F("quarantined") + len(news),
            tombstoned=self._tombstoned,
        )

    def _guard(self, gone: int) -> None:
        """A mapping that relates half of a stream to nothing is likelier wrong than the stream."""
        would, expected = self._tombstoned + gone, max(1, self._expected or 1)
        share = self.stream.delete_guard_share
        if would > HARMLESS and would / expected > share and not self.run.allow_deletes:
            raise TooManyGoneError(
                f"The mapping of today relates {would} or more of {expected} stored records to no"
                f" entity, more than the {share:.0%} that may be tombstoned unconfirmed. The rest"
                " was not worked on. If they are truly none of our business, confirm the deletions."
            )

    def _apply(self, restated: list[Restated], broken: list[Broken]) -> Applied:
        """Restate; what does not fit its columns is found by halving and set aside as broken."""
        try:
            with transaction.atomic():
                return self._apply_set(restated)
        except (DataError, IntegrityError) as error:
            if len(restated) == 1:
                one = restated[0].stored
                reason = f"does not fit the entity: {str(error).splitlines()[0]}"
                broken.append(Broken(one.record_key, one.payload.encode(), "", reason))
                return Applied.nothing()
        middle = len(restated) // 2
        applied = self._apply(restated[:middle], broken)
        applied.add(self._apply(restated[middle:], broken))
        return applied

    def _apply_set(self, restated: list[Restated]) -> Applied:
        applied = restate(
            self.merger, restated, self.cause,
            entity=self.spec.entity, entities=self.preparer.entities,
            contract=self.spec.contract.VERSION,
        )  # fmt: skip
        parents = {r.stored.record_key: r.stored.version for r in restated}
        for child in self.spec.children if restated else ():
            source = self.preparer.child_sources[child.slug]
            kept = [c.record_key for r in restated for c in r.children if c.source_id == source]
            withdrawn = withdraw_children(
                self.merger, source, parents, kept, self.cause, entity=child.entity
            )
            applied.merged.add(withdrawn.merged)
        return applied

    # --- what is held -----------------------------------------------------------------------

    def _held(self, after: int) -> Iterator[None]:
        while rows := self._retrial.next_rows(after):
            with transaction.atomic():
                self._progress(f"{HELD}{rows[-1].pk}")
                said, still = self._retrial.commit(rows)
                self.held.update(
                    read=F("read") + len(rows),
                    stored=F("stored") + said.stored,
                    merged=F("merged") + said.merged.total,
                    quarantined=F("quarantined") + still,
                )
            after = rows[-1].pk
            yield

    def _progress(self, cursor: str) -> None:
        values: dict[str, Any] = {
            "cursor": cursor,
            "pages": F("pages") + 1,
            "attempts": 0,
            "lease_until": Now() + timedelta(seconds=queue.LEASE_SECONDS),
        }
        self.held.update(**values)
