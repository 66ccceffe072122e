"""What goes wrong is found by the rules that come with the hub, named right; and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django_redis import get_redis_connection

from connectors.commands.declare import operations
from connectors.drift.stopping import stop
from connectors.models import (
    Checkpoint,
    Command,
    CommandStep,
    Connection,
    InboxEvent,
    QuarantinedRecord,
    Stream,
    Subscriber,
    SyncRun,
)
from connectors.runtime import clocks
from observability import alerts
from observability.alerts import AlertRule
from observability.freshness import StreamFreshness, advance
from observability.incidents import Incident
from observability.metrics import flush, observe
from tests.telling import telling

pytestmark = pytest.mark.django_db

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(autouse=True)
def no_clock_from_before() -> Iterator[None]:
    """What one test's upstream said of the time is not kept in the next."""
    yield
    get_redis_connection("default").delete(clocks.KEY)
    clocks._told.clear()


@pytest.fixture
def stream() -> Stream:
    """A stream that was read in full a moment ago."""
    row = telling().streams.get()
    ran(row, state="done", kind="full")
    Checkpoint.objects.create(stream=row, watermark=Now(), position=Now() - HOUR)
    advance("telling", row.slug, datetime.now(UTC))
    return row


def ran(stream: Stream, times: int = 1, **values: Any) -> None:
    for _ in range(times):
        SyncRun.objects.create(
            **{"stream": stream, "kind": "incremental", "started_at": Now(), "finished_at": Now()}
            | values
        )


def fails(stream: Stream, code: str, error: str, times: int = 1) -> None:
    ran(stream, times, state="failed", error_code=code, error=error)


def event(stream: Stream, number: int, state: str, **values: Any) -> None:
    InboxEvent.objects.create(
        connection=stream.connection, event_id=f"e-{number}", stream=stream.slug, body=b"{}",
        state=state, **values,
    )  # fmt: skip


def lags(_stream: Stream) -> None:
    StreamFreshness.objects.update(watermark=Now() - HOUR)


def stands_still(stream: Stream) -> None:
    """Events tell of changes that three runs have not seen."""
    for number in range(3):
        event(
            stream, number, "applied", record_key=f"S-{number}", occurred_at=Now() - MINUTE,
            received_at=Now() - MINUTE,
        )  # fmt: skip
    ran(stream, 3, state="done")


def quarantines(stream: Stream) -> None:
    for number in range(20):
        QuarantinedRecord.objects.create(
            stream=stream, record_key=str(number), payload="{}", path="available", reason="missing"
        )


def gives_up(stream: Stream) -> None:
    event(stream, 1, "dead", finished_at=Now(), error_code="internal", error="a defect")


def leaves_behind(stream: Stream) -> None:
    """Of a write that was done, and one that is meant to stay whatever becomes of the rest."""
    stays = next(
        (slug, one.name)
        for slug, operation in operations().items()
        for one in operation.steps
        if getattr(one, "stays", False)
    )
    for reference, operation, step in (("c-1", "orders.create", "order"), ("c-2", *stays)):
        command = Command.objects.create(
            reference=reference, operation=operation, caller="x", idempotency_key=reference,
            fingerprint="", params={}, state="failed", deadline_at=Now(), finished_at=Now(),
        )  # fmt: skip
        CommandStep.objects.create(
            command=command, name=step, kind="write", state="done", started_at=Now(),
            connection=stream.connection,
        )  # fmt: skip


def is_ahead(stream: Stream) -> None:
    clocks.note(stream.connection.slug, "Wed, 21 Nov 2125 07:28:00 GMT")


def errs(_stream: Stream) -> None:
    for outcome, times in (("ok", 30), ("upstream.retryable", 20)):
        for _ in range(times):
            observe("call_milliseconds", 5, system="telling", operation="GET x", outcome=outcome)
    flush()


CASES: dict[str, tuple[Callable[[Stream], object], str]] = {
    "lag": (lags, ""),
    "run_failing": (lambda s: fails(s, "upstream.retryable", "answers 503", 3), "upstream"),
    "stuck_cursor": (stands_still, "cursor"),
    "credentials": (lambda s: fails(s, "upstream.auth_expired", "no; came: 'x'"), "credentials"),
    "stream_stopped": (lambda s: stop(s, "paused by ola"), ""),
    "run_held": (lambda s: SyncRun.objects.filter(stream=s).update(state="held"), "upstream"),
    "quarantine": (quarantines, "contract"),
    "dead_letters": (gives_up, "inbox"),
    "inbox_waiting": (lambda s: event(s, 1, "received", next_attempt_at=Now() - HOUR), "inbox"),
    "command_left": (leaves_behind, "outbox"),
    "clock": (is_ahead, "clock"),
    "error_rate": (errs, "upstream"),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_trouble_is_found_and_named(stream: Stream, kind: str) -> None:
    # Nobody works here: that the posts are empty is true.
    AlertRule.objects.filter(slug__in=("posts", "workers")).update(enabled=False)
    AlertRule.objects.update(for_seconds=0)
    alerts.evaluate(at_once=True)
    assert list(Incident.objects.values_list("kind", flat=True)) == []
    trouble, hop = CASES[kind]
    trouble(stream)
    alerts.evaluate(at_once=True)
    found = {row.kind: row for row in Incident.objects.all()}
    assert set(found) == {kind}
    row = found[kind]
    assert (row.system, row.details["hop"]) == ("telling", hop)
    assert "came" not in row.cause
    if kind == "command_left":
        assert row.subject == "c-1"


def test_a_subscriber_that_takes_nothing_is_named() -> None:
    for slug, values in {
        "gone": {"enabled": False, "disabled_because": "410 Gone"},
        "ill": {"failing_since": Now() - HOUR, "failures": 9},
        "well": {},
    }.items():
        Subscriber.objects.create(slug=slug, url="https://shop.example/", **values)
    alerts.evaluate(at_once=True)
    found = Incident.objects.values_list("kind", "system").order_by("system")
    assert list(found) == [("subscriber_off", "gone"), ("subscriber_failing", "ill")]


def test_slower_than_usual_is_held_against_the_connection_s_own_usual() -> None:
    for slug in ("sap", "wms"):
        Connection.objects.create(slug=slug, connector="telling", base_url="http://localhost/")

    def calls(milliseconds: float, system: str, times: int) -> None:
        for _ in range(times):
            observe(
                "call_milliseconds", milliseconds, system=system, operation="GET x", outcome="ok"
            )

    for system, usual in (("sap", 50), ("wms", 3000)):
        calls(usual, system, 120)
    flush()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE observability_measurement SET at = at - interval '1 hour' WHERE step = 60"
        )
    for system in ("sap", "wms"):
        calls(3000, system, 20)
    flush()
    AlertRule.objects.update(for_seconds=0)
    alerts.evaluate(at_once=True)
    row = Incident.objects.get(kind="latency")
    assert row.system == "sap"
    assert row.details["value"] > 20
