"""One pull: pages read ahead of the database, one transaction a page, resumable after any crash.

    a thread:      fetch ─▶ queue (1 page)
    a thread:      hash ─▶ known? ─▶ contract ─▶ mapping ─▶ queue (2 pages)
    this thread:   COPY ─▶ source records ─▶ merge ─▶ checkpoint ─▶ commit

They run ahead by a few pages, so memory stays flat, and nobody waits for the upstream while there
is something to do. What was prepared is valid whatever happens meanwhile: the store's own guard
(source version) decides, not the look at the hashes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from queue import Empty
from time import monotonic
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from structlog.contextvars import bound_contextvars

from catalog.merge import Cause
from catalog.stage import Applied, version_of
from connectors.drift.expiry import end_aliases
from connectors.drift.noticed import report_page
from connectors.drift.report import Report, behind
from connectors.drift.stopping import stop
from connectors.models import Checkpoint, SeenPage, SyncRun
from connectors.runtime import measuring, queue, wake
from connectors.runtime.ahead import Ahead
from connectors.runtime.apply import apply_prepared
from connectors.runtime.connector import Connector
from connectors.runtime.deadlocks import despite_deadlocks
from connectors.runtime.declare import Ask, Page
from connectors.runtime.interpreter import with_threads
from connectors.runtime.prepare import Prepared, Preparer
from connectors.runtime.quarantine import hold, release
from connectors.runtime.sweep import tombstone, tombstone_unseen
from observability import spans
from observability.clock import database_now
from observability.context import correlation
from observability.errors import ContractError, GarbledError, HubError, StreamStoppedError
from observability.freshness import advance

log = structlog.get_logger(__name__)

#: Pages that are fetched, and that are prepared, before they are wanted.
FETCHED_EARLY, PREPARED_EARLY = 1, 2

PULL = "connectors.runtime.pull.pull"
#: What works the other kinds of run; by name, because one of them builds on this module.
WORK: dict[str, str] = {
    SyncRun.Kind.REMAP: "connectors.runtime.remap.remap",
    SyncRun.Kind.RECONCILE: "connectors.runtime.reconcile.reconcile",
}
BEAT_SECONDS = 5.0


@dataclass(slots=True)
class Asked:
    """A page as it came, and when it was asked for."""

    page: Page
    asked: datetime


@dataclass(slots=True)
class Fetched:
    """A prepared page, when it was asked for, where the next one begins (None: it was the last)."""

    prepared: Prepared
    asked: datetime
    next: str | None
    total: int | None


def execute(run: SyncRun, held: queue.Claim, *, deadline: float | None = None) -> None:
    """Work a claimed run to its end, its failure, or the deadline (time.monotonic seconds)."""
    with (
        correlation(run.correlation_id or None) as correlation_id,
        bound_contextvars(**_about(run)),
        spans.span("sync run", headwater_run=run.pk, headwater_stream=str(run.stream)) as span,
    ):
        log.info("sync run begins", run=run.pk, stream=str(run.stream), kind=run.kind)
        try:
            work = import_string(WORK.get(run.kind, PULL))
            work(run, held, Cause(run_id=run.pk, correlation_id=correlation_id), deadline)
        except queue.LeaseLostError:
            log.warning("lease lost", run=run.pk)
        except (OperationalError, InterfaceError):
            # PostgreSQL went away: nothing can be written down, and the lease brings the run back.
            log.warning("the database was lost under a sync run", run=run.pk, exc_info=True)
            connection.close()
        except HubError as error:
            span.failed(error)
            queue.fail(run, held, error)
        except Exception as error:
            span.failed(error)
            log.exception("sync run broke", run=run.pk)
            queue.fail(run, held, error)
        measuring.ended(run)


def _about(run: SyncRun) -> dict[str, Any]:
    """What its log lines and reports say."""
    said = {
        "connection": run.stream.connection.slug,
        "stream": run.stream.slug,
        "record": run.record_key,
        "run": run.pk,
    }
    with suppress(HubError):  # of a stream that is declared no more, the run itself tells
        said["contract"] = run.stream.spec.contract.VERSION
    return {name: value for name, value in said.items() if value}


def pull(run: SyncRun, held: queue.Claim, cause: Cause, deadline: float | None) -> None:
    """Work a claimed run that reads changes, everything, or one record."""
    connector = run.stream.connection.open()
    try:
        if run.kind == SyncRun.Kind.RECORD:
            Pull(run, held, connector, cause).one()
        else:
            with with_threads():
                Pull(run, held, connector, cause).all(deadline)
    finally:
        connector.session.close()


class Pull:
    """The execution of one run under one claim."""

    def __init__(self, run: SyncRun, held: queue.Claim, connector: Connector, cause: Cause) -> None:
        self.run, self.held, self.connector, self.cause = run, held, connector, cause
        self.stream, self.spec = run.stream, run.stream.spec
        self.system = run.stream.connection.slug
        self.preparer = Preparer(self.system, self.spec)
        assert run.started_at is not None  # noqa: S101 (set by the claim)
        # A source without an ordering of its own is ordered by when we began to read it.
        self.read_version = version_of(run.started_at)

    # --- the whole stream -------------------------------------------------------------------

    def all(self, deadline: float | None) -> None:
        """Read the stream from the run's cursor on. Raises HubError and LeaseLostError."""
        self._begin()
        preparing = Ahead(self._prepare(), PREPARED_EARLY)
        measured = measuring.Pages(self.run, self.system, self.preparer.source)
        try:
            for number, fetched in enumerate(self._awaited(preparing), start=self.run.pages):
                if fetched.prepared.stops:
                    self._stop(fetched.prepared)
                last = fetched.next is None
                despite_deadlocks(partial(self._transact, number, fetched))
                wake.CHANGES.ring()
                measured.committed(fetched.prepared)
                if not last and self._gives_way(deadline):
                    queue.give_back(self.held)
                    return
        finally:
            preparing.stop()
        log.info("sync run ends", run=self.run.pk, stream=str(self.stream))

    def _stop(self, prepared: Prepared) -> None:
        """Stop the stream before this page, as a policy wants it. Raises StreamStoppedError."""
        first = prepared.stops
        assert first is not None  # noqa: S101 (the caller looked)
        because = f"{first.path}: {first.reason} (record {first.record_key})"
        with transaction.atomic():
            stop(self.stream, because)
            stopped = [one for one in prepared.broken if one.action == first.action]
            Report(self.stream, self.preparer.source, self.run.pk).departures(
                stopped, len(prepared.keys)
            )
        raise StreamStoppedError(
            f"the stream is stopped by its drift policy: {because}. Mend the contract or the policy,"
            " then resume it",
            connection=self.system, stream=self.spec.slug, record=first.record_key, path=first.path,
        )  # fmt: skip

    def _gives_way(self, deadline: float | None) -> bool:
        return deadline is not None and monotonic() > deadline

    def _transact(self, number: int, fetched: Fetched) -> None:
        """The transaction of a page; of the last one, and of the run's end."""
        last = fetched.next is None
        with transaction.atomic():
            if not last:
                _without_waiting()
            self._commit_page(number, fetched)
            if last:
                self._finish()

    def _begin(self) -> None:
        run = self.run
        if run.kind == SyncRun.Kind.INCREMENTAL and run.cursor is None and run.since is None:
            checkpoint = Checkpoint.objects.filter(stream=self.stream).first()
            if checkpoint and checkpoint.position:
                lookback = timedelta(seconds=self.stream.lookback_seconds)
                run.since = checkpoint.position - lookback
                self.held.update(since=run.since)

    def _fetch(self) -> Generator[Asked]:
        """The stream's pages. Runs in a thread of its own."""
        cursor, since = self.run.cursor, self.run.since
        while True:
            asked = database_now()
            page = self.connector.page(self.spec, Ask(since=since, cursor=cursor))
            if page.next is not None and page.next == cursor:
                raise self._garbled(f"the upstream's cursor stands still at {cursor[:200]!r}")
            yield Asked(page, asked)
            if page.next is None:
                return
            cursor = page.next

    def _prepare(self) -> Generator[Fetched]:
        """The same, ready to be stored. Runs in a thread of its own."""
        fetching, before = Ahead(self._fetch(), FETCHED_EARLY), list[str]()
        try:
            while (item := fetching.take()) is not None:
                page = item.page
                prepared = self.preparer.page(page.records, self.read_version)
                if page.next is not None and prepared.keys and prepared.keys == before:
                    raise self._garbled(
                        f"the upstream gave the same {len(before)} records twice in a row"
                    )
                before = prepared.keys
                yield Fetched(prepared, item.asked, page.next, page.total)
        finally:
            fetching.stop()

    def _garbled(self, what: str) -> GarbledError:
        return GarbledError(
            what,
            correlation_id=self.cause.correlation_id,
            connection=self.system,
            stream=self.spec.slug,
        )

    def _awaited(self, preparing: Ahead[Fetched]) -> Iterator[Fetched]:
        """The prepared pages; keeps the lease while an upstream is slow."""
        while True:
            try:
                item = preparing.take(BEAT_SECONDS)
            except Empty:
                self.held.hold()
                continue
            if item is None:
                return
            yield item

    def _commit_page(self, number: int, fetched: Fetched) -> None:
        """One page, in the caller's transaction, which a deadlock may have begun anew."""
        prepared = replace(fetched.prepared, broken=list(fetched.prepared.broken))
        newest = max(filter(None, (self.run.position, prepared.newest)), default=None)
        self.run.position = newest
        # The run's row first: whoever lost the lease must stop before it writes anything else.
        self.held.update(
            cursor=fetched.next,
            position=newest,
            pages=number + 1,
            expected=fetched.total if fetched.total is not None else F("expected"),
            attempts=0,
            lease_until=Now() + timedelta(seconds=queue.LEASE_SECONDS),
        )
        applied = self._apply(prepared, fetched.asked)
        if prepared.broken:
            hold(self.stream, prepared.broken, self.run, self.spec.contract.VERSION)
        release(self.stream, passed(prepared))
        report_page(self.stream, self.preparer, prepared, self.run.pk)
        if self.run.kind in SyncRun.READS_ALL:
            # The page's number follows from the run's committed pages, so it is new.
            SeenPage.objects.create(run=self.run, number=number, keys=prepared.keys)
        self.held.update(
            read=F("read") + len(prepared.keys),
            unchanged=F("unchanged") + prepared.unchanged,
            stored=F("stored") + applied.stored,
            merged=F("merged") + applied.merged.total,
            quarantined=F("quarantined") + len(prepared.broken),
        )

    def _finish(self) -> None:
        """After the last page, in its transaction: tombstones, checkpoint, watermark, done."""
        run, state = self.run, SyncRun.State.DONE
        values: dict[str, Any] = {}
        if run.kind in SyncRun.READS_ALL:
            swept = tombstone_unseen(run, self.preparer, self.cause)
            values = {"tombstoned": swept.tombstoned, "error": swept.held_because}
            if swept.held_because:
                state = SyncRun.State.HELD
                values["error_code"] = "mass_delete"
            values["merged"] = F("merged") + swept.merged
            SeenPage.objects.filter(run=run).delete()
        self.held.update(state=state, finished_at=Now(), lease_until=None, **values)
        self._checkpoint(verified=state == SyncRun.State.DONE)
        end_aliases(self.stream)
        Report(self.stream, self.preparer.source, run.pk).settle()

    def _checkpoint(self, *, verified: bool) -> None:  # noqa: ARG002 (for reconciliations)
        run = self.run
        checkpoint, _ = Checkpoint.objects.select_for_update().get_or_create(stream=self.stream)
        checkpoint.position = max(filter(None, (checkpoint.position, run.position)), default=None)
        held_back = behind(self.stream, self.preparer.source)
        if not held_back:
            checkpoint.watermark = run.started_at
        if run.kind == SyncRun.Kind.FULL:
            checkpoint.full_refresh_at = run.started_at
        checkpoint.updated_at = Now()
        checkpoint.save()
        slugs = (self.spec.slug, *(child.slug for child in self.spec.children))
        for slug in () if held_back else slugs:
            assert run.started_at is not None  # noqa: S101 (set by the claim)
            advance(self.system, slug, run.started_at)

    # --- one record -------------------------------------------------------------------------

    def one(self) -> None:
        """Fetch one record and apply it, or tombstone it where the upstream has it no more."""
        key, asked = self.run.record_key, database_now()
        raw = self.connector.record(self.spec, key)
        prepared = None if raw is None else self.preparer.page([raw], self.read_version)
        if prepared is not None and prepared.stops:
            self._stop(prepared)
        with transaction.atomic():
            self.held.update(read=1, pages=1)
            if prepared is None:
                gone = tombstone([key], self.preparer, self.cause, asked)
                values: dict[str, Any] = {"tombstoned": gone.stored, "merged": gone.merged.total}
            else:
                applied = self._apply(prepared, asked)
                hold(self.stream, prepared.broken, self.run, self.spec.contract.VERSION)
                release(self.stream, passed(prepared))
                report_page(self.stream, self.preparer, prepared, self.run.pk)
                values = {
                    "unchanged": prepared.unchanged,
                    "stored": applied.stored,
                    "merged": applied.merged.total,
                    "quarantined": len(prepared.broken),
                }
            state, error = SyncRun.State.DONE, ""
            if prepared and prepared.broken:
                state, error = SyncRun.State.FAILED, prepared.broken[0].reason
                values["error_code"] = ContractError.code
            self.held.update(
                state=state, error=error, finished_at=Now(), lease_until=None, **values
            )
        wake.CHANGES.ring()

    def _apply(self, prepared: Prepared, asked: datetime) -> Applied:
        return apply_prepared(self.preparer, prepared, self.cause, asked=asked)


def _without_waiting() -> None:
    """Let this transaction's commit not wait for the disk.

    Nothing outside hears of a page, and its cursor is in the same transaction: if a power cut
    takes the one, it takes the other, and the page is read again.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO off")


def passed(prepared: Prepared) -> list[str]:
    """The keys of a page's records that are none of the broken ones, unchanged ones among them."""
    broken = {record.record_key for record in prepared.broken}
    return [key for key in prepared.keys if key not in broken]
