"""Money moved through the connector, with webhooks out of order, twice, and before the answer.

Against the sandbox, and against a Stripe that nobody here wrote. Whatever comes when, the payment and
its refund end in the catalogue as Stripe has them, and nothing was done twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal
from email.message import Message
from typing import Any

import pytest
import requests
from django.db.models.functions import Now
from pytest_django import DjangoDbBlocker

from catalog.entities import Customer, Payment, Payout, Refund
from connectors.inbox import events, fetch
from connectors.inbox.apply import Applier
from connectors.models import Connection, InboxEvent, OutboxCommand
from connectors.outbox import pushes
from connectors.outbox.commands import Draft, put
from connectors.runtime.connect import connect
from connectors.runtime.connector import connector_class
from connectors.sandbox.server import SandboxServer
from connectors.sandbox.signing import STRIPE_SECRET
from tests.localstripe import card, localstripe, needs_localstripe, post
from tests.sandboxes import Receiver, receiving, running, set_fault
from tests.vendors import CREDENTIALS
from tests.web import Web, serving

pytestmark = pytest.mark.django_db(transaction=True)

Arrived = list[tuple[Message, bytes]]


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with running(60) as server:
        yield server


@pytest.fixture(scope="module")
def web(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Web]:
    del django_db_setup  # the database is there; that is all it has to say
    with django_db_blocker.unblock(), serving(tmp_path_factory.mktemp("web") / "web.log") as made:
        yield made


_numbers = itertools.count(1)


def connected(url: str) -> Connection:
    """Under a name of its own: the web workers remember names for a moment."""
    settings = {**CREDENTIALS["stripe"], "webhook_secret": STRIPE_SECRET}
    return connect(f"stripe{next(_numbers)}", "stripe", url, settings)


def write(row: Connection, slug: str, key: str, **values: Any) -> str:
    """One write, pushed and read back as the outbox does it; its state."""
    capability = connector_class("stripe").capability(slug)
    made = capability.push(values, key)
    put(
        [
            Draft(
                kind=slug,
                idempotency_key=key,
                body=made.body,
                connection=row.pk,
                stream=capability.stream,
                record_key=made.record_key,
            )
        ]
    )
    return again(row, key)


def again(row: Connection, key: str) -> str:
    OutboxCommand.objects.filter(idempotency_key=key).update(next_attempt_at=Now())
    Connection.objects.filter(pk=row.pk).update(paused_until=None)
    pushes.turn(row.pk)
    settle(row)
    return str(OutboxCommand.objects.get(idempotency_key=key).state)


def made_by(key: str) -> str:
    return OutboxCommand.objects.get(idempotency_key=key).record_key


def settle(row: Connection) -> None:
    """All that the inbox holds is fetched and applied."""
    for _ in range(20):
        InboxEvent.objects.filter(state="retrying").update(next_attempt_at=Now())
        fetched = fetch.fetch_batch(row.pk)
        applied = 0
        while batch := events.claim_batch():
            applied += Applier().apply(batch)
        if not fetched and not applied:
            return


def deliver(web: Web, row: Connection, arrived: Arrived) -> None:
    """At the hub's own door, as they came."""
    for message, body in arrived:
        answer = web.post(f"/hooks/{row.slug}/", body, dict(message.items()))
        assert answer.status == 202, answer.body
    settle(row)


def taken(receiver: Receiver, count: int) -> Arrived:
    return [receiver.next() for _ in range(count)]


def let_go(url: str, receiver: Receiver, **script: Any) -> Arrived:
    """What the sandbox had held back."""
    deliveries = f"{url}/_control/deliveries/stripe"
    sent = requests.post(deliveries, json=script, timeout=5).json()["deliveries"]
    return taken(receiver, sent)


def money(payment: str) -> tuple[str | None, Decimal | None, Decimal | None]:
    row = Payment.objects.get(pk=payment)
    return row.status, row.amount, row.captured


AUTHORISE = {"amount": "100.00", "currency": "EUR", "order": "0000000007"}


@pytest.mark.parametrize("order", ["oldest_first", "newest_first", "interleaved"])
def test_events_in_any_order_and_twice(sandbox: SandboxServer, web: Web, order: str) -> None:
    row, url = connected(sandbox.url), sandbox.url
    with receiving(url, "stripe") as receiver:
        requests.put(f"{url}/_control/deliveries/stripe", json={}, timeout=5).raise_for_status()
        assert (
            write(row, "payment.authorise", "k.1", method="pm_card_visa", **AUTHORISE) == "applied"
        )
        payment = made_by("k.1")
        part = {"payment": payment, "amount": "80.00", "currency": "EUR"}
        assert write(row, "payment.capture", "k.2", **part) == "applied"
        assert write(row, "payment.refund", "k.3", **{**part, "amount": "30.00"}) == "applied"
        before = (money(payment), Refund.objects.values().get())
        deliver(web, row, let_go(url, receiver, order=order, times=2))
    assert money(payment) == ("succeeded", Decimal(100), Decimal(80))
    refund = Refund.objects.get()
    assert (refund.payment_id, refund.amount, refund.status) == (payment, Decimal(30), "succeeded")
    assert before == (money(payment), Refund.objects.values().get())
    assert not InboxEvent.objects.exclude(state__in=("applied", "superseded", "ignored")).exists()


def test_events_before_an_answer_that_never_comes(sandbox: SandboxServer, web: Web) -> None:
    """Each answer is lost, its events arrive, then the write is tried again."""
    row, url = connected(sandbox.url), sandbox.url

    def lost(slug: str, key: str, count: int, **values: Any) -> None:
        set_fault(url, "stripe", kind="answer_lost", seconds=0, count=1)
        assert write(row, slug, key, **values) == "retrying"
        deliver(web, row, taken(receiver, count))

    with receiving(url, "stripe") as receiver:
        lost("payment.authorise", "k.1", 3, method="pm_card_visa", **AUTHORISE)
        payment = Payment.objects.get().key  # told by its event alone
        assert money(payment) == ("requires_capture", Decimal(100), Decimal(0))
        assert again(row, "k.1") == "applied"
        assert made_by("k.1") == payment
        part = {"payment": payment, "amount": "80.00", "currency": "EUR"}
        lost("payment.capture", "k.2", 2, **part)
        assert money(payment) == ("succeeded", Decimal(100), Decimal(80))
        assert again(row, "k.2") == "applied"
        lost("payment.refund", "k.3", 2, payment=payment)
        assert Refund.objects.get().amount == 80
        assert again(row, "k.3") == "applied"
    assert made_by("k.3") == Refund.objects.get().key
    made = requests.get(f"{url}/_control/references/stripe", timeout=5).json()["references"]
    assert made["payment_intents"] == {"k.1": 1}
    assert made["balance_transactions"] == {"k.2": 1, "k.3": 1}
    assert made["refunds"] == {"k.3": 1}


def test_a_refund_that_fails_later_and_a_payout_are_told_by_their_events(
    sandbox: SandboxServer, web: Web
) -> None:
    row, url = connected(sandbox.url), sandbox.url
    write(row, "payment.authorise", "k.1", method="pm_card_pendingRefund", **AUTHORISE)
    payment = made_by("k.1")
    write(row, "payment.capture", "k.2", payment=payment)
    write(row, "payment.refund", "k.3", payment=payment, amount="5.00", currency="EUR")
    assert Refund.objects.get().status == "pending"
    with receiving(url, "stripe") as receiver:
        control = f"{url}/_control/stripe/refunds/{made_by('k.3')}"
        requests.post(control, json={"status": "failed"}, timeout=5).raise_for_status()
        requests.post(f"{url}/_control/payouts", json={}, timeout=5).raise_for_status()
        deliver(web, row, taken(receiver, 3)[::-1])
    assert Refund.objects.get().status == "failed"
    payout = Payout.objects.get()
    assert payout.status == "paid"
    lines = {line.kind: line for line in payout.lines.all()}
    assert lines["charge"].payment_id == payment
    assert lines["refund"].refund_id == made_by("k.3")
    net = sum(line.net for line in lines.values() if line.kind != "payout")
    assert payout.amount == net


@needs_localstripe
def test_at_a_stripe_that_nobody_here_wrote(
    tmp_path_factory: pytest.TempPathFactory, web: Web
) -> None:
    """It knows no idempotency keys and tells of success alone, a second later."""
    with localstripe(tmp_path_factory.mktemp("upstreams")) as url:
        row = connected(url)
        receiver = Receiver()
        with receiver.serving():
            hook = f"{url}/_config/webhooks/hub"
            requests.post(
                hook, data={"url": receiver.url, "secret": STRIPE_SECRET}, timeout=5
            ).raise_for_status()
            tags = {"metadata[customer_number]": "10000001"}
            customer = post(url, "customers", email="a@example.com", **tags)["id"]
            deliver(web, row, taken(receiver, 1))
            assert Customer.objects.get().payment_account == customer
            method = card(url, customer)
            about = {"method": method, "customer": "10000001", **AUTHORISE}
            assert write(row, "payment.authorise", "k.1", **about) == "applied"
            payment = made_by("k.1")
            assert money(payment)[:2] == ("requires_capture", Decimal(100))
            part = {"payment": payment, "amount": "80.00", "currency": "EUR"}
            assert write(row, "payment.capture", "k.2", **part) == "applied"
            told = taken(receiver, 1)
            assert write(row, "payment.refund", "k.3", **{**part, "amount": "30.00"}) == "applied"
            # What it said after the capture comes after the refund, and twice.
            deliver(web, row, told * 2)
        kept = Payment.objects.get(pk=payment)
        assert (kept.status, kept.amount, kept.order_id) == ("succeeded", 100, "0000000007")
        assert kept.customer_id == "10000001"
        refund = Refund.objects.get(pk=made_by("k.3"))
        assert (refund.payment_id, refund.amount, refund.currency) == (payment, 30, "EUR")
        declined = card(url, customer, "4000000000000341")
        assert write(row, "payment.authorise", "k.4", **{**about, "method": declined}) == "dead"
        refused = OutboxCommand.objects.get(idempotency_key="k.4")
        assert refused.error_code == "upstream.refused"
