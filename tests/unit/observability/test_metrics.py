"""What was measured adds up: over values, processes, minutes and hours."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from math import ceil

import pytest
from django.db import connection

from observability import metrics, retention
from observability.calls import Call
from observability.metrics import OTHER, Tally, store
from observability.metrics.tally import A_DOUBLING

pytestmark = pytest.mark.django_db
#: A quantile is told by the middle of its bucket.
WRONG_BY = 2 ** (0.5 / A_DOUBLING) * 1.000001
SAP = {"system": "sap", "operation": "GET products/{}"}


@pytest.fixture(autouse=True)
def _nothing_else() -> Iterator[None]:
    metrics.forget()
    yield
    metrics.forget()


def exact(values: list[float], share: float) -> float:
    """The value of that rank (nearest rank)."""
    return sorted(values)[ceil(share * len(values)) - 1]


def test_quantiles_are_right_within_their_buckets_over_processes_and_minutes() -> None:
    dice = random.Random(4)
    values = [dice.lognormvariate(3, 1.5) for _ in range(3000)]
    # Three processes, in minutes of their own.
    for process in range(3):
        for value in values[process::3]:
            metrics.observe("call_milliseconds", value, **SAP, outcome="ok")
        store.write(dict(metrics.counting._tallies), age=60.0 * process)
        metrics.forget()
    (only,) = metrics.total_by("call_milliseconds", "system", minutes=10).values()
    assert only.count == 3000
    assert only.total == pytest.approx(sum(values))
    assert (only.low, only.high) == (min(values), max(values))
    for told, share in ((only.p50, 0.5), (only.p95, 0.95), (only.p99, 0.99)):
        wanted = exact(values, share)
        assert told is not None
        assert wanted / WRONG_BY <= told <= wanted * WRONG_BY
    points = metrics.series("call_milliseconds", labels=SAP, minutes=5, step=1)
    assert [p.count for p in points if p.count] == [1000, 1000, 1000]
    assert len(points) in (6, 7)


@pytest.mark.django_db(transaction=True)
def test_processes_add_to_the_same_rows() -> None:
    def one_process() -> None:
        metrics.count("stream_records", 5, system="sap", stream="prices", outcome="stored")
        metrics.flush()

    one_process()
    metrics.count("stream_records", 99, system="sap", stream="prices", outcome="stored")
    connection.close()
    child = os.fork()
    if child == 0:
        # What the parent has counted and not written is the parent's.
        code = 1
        try:
            one_process()
            connection.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    points = metrics.series("stream_records", labels={"stream": "prices"}, minutes=2, step=1)
    assert sum(p.total for p in points) == 10
    assert sum(p.count for p in points) == 2
    assert {p.p95 for p in points} == {None}


def test_a_call_tells_its_latency_errors_sizes_and_headroom() -> None:
    made = Call(
        system="sap", operation="GET products/{}", method="GET", path="products/1", status=200,
        error="", milliseconds=12.0, sent_bytes=10, received_bytes=2048, correlation_id="c",
        headroom=0.25,
    )  # fmt: skip
    metrics.call(made)
    metrics.call(
        Call(
            system="sap", operation="GET products/{}", method="GET", path="products/1", status=None,
            error="upstream.retryable", milliseconds=5000.0, sent_bytes=0, received_bytes=0,
            correlation_id="c", headroom=None,
        )
    )  # fmt: skip
    metrics.flush()
    by_outcome = metrics.total_by("call_milliseconds", "outcome", minutes=5)
    assert {key: (p.count, p.total) for key, p in by_outcome.items()} == {
        ("ok",): (1, 12.0), ("upstream.retryable",): (1, 5000.0),
    }  # fmt: skip
    assert metrics.latest("call_headroom") == [({"system": "sap"}, 0.25)]
    received = metrics.total_by("call_received_bytes", minutes=5)[()]
    assert (received.count, received.p50) == (1, 2048)


def test_series_are_bounded_and_what_is_left_over_is_still_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dataclasses import replace

    name = "call_milliseconds"
    monkeypatch.setitem(metrics.NAMES, name, replace(metrics.NAMES[name], most=3))
    for number in range(10):
        metrics.observe(name, 1, system="sap", operation=f"GET {number}", outcome="ok")
    metrics.flush()
    for number in range(10, 20):
        metrics.observe(name, 1, system="sap", operation=f"GET {number}", outcome="ok")
    metrics.flush()
    found = metrics.total_by(name, "system", "operation", minutes=5)
    assert found["sap", OTHER].count == 17
    assert len(found) == 4
    assert sum(point.count for point in found.values()) == 20


def test_hours_and_days_come_to_the_same_as_their_minutes() -> None:
    for minutes_ago, value in ((0, 10.0), (1, 1000.0), (70, 30.0)):
        tally = Tally()
        tally.observe(value, 0.1)
        key = ("run_seconds", "sap", "prices", "full", "done")
        store.write({key: tally}, age=60.0 * minutes_ago)
    metrics.roll_up()
    metrics.roll_up()
    for minutes in (120, 3 * 1440, 100 * 1440):
        (point,) = metrics.total_by("run_seconds", minutes=minutes).values()
        assert (point.count, point.total, point.low, point.high) == (3, 1040.0, 10.0, 1000.0)
    assert retention.prune() == 0
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE observability_measurement SET at = at - interval '50 days' WHERE step <> 0"
        )
    # Hours are kept for longer than that, minutes and tens are not.
    assert retention.prune() >= 5
    assert set(store.Measurement.objects.values_list("step", flat=True)) == {0, 3600, 86_400}
    assert not metrics.total_by("run_seconds", minutes=60)
    assert metrics.total_by("run_seconds", minutes=59 * 1440)[()].count == 3


def test_what_is_not_declared_cannot_be_counted() -> None:
    with pytest.raises(KeyError):
        metrics.count("made_up")
    with pytest.raises(ValueError, match="labels"):
        metrics.observe("stream_lag_seconds", 1, system="sap")
    with pytest.raises(ValueError, match="labels"):
        metrics.observe("stream_lag_seconds", 1, system="sap", strand="prices")
