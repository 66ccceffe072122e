"""Pushes arrive, are read back, and their echo is recognised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db.models.functions import Now

from catalog.entities import Customer, Stock
from catalog.history import Revision
from connectors.inbox import events, fetch
from connectors.inbox.apply import Applier
from connectors.models import Breaker, Connection, InboxEvent, OutboxCommand
from connectors.outbox import pushes
from connectors.outbox.commands import Draft, put
from connectors.runtime.connect import connect
from connectors.runtime.connector import connector_class
from connectors.runtime.probe import first_page, probe
from observability.errors import PermanentError, RetryableError
from tests.sandboxes import receiving, running, set_fault
from tests.telling import TellingConnector, key, level, outcome, tell, telling
from tests.vendors import CREDENTIALS, everything, opened

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def row() -> Connection:
    return telling()


def push(row: Connection, body: dict[str, Any], record_key: str, **more: Any) -> OutboxCommand:
    fields = {"stream": "stock", "idempotency_key": "key-1", "kind": "update", **more}
    put([Draft(body=json.dumps(body).encode(), connection=row.pk, record_key=record_key, **fields)])
    return OutboxCommand.objects.get(idempotency_key=fields["idempotency_key"])


def work() -> None:
    while batch := events.claim_batch():
        Applier().apply(batch)


def resume(row: Connection) -> None:
    OutboxCommand.objects.update(next_attempt_at=Now())
    Connection.objects.filter(pk=row.pk).update(paused_until=None)


def test_a_push_is_read_back_into_the_catalogue(row: Connection) -> None:
    command = push(row, level("A", 9, 1), key("A"), correlation_id="corr-push")
    pushes.turn(row.pk)
    command.refresh_from_db()
    assert command.state == "applied"
    work()
    assert Stock.objects.get(key="A/AMS").available == 9
    revision = Revision.objects.get(key="A/AMS")
    event = InboxEvent.objects.get()
    assert revision.event_id == event.pk
    assert (event.kind, event.correlation_id) == ("command.read_back", "corr-push")


def test_the_echo_of_a_push_is_dropped_without_a_call(row: Connection) -> None:
    command = push(row, level("A", 9, 1), key("A"))
    pushes.turn(row.pk)
    work()
    asked = len(TellingConnector.asked)
    tell(row, "echo", "A", origin=command.idempotency_key)
    tell(row, "other", "B", level("B", 1, 1), origin="somebody else")
    fetch.fetch_batch(row.pk)
    work()
    assert outcome("echo").state == "superseded"
    assert "our own" in outcome("echo").note
    assert outcome("other").state == "applied"
    assert len(TellingConnector.asked) == asked


def test_an_echo_that_overtakes_the_answer_is_asked_about(row: Connection) -> None:
    command = push(row, level("A", 9, 1), key("A"))
    TellingConnector.held[key("A")] = level("A", 9, 1)
    tell(row, "echo", "A", origin=command.idempotency_key)
    fetch.fetch_batch(row.pk)
    work()
    assert outcome("echo").state == "applied"
    assert Stock.objects.get(key="A/AMS").available == 9


def test_a_push_whose_reading_back_failed_is_not_pushed_again(
    row: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = push(row, level("A", 9, 1), key("A"))

    def down(*_: object) -> bytes:
        raise RetryableError("away", retry_after=0.0)

    with monkeypatch.context() as patch:
        patch.setattr(TellingConnector, "record", down)
        pushes.turn(row.pk)
    command.refresh_from_db()
    assert (command.state, command.reply) == ("retrying", "acknowledged")
    resume(row)
    pushes.turn(row.pk)
    command.refresh_from_db()
    assert command.state == "applied"
    assert TellingConnector.pushed == ["key-1"]


def test_a_refusal_for_good_is_a_dead_letter_at_once_and_the_next_goes_on(row: Connection) -> None:
    TellingConnector.held[key("A")] = PermanentError("no such member")
    refused = push(row, level("A", 9, 1), key("A"))
    unknown = push(row, {}, key("C"), kind="explode", idempotency_key="key-2")
    fine = push(row, level("B", 9, 1), key("B"), idempotency_key="key-3")
    pushes.turn(row.pk)
    states = []
    for command in (refused, unknown, fine):
        command.refresh_from_db()
        states.append((command.state, command.attempts))
    assert states == [("dead", 1), ("dead", 1), ("applied", 1)]
    assert "explode" in unknown.error


def test_while_the_upstream_is_down_the_others_keep_their_attempts(row: Connection) -> None:
    TellingConnector.held[key("A")] = RetryableError("away")
    first = push(row, level("A", 9, 1), key("A"))
    second = push(row, level("B", 9, 1), key("B"), idempotency_key="key-2")
    pushes.turn(row.pk)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.attempts) == ("retrying", 1)
    assert (second.state, second.attempts) == ("received", 0)
    row.refresh_from_db()
    assert row.paused_until is not None


def test_while_the_breaker_is_open_pushes_are_kept_and_then_delivered() -> None:
    with running(20) as sandbox:
        row = connect("salesforce", "salesforce", sandbox.url, CREDENTIALS["salesforce"])
        first = json.loads(everything(opened("salesforce", sandbox.url), "accounts")[0])
        set_fault(sandbox.url, "salesforce", kind="down")
        Connection.objects.filter(pk=row.pk).update(breaker_minimum_calls=1)
        with pytest.raises(RetryableError):
            first_page(Connection.objects.get(pk=row.pk))
        for place in range(3):
            body = {"Phone": f"+31 20 {place}"}
            push(row, body, first["Id"], stream="accounts", idempotency_key=f"key-{place}")
        # More often than a command has attempts, each time as a probe that fails.
        for _ in range(10):
            resume(row)
            Breaker.objects.update(retry_at=Now())
            row.circuit_breaker._seen_at = float("-inf")
            pushes.turn(row.pk)
        kept = OutboxCommand.objects.filter(connection=row)
        assert {command.attempts for command in kept} == {0}
        assert kept.filter(error_code="upstream.circuit_open").exists()
        # What costs no attempt has no end: its history must not grow with the outage.
        assert {len(command.errors) for command in kept} <= {0, 1}
        sandbox.sandbox.reset()
        Breaker.objects.update(retry_at=Now())
        row.circuit_breaker._seen_at = float("-inf")
        assert probe(Connection.objects.get(pk=row.pk))
        row.refresh_from_db()
        assert row.paused_until is None
        assert pushes.turn(row.pk) == 3  # all are due at once
        assert {(c.state, c.attempts) for c in kept.all()} == {("applied", 1)}


def test_salesforce_and_stripe_take_updates_and_their_events_name_our_key() -> None:
    with running(20) as sandbox:
        for slug, stream, body in (
            ("salesforce", "accounts", {"Phone": "+31 20 123"}),
            ("stripe", "accounts", {"name": "Renamed & more", "phone": "+31 20 123"}),
        ):
            row = connect(slug, slug, sandbox.url, CREDENTIALS[slug])
            first = json.loads(everything(opened(slug, sandbox.url), stream)[0])
            record_key = first["Id" if slug == "salesforce" else "id"]
            with receiving(sandbox.url, slug) as receiver:
                push(row, body, record_key, stream=stream, idempotency_key=f"hw-{slug}")
                pushes.turn(row.pk)
                message, raw = receiver.next()
            assert OutboxCommand.objects.get(connection=row).state == "applied"
            webhook = connector_class(slug).webhook
            assert webhook is not None
            headers = {name.lower(): value for name, value in message.items()}
            (told,) = webhook.read(raw, headers)
            assert (told.record_key, told.origin) == (record_key, f"hw-{slug}")
            read_back = InboxEvent.objects.get(connection=row)
            found = json.loads(bytes(read_back.record or b""))
            assert {name: found.get(name) for name in body} == body
            work()
    assert Customer.objects.exists()
