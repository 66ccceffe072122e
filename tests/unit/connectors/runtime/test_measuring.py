"""Pulls, events and outages as they show in what was measured, and in what was promised."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

import pytest
import requests
from django.core.management import call_command
from django.db import connection

from connectors.inbox import events
from connectors.inbox.apply import Applier
from connectors.models import Stream, SyncRun
from connectors.runtime import measuring, queue
from connectors.runtime.pull import execute
from observability import metrics
from observability.objectives import FreshnessObjective
from tests.sandboxes import running, set_fault
from tests.telling import level, tell, telling

pytestmark = pytest.mark.django_db(transaction=True)

STOCK = {"system": "wms", "stream": "stock"}


@pytest.fixture(autouse=True)
def _nothing_else() -> None:
    metrics.forget()
    # Rows of migrations are gone once a test of this kind has run.
    FreshnessObjective.objects.get_or_create(name="streams")


@pytest.fixture
def sandbox() -> Iterator[str]:
    with running(20) as server:
        call_command("connect_sandbox", server.url, stdout=StringIO())
        yield server.url


def pull(kind: str) -> SyncRun:
    row = Stream.objects.get(connection__slug="wms", slug="stock")
    run = queue.ask(row, kind, asked_by="test")
    taken = queue.claim()
    assert taken is not None
    execute(*taken)
    run.refresh_from_db()
    return run


def counted(name: str, *by: str) -> dict[tuple[str, ...], float]:
    """What a counter of the stream rose by, or how often a histogram of it was observed."""
    metrics.flush()
    counter = name == "stream_records"
    return {
        label: point.total if counter else point.count
        for label, point in metrics.total_by(name, *by, labels=STOCK, minutes=5).items()
    }


def late() -> float:
    """Of the stream, by the objective of all streams, in the present minute."""
    measuring.sample()
    now = {told["stream"]: value for told, value in metrics.latest("freshness_late", STOCK)}
    return now["stock"]


def older(minutes: int) -> None:
    """Let everything have been read and judged so much earlier."""
    with connection.cursor() as cursor:
        for statement in (
            "UPDATE observability_streamfreshness SET watermark = watermark - %s * interval '1 minute'",
            "UPDATE observability_measurement SET at = at - %s * interval '1 minute' WHERE step = 60",
        ):
            cursor.execute(statement, [minutes])


def test_a_stream_is_measured_and_is_late_only_while_nobody_could_know(sandbox: str) -> None:
    first = pull("full")
    changed = {"sku": "P-000001-01", "warehouse": "AMS", "on_hand": 7}
    requests.post(f"{sandbox}/_control/stock", json=changed, timeout=5).raise_for_status()
    second = pull("incremental")
    records = counted("stream_records", "outcome")
    assert records["read",] == first.read + second.read
    assert records["changed",] == first.stored + second.stored
    # What was read for the first time had changed at any time: only the one change was on its way.
    assert counted("propagation_seconds") == {(): second.stored}
    assert counted("run_seconds", "kind", "outcome") == {
        ("full", "done"): 1,
        ("incremental", "done"): 1,
    }
    calls = metrics.total_by("call_milliseconds", "outcome", labels={"system": "wms"}, minutes=5)
    assert calls["ok",].count >= 2
    # Nothing changes, and it is read: good.
    assert late() == 0
    # Down for an hour: nobody can know.
    set_fault(sandbox, "wms", kind="server_error", status=503)
    older(60)
    failed = pull("incremental")
    assert failed.state in ("queued", "failed")
    assert late() == 1
    points = metrics.series(
        "freshness_late", labels={**STOCK, "objective": "streams"}, minutes=70, step=1
    )
    judged = [point for point in points if point.count]
    # Every minute since the last one that was judged, late as soon as it was promised to be there.
    row = Stream.objects.get(connection__slug="wms", slug="stock")
    allowed = max(row.objective_seconds, 2 * row.interval_seconds) / 60
    assert len(judged) in (61, 62)
    assert sum(point.total for point in judged) == pytest.approx(61 - allowed, abs=2)
    how = "retried" if failed.state == "queued" else "failed"
    assert counted("run_seconds", "outcome")[how,] == 1


def test_messages_are_measured_while_they_wait_and_when_they_end() -> None:
    row = telling()
    tell(row, "e1", "A", level("A", 5, 1))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE connectors_inboxevent SET received_at = now() - interval '9 minutes'"
        )
    Stream.objects.filter(connection=row).update(enabled=True)
    (watched,) = [one for one in measuring.watch() if one.system == row.slug]
    assert watched.waiting_since is not None
    assert watched.classes == ("stock",)
    measuring.sample()
    (waiting,) = metrics.latest("box_waiting", {"box": "inbox", "place": row.slug})
    assert waiting[1] == 1
    while batch := events.claim_batch():
        Applier().apply(batch)
    metrics.flush()
    ended = metrics.total_by("box_seconds", "box", "place", "outcome", minutes=5)
    (point,) = ended.values()
    assert list(ended) == [("inbox", row.slug, "applied")]
    assert point.p50 == pytest.approx(540, rel=0.02)
    (watched,) = [one for one in measuring.watch() if one.system == row.slug]
    assert watched.waiting_since is None
