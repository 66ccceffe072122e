"""Refunds, the balance and payouts of the sandbox as Stripe's own SDK sees them, and its once-only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import stripe

from connectors.sandbox.stripe_payments import CHANGING
from tests.sandboxes import receiving, running, set_fault

KEY = {"Authorization": "Bearer sk_test_headwater"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(600) as server:
        yield server.url


@pytest.fixture
def client(url: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        "sk_test_headwater", base_addresses={"api": url}, max_network_retries=0
    )


def collected(client: stripe.StripeClient, amount: int, **more: Any) -> stripe.PaymentIntent:
    known = {"amount": amount, "currency": "eur", "payment_method": "pm_card_visa"}
    params: Any = {**known, "confirm": True, **more}
    return client.v1.payment_intents.create(params)


def moved(client: stripe.StripeClient, payout: str) -> list[stripe.BalanceTransaction]:
    params: Any = {"payout": payout, "limit": 2, "expand": ["data.source"]}
    return list(client.v1.balance_transactions.list(params).auto_paging_iter())


def identity(source: Any) -> str:
    return str(source["id"])


def test_each_payout_of_the_past_is_what_its_transactions_come_to(
    client: stripe.StripeClient,
) -> None:
    payouts = list(client.v1.payouts.list({"limit": 100}).auto_paging_iter())
    assert {payout.currency for payout in payouts} == {"eur", "usd"}
    assert [p.created for p in payouts] == sorted((p.created for p in payouts), reverse=True)
    for payout in payouts[:20]:
        parts = [part for part in moved(client, payout.id) if part.type != "payout"]
        assert sum(part.net for part in parts) == payout.amount > 0
        assert {part.currency for part in parts} == {payout.currency}
        assert all(part.net == part.amount - part.fee for part in parts)
        assert all(isinstance(part.source, stripe.Charge | stripe.Refund) for part in parts)


def test_no_money_of_the_past_is_paid_out_twice_or_never(client: stripe.StripeClient) -> None:
    payouts = client.v1.payouts.list({"limit": 100}).auto_paging_iter()
    paid_out = [part.id for payout in payouts for part in moved(client, payout.id)]
    every = client.v1.balance_transactions.list({"limit": 100}).auto_paging_iter()
    # Those that other tests of this module made are pending.
    settled = [part.id for part in every if part.status == "available"]
    assert sorted(paid_out) == sorted(settled)


def test_a_refund_of_the_past_stands_at_its_charge_and_its_payment(
    client: stripe.StripeClient,
) -> None:
    refund = client.v1.refunds.list({"limit": 100}).data[-1]
    charge = client.v1.charges.retrieve(str(refund.charge))
    assert charge.amount_refunded == refund.amount > 0
    listed = client.v1.refunds.list({"payment_intent": str(charge.payment_intent)})
    assert [found.id for found in listed.data] == [refund.id]
    booked = client.v1.balance_transactions.retrieve(str(refund.balance_transaction))
    assert (booked.type, booked.net, booked.source) == ("refund", -refund.amount, refund.id)


def test_what_is_captured_and_refunded_today_is_paid_out_when_asked_for(
    client: stripe.StripeClient, url: str
) -> None:
    payment = collected(client, 10_000, capture_method="manual")
    client.v1.payment_intents.capture(payment.id, {"amount_to_capture": 8_000})
    refund = client.v1.refunds.create({"payment_intent": payment.id, "amount": 3_000})
    with receiving(url, "stripe") as receiver:
        made = requests.post(f"{url}/_control/payouts", json={}, timeout=5).json()["payouts"]
        types = [json.loads(receiver.next()[1])["type"] for _ in range(2)]
    assert types == ["payout.created", "payout.paid"]
    payout = client.v1.payouts.retrieve(made[0])
    parts = {identity(part.source): part for part in moved(client, payout.id)}
    assert (parts[refund.id].amount, parts[refund.id].fee) == (-3_000, 0)
    assert parts[str(payment.latest_charge)].amount == 8_000
    assert payout.amount == sum(part.net for part in parts.values() if part.type != "payout")
    again = requests.post(f"{url}/_control/payouts", json={}, timeout=5).json()["payouts"]
    assert again == []


def test_a_pending_refund_succeeds_later(client: stripe.StripeClient, url: str) -> None:
    payment = collected(client, 5_000, payment_method="pm_card_pendingRefund")
    refund = client.v1.refunds.create({"payment_intent": payment.id})
    assert refund.status == "pending"
    control = f"{url}/_control/stripe/refunds/{refund.id}"
    requests.post(control, json={"status": "failed"}, timeout=5).raise_for_status()
    assert client.v1.refunds.retrieve(refund.id).status == "failed"
    assert client.v1.events.list({"limit": 1}).data[0].type == "refund.failed"


def test_the_same_key_and_meaning_repeats_the_answer_and_says_so(url: str) -> None:
    target, headers = f"{url}/v1/payment_intents", {**KEY, "Idempotency-Key": "cmd_1.authorise"}
    first = requests.post(target, "amount=500&currency=eur", headers=headers, timeout=5)
    again = requests.post(target, "currency=eur&amount=500", headers=headers, timeout=5)
    assert again.content == first.content
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Original-Request"] == first.headers["Request-Id"]
    other = requests.post(target, "amount=501&currency=eur", headers=headers, timeout=5)
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")
    elsewhere = requests.post(f"{url}/v1/customers", headers=headers, timeout=5)
    assert "same endpoint" in elsewhere.json()["error"]["message"]


def test_what_a_key_made_is_counted(client: stripe.StripeClient, url: str) -> None:
    payment = collected(client, 4_000, capture_method="manual")
    once: Any = {"idempotency_key": "cmd_9.capture"}
    for _ in range(3):
        client.v1.payment_intents.capture(payment.id, {}, once)
    asked = f"{url}/_control/references/stripe?reference=cmd_9.capture"
    counted = requests.get(asked, timeout=5).json()["references"]
    assert counted == {"balance_transactions": {"cmd_9.capture": 1}}


def test_a_lost_answer_is_told_again_for_the_same_key(
    client: stripe.StripeClient, url: str
) -> None:
    set_fault(url, "stripe", kind="answer_lost", seconds=0, count=1)
    params: Any = {"amount": 1_200, "currency": "eur", "confirm": True}
    params["payment_method"] = "pm_card_visa"
    once: Any = {"idempotency_key": "cmd_10.authorise"}
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.create(params, once)
    payment = client.v1.payment_intents.create(params, once)
    asked = f"{url}/_control/references/stripe?reference=cmd_10.authorise"
    counted = requests.get(asked, timeout=5).json()["references"]
    assert counted["payment_intents"] == {"cmd_10.authorise": 1}
    assert client.v1.payment_intents.list({"limit": 1}).data[0].id == payment.id


def test_a_refusal_for_its_parameters_is_not_kept(url: str) -> None:
    target, headers = f"{url}/v1/payment_intents", {**KEY, "Idempotency-Key": "cmd_2.authorise"}
    assert requests.post(target, "amount=x", headers=headers, timeout=5).status_code == 400
    assert requests.post(target, "amount=5&currency=eur", headers=headers, timeout=5).ok


def test_while_a_request_is_in_flight_its_key_is_in_use(url: str) -> None:
    target, headers = f"{url}/v1/payment_intents", {**KEY, "Idempotency-Key": "cmd_3.authorise"}
    form, answers = "amount=5&currency=eur", []

    def ask() -> None:
        answers.append(requests.post(target, form, headers=headers, timeout=10))

    both = [threading.Thread(target=ask) for _ in range(2)]
    with CHANGING:  # whichever comes first waits for it; the other one is told at once
        for thread in both:
            thread.start()
        for _ in range(100):
            if answers:
                break
            both[0].join(0.05)
        early = list(answers)
    for thread in both:
        thread.join()
    assert [answer.status_code for answer in early] == [409]
    assert early[0].json()["error"]["code"] == "idempotency_key_in_use"
    assert sorted(answer.status_code for answer in answers) == [200, 409]


@pytest.mark.parametrize(("currency", "amount"), [("kwd", 5_123), ("ugx", 550), ("isk", 101)])
def test_amounts_that_a_currency_does_not_have_are_refused(
    client: stripe.StripeClient, currency: str, amount: int
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        collected(client, amount, currency=currency)
    assert refused.value.param == "amount"
    assert collected(client, amount // 100 * 100, currency=currency).status == "succeeded"


def test_held_events_come_in_another_order_and_twice(client: stripe.StripeClient, url: str) -> None:
    deliveries = f"{url}/_control/deliveries/stripe"
    with receiving(url, "stripe") as receiver:
        requests.put(deliveries, json={}, timeout=5).raise_for_status()
        collected(client, 900)
        script = {"order": "newest_first", "times": 2}
        sent = requests.post(deliveries, json=script, timeout=5).json()["deliveries"]
        events = [json.loads(receiver.next()[1]) for _ in range(sent)]
    types = ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]
    assert [event["type"] for event in events] == types * 2
    assert events[0]["id"] == events[3]["id"]


def test_a_script_that_there_is_not_is_named(url: str) -> None:
    deliveries = f"{url}/_control/deliveries/stripe"
    for script, name in (({"order": "random"}, "order"), ({"times": 0}, "times"), ([], "order")):
        refused = requests.post(deliveries, json=script, timeout=5)
        assert refused.status_code == 400
        assert name in refused.json()["error"]
