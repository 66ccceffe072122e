"""Subscribers hear of every change, signed; whoever fails is asked again and delays nobody."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from django.db import connection as database
from django.db.models.functions import Now
from standardwebhooks import Webhook

from catalog.notices import ChangeNotice
from connectors.inbox import events
from connectors.inbox.apply import Applier
from connectors.models import Connection, OutboxCommand, Subscriber
from connectors.outbox import care, drain, fanout, subscribers
from connectors.outbox.commands import Draft, put
from connectors.outbox.letters import OUTBOX, TOLD
from connectors.replay.chosen import Chosen, UnclearError
from connectors.runtime import box, wake
from tests.endpoints import Endpoint, listening
from tests.telling import level, tell, telling

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def row() -> Connection:
    return telling()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with listening() as made:
        yield made


def subscribe(slug: str, url: str, **more: object) -> tuple[Subscriber, str]:
    subscriber = Subscriber(slug=slug, url=url, **more)
    secret = subscriber.new_secret()
    subscriber.save()
    return subscriber, secret


def change(row: Connection, sku: str, quantity: int, second: int) -> None:
    """A change of the upstream's, merged as the resident applier does."""
    tell(row, f"{sku}-{second}", sku, level(sku, quantity, second))
    Applier().apply(events.claim_batch())
    wake.CHANGES.ring()


def due_now() -> None:
    OutboxCommand.objects.update(next_attempt_at=Now())
    Subscriber.objects.update(paused_until=None)


@contextmanager
def sending() -> Iterator[None]:
    """The resident sender, at work; stopped as the supervisor stops it."""
    inherited, stop = os.pipe()

    def work() -> None:
        try:
            drain.send(time.monotonic() + 30)
        finally:
            database.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(wake.STOP_VARIABLE, str(inherited))
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            os.close(stop)
            thread.join()
            os.close(inherited)


def eventually(true: object, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def test_a_change_reaches_the_subscriber_signed_within_moments(
    row: Connection, endpoint: Endpoint
) -> None:
    _, secret = subscribe("shop", endpoint.url)
    with sending():
        change(row, "A", 5, 1)
        assert eventually(lambda: endpoint.taken)
        assert eventually(lambda: OutboxCommand.objects.get().state == "applied")
    ((headers, body),) = endpoint.taken
    said = Webhook(secret).verify(body, headers)
    assert said["type"] == "records.changed"
    assert said["data"] == {
        "entity": "stock",
        "changes": [{"key": "A/AMS", "kind": "created"}],
        "correlationId": "corr-A-1",
    }
    assert Subscriber.objects.get().delivered_at is not None


def test_only_those_are_told_who_listen(row: Connection) -> None:
    all_, _ = subscribe("all", "http://127.0.0.1:9/")
    stock, _ = subscribe("stock", "http://127.0.0.1:9/", entities=["stock", "price"])
    subscribe("texts", "http://127.0.0.1:9/", entities=["product"])
    subscribe("off", "http://127.0.0.1:9/", enabled=False)
    change(row, "A", 5, 1)
    assert fanout.tell() == 1
    assert fanout.tell() == 0
    told = OutboxCommand.objects.values_list("subscriber", flat=True)
    assert sorted(told) == sorted([all_.pk, stock.pk])


def test_what_changed_while_nobody_subscribed_is_told_to_nobody_later(row: Connection) -> None:
    change(row, "A", 5, 1)
    assert not fanout.heard()
    fanout.pass_over()
    subscribe("shop", "http://127.0.0.1:9/")
    change(row, "B", 5, 1)
    assert fanout.heard()
    # Also where somebody looked before who did not know of the subscriber.
    fanout.pass_over()
    assert fanout.tell() == 1
    (told,) = OutboxCommand.objects.all()
    assert b"B/AMS" in told.body
    assert b"A/AMS" not in told.body


def test_a_notice_of_many_records_becomes_several_webhooks() -> None:
    subscribe("shop", "http://127.0.0.1:9/")
    many = fanout.RECORDS_A_WEBHOOK * 2 + 1
    ChangeNotice.objects.create(
        entity="stock", keys=[str(n) for n in range(many)], kinds=["changed"] * many, at=Now()
    )
    fanout.tell()
    bodies = [json.loads(bytes(c.body))["data"]["changes"] for c in OutboxCommand.objects.all()]
    assert sorted(map(len, bodies)) == [1, fanout.RECORDS_A_WEBHOOK, fanout.RECORDS_A_WEBHOOK]
    assert len({change["key"] for body in bodies for change in body}) == many


def test_a_failure_is_tried_again_with_the_same_id(row: Connection, endpoint: Endpoint) -> None:
    subscriber, _ = subscribe("shop", endpoint.url)
    change(row, "A", 5, 1)
    fanout.tell()
    endpoint.status = 500
    subscribers.turn(subscriber.pk)
    command = OutboxCommand.objects.get()
    assert (command.state, command.attempts) == ("retrying", 1)
    assert "500" in command.error
    subscriber.refresh_from_db()
    assert subscriber.failures == 1
    assert subscriber.failing_since is not None
    due_now()
    endpoint.status = 204
    subscribers.turn(subscriber.pk)
    command.refresh_from_db()
    assert (command.state, command.attempts, command.reply) == ("applied", 2, "204")
    assert len({headers["webhook-id"] for headers, _ in endpoint.taken}) == 1
    assert Subscriber.objects.filter(failures=0, failing_since=None).exists()


def test_the_wish_to_be_asked_later_is_heeded(row: Connection, endpoint: Endpoint) -> None:
    subscriber, _ = subscribe("shop", endpoint.url)
    change(row, "A", 5, 1)
    fanout.tell()
    endpoint.status, endpoint.headers = 503, {"Retry-After": "90"}
    subscribers.turn(subscriber.pk)
    early = Now() + timedelta(seconds=85)
    assert OutboxCommand.objects.filter(next_attempt_at__gt=early).exists()
    assert Subscriber.objects.filter(paused_until__gt=early).exists()


def test_what_nobody_takes_becomes_a_dead_letter_with_every_error(
    row: Connection, endpoint: Endpoint
) -> None:
    subscriber, _ = subscribe("shop", endpoint.url, retry_seconds=[0, 0])
    change(row, "A", 5, 1)
    fanout.tell()
    endpoint.status = 404
    for _ in range(4):
        due_now()
        subscribers.turn(subscriber.pk)
    command = OutboxCommand.objects.get()
    assert (command.state, command.attempts, len(command.errors)) == ("dead", 3, 3)
    assert len(endpoint.taken) == 3


def test_dead_webhooks_are_rehearsed_as_calls_and_replayed(
    row: Connection, endpoint: Endpoint
) -> None:
    subscriber, _ = subscribe("shop", endpoint.url, retry_seconds=[0])
    change(row, "A", 5, 1)
    change(row, "B", 5, 1)
    fanout.tell()
    endpoint.status = 404
    for _ in range(4):
        due_now()
        subscribers.turn(subscriber.pk)
    chosen = Chosen(places={"subscriber": "shop"})
    made = OUTBOX.dry_run(chosen)
    assert len(endpoint.taken) == 4
    assert [(o.what, o.count) for o in made.ranked] == [(TOLD, 2)]
    assert [(c.text, c.letters) for c in made.shown_calls] == [
        (f"POST {endpoint.url}: records.changed for shop", 2)
    ]
    with pytest.raises(UnclearError):
        OUTBOX.replay(Chosen(), "ann")
    assert OUTBOX.replay(chosen, "ann") == 2
    endpoint.status = 200
    due_now()
    while subscribers.turn(subscriber.pk):
        pass
    assert {(c.state, c.replayed_by) for c in OutboxCommand.objects.all()} == {("applied", "ann")}
    assert len({headers["webhook-id"] for headers, _ in endpoint.taken}) == 2


def test_a_rotated_secret_signs_beside_the_new_one(row: Connection, endpoint: Endpoint) -> None:
    subscriber, former = subscribe("shop", endpoint.url)
    present = subscriber.new_secret()
    subscriber.save()
    change(row, "A", 5, 1)
    fanout.tell()
    subscribers.turn(subscriber.pk)
    ((headers, body),) = endpoint.taken
    assert Webhook(former).verify(body, headers) == Webhook(present).verify(body, headers)
    assert present not in subscriber.secrets


def test_dead_endpoints_delay_nobody(row: Connection, endpoint: Endpoint) -> None:
    """More of them than there are threads, each holding its own until the time-out."""
    with ExitStack() as stack:
        for n in range(drain.THREADS + 4):
            dead = stack.enter_context(listening())
            dead.seconds = 2.0
            subscriber, _ = subscribe(f"dead-{n}", dead.url, timeout_seconds=1.0)
            # They have failed before; a first time-out is all that they can cost.
            Subscriber.objects.filter(pk=subscriber.pk).update(failures=1)
        subscribe("alive", endpoint.url)
        with sending():
            for second in range(1, 6):
                before = len(endpoint.taken)
                change(row, "A", second, second)
                assert eventually(lambda n=before: len(endpoint.taken) > n, seconds=0.9)


def test_an_endpoint_that_is_gone_is_switched_off(row: Connection, endpoint: Endpoint) -> None:
    subscriber, _ = subscribe("shop", endpoint.url)
    change(row, "A", 5, 1)
    change(row, "A", 6, 2)
    fanout.tell()
    endpoint.status = 410
    subscribers.turn(subscriber.pk)
    subscriber.refresh_from_db()
    assert not subscriber.enabled
    assert "410" in subscriber.disabled_because
    assert {c.state for c in OutboxCommand.objects.all()} == {"dead"}
    assert len(endpoint.taken) == 1


def test_an_endpoint_that_fails_for_five_days_is_switched_off_with_the_reason(
    row: Connection,
) -> None:
    failing, _ = subscribe("failing", "http://127.0.0.1:9/")
    young, _ = subscribe("young", "http://127.0.0.1:9/")
    Subscriber.objects.filter(pk=failing.pk).update(
        failing_since=Now() - timedelta(days=5, hours=1)
    )
    Subscriber.objects.filter(pk=young.pk).update(failing_since=Now() - timedelta(days=4))
    change(row, "A", 5, 1)
    fanout.tell()
    care.look_after()
    failing.refresh_from_db()
    young.refresh_from_db()
    assert (failing.enabled, young.enabled) == (False, True)
    assert "since" in failing.disabled_because
    left = {c.subscriber_id: (c.state, c.error_code) for c in OutboxCommand.objects.all()}
    assert left == {failing.pk: ("dead", "endpoint.disabled"), young.pk: ("received", "")}


def test_a_command_is_put_in_once(row: Connection) -> None:
    draft = Draft("update", "key-1", b"{}", connection=row.pk, stream="stock")
    assert put([draft]) == 1
    assert put([draft, Draft("update", "key-2", b"{}", connection=row.pk)]) == 1


def test_what_was_lost_to_another_sender_while_the_first_one_hung_is_not_sent_twice(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber, _ = subscribe("shop", endpoint.url)
    put([Draft("test", key, b"{}", subscriber=subscriber.pk) for key in ("0", "1")])
    # Leases are looked at again before each send, as after a freeze.
    monkeypatch.setattr(box, "HOLD_SECONDS", -1.0)
    endpoint.seconds = 0.5

    def send() -> None:
        subscribers.turn(subscriber.pk)
        database.close()

    sender = threading.Thread(target=send)
    sender.start()
    assert eventually(lambda: endpoint.taken)
    # Somebody else has claimed the second one meanwhile.
    OutboxCommand.objects.filter(idempotency_key="1").update(token=99)
    sender.join()
    assert [headers["webhook-id"] for headers, _ in endpoint.taken] == ["0"]
