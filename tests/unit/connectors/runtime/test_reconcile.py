"""What a reconciliation finds, heals and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from time import monotonic
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from catalog.entities import Stock
from catalog.merge import Cause
from catalog.stage import withdraw
from connectors.models import Checkpoint, Connection, Stream, SyncRun
from connectors.runtime import queue
from connectors.runtime.prepare import Preparer
from connectors.runtime.pull import execute
from observability.freshness import watermarks
from tests.pulls import pulled
from tests.sandboxes import running
from tests.telling import EPOCH, LEVELS, TellingConnector, key, level, telling, worked

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def row() -> Connection:
    return telling()


def hold(*records: dict[str, Any]) -> None:
    TellingConnector.held.update({key(record["sku"]): record for record in records})


def just_now() -> float:
    """In seconds after the epoch of the tests, by the upstream's clock."""
    return (datetime.now(UTC) - EPOCH).total_seconds()


def on_hand() -> dict[str, Decimal | None]:
    alive = Stock.objects.filter(deleted_at=None).order_by("key")
    return {stock.key.removesuffix("/AMS"): stock.on_hand for stock in alive}


def test_it_heals_and_counts_what_was_missed_and_not_what_is_in_flight(row: Connection) -> None:
    hold(*(level(sku, 5, 1) for sku in "ABCDEFG"), level("Z", 5, 1000))
    worked(row, "full")
    before = watermarks()["telling", "stock"].watermark
    hold(level("A", 6, 500), level("N", 6, 500))
    hold(level("B", 7, just_now()), level("M", 7, just_now()))
    del TellingConnector.held[key("C")]
    run = worked(row, "reconcile")
    assert (run.state, run.error) == ("done", "")
    assert on_hand() == {
        "A": 6, "B": 7, "D": 5, "E": 5, "F": 5, "G": 5, "M": 7, "N": 6, "Z": 5
    }  # fmt: skip
    # A's change, N's creation and C's deletion, of nine that are there and one that is not.
    assert (run.compared, run.missed, run.tombstoned) == (10, 3, 1)
    mark = Checkpoint.objects.get()
    assert mark.exactness == pytest.approx(0.7)
    assert mark.verified_through == run.started_at
    # How fresh the stream is, its own runs say.
    assert mark.position == EPOCH + timedelta(seconds=1000)
    assert watermarks()["telling", "stock"].watermark == before
    again = worked(row, "reconcile")
    assert (again.compared, again.missed, Checkpoint.objects.get().exactness) == (9, 0, 1.0)


class Meanwhile(dict[str, Any]):
    """Records of the upstream; something happens while they are read."""

    then: Callable[[], object]

    def values(self) -> Any:
        self.then()
        return super().values()


@pytest.mark.parametrize("kind", ["full", "reconcile"])
def test_what_is_deleted_while_a_page_is_read_is_not_brought_back(
    row: Connection, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    hold(level("A", 5, 1), level("B", 5, 1))
    worked(row, "full")
    source = Preparer("telling", LEVELS).source
    records = Meanwhile(TellingConnector.held)
    records[key("A")] = level("A", 6, 2)

    def bury() -> None:
        with transaction.atomic():
            for sku in "AB":
                withdraw(source, [key(sku)], Cause(), entity="stock")

    records.then = bury
    monkeypatch.setattr(TellingConnector, "held", records)
    run = worked(row, kind)
    assert (run.state, run.missed, on_hand()) == ("done", 0, {})
    records.then = dict
    assert worked(row, "full").merged == 2
    assert on_hand() == {"A": 6, "B": 5}


def test_too_many_deletions_are_held_and_nothing_counts_as_verified(row: Connection) -> None:
    hold(*(level(chr(ord("A") + n), 5, 1) for n in range(20)))
    worked(row, "full")
    TellingConnector.held.clear()
    hold(level("A", 5, 1))
    run = worked(row, "reconcile")
    assert (run.state, run.error_code, len(on_hand())) == ("held", "mass_delete", 20)
    assert Checkpoint.objects.get().verified_through is None


def test_it_keeps_nobody_waiting_and_is_one_a_connection(row: Connection) -> None:
    hold(level("A", 5, 1))
    worked(row, "full")
    stream = row.streams.get()
    compares = queue.ask(stream, "reconcile", asked_by="test")
    reads = queue.ask(stream, "incremental", asked_by="test")
    taken = [queue.claim(), queue.claim(), queue.claim()]
    assert [t and t[0].pk for t in taken] == [reads.pk, compares.pk, None]
    SyncRun.objects.filter(pk=compares.pk).update(state="queued", lease_until=None)
    again = queue.claim()
    assert again is not None
    assert again[0].pk == compares.pk, "whose stream is read at this time"
    queue.ask(stream, "reconcile", asked_by="test")
    assert queue.claim() is None
    late = queue.ask(stream, "record", record_key=key("A"), asked_by="test")
    SyncRun.objects.filter(pk=late.pk).update(not_before=Now() - timedelta(seconds=5))
    assert queue.gives_way(monotonic() + 60), "somebody waits for a worker"


def test_the_schedule_asks_once_a_day_and_only_for_what_was_read(row: Connection) -> None:
    assert queue.schedule_reconciliations() == []
    hold(level("A", 5, 1))
    worked(row, "full")
    assert queue.schedule_reconciliations() == [], "the full refresh compared everything"
    Checkpoint.objects.update(full_refresh_at=F("full_refresh_at") - timedelta(days=2))
    (run,) = queue.schedule_reconciliations()
    assert (run.kind, run.asked_by) == ("reconcile", "schedule")
    assert queue.schedule_reconciliations() == []
    SyncRun.objects.filter(pk=run.pk).update(state="failed")
    assert queue.schedule_reconciliations() == [], "tomorrow"


@pytest.fixture
def sandbox() -> Iterator[str]:
    with running(40) as server:
        call_command("connect_sandbox", server.url, stdout=StringIO())
        yield server.url


def test_it_asks_no_faster_than_its_share_and_goes_on_from_its_cursor(sandbox: str) -> None:
    stream = Stream.objects.get(connection__slug="wms", slug="stock")
    object.__setattr__(stream.spec, "page_size", 40)
    try:
        full = pulled("wms", sandbox, "stock")
        Stream.objects.update(reconcile_requests_per_second=10)
        run = queue.ask(stream, "reconcile", asked_by="test")
        taken = queue.claim()
        assert taken is not None
        execute(*taken, deadline=0.0)
        run.refresh_from_db()
        assert (run.pages, run.finished_at) == (1, None)
        again = queue.claim()
        assert again is not None
        began = monotonic()
        execute(*again)
        run.refresh_from_db()
        assert (run.state, run.pages, run.compared) == ("done", full.pages, full.read)
        assert monotonic() - began > 0.1 * (full.pages - 2) > 0
    finally:
        object.__setattr__(stream.spec, "page_size", 1000)
