"""Stripe's own SDK works against the sandbox unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import stripe

from connectors.sandbox.signing import STRIPE_SECRET
from tests.sandboxes import receiving, running, set_fault

PRODUCTS = 600  # 300 orders: several pages of 100


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(PRODUCTS) as server:
        yield server.url


@pytest.fixture
def client(url: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        "sk_test_headwater", base_addresses={"api": url}, max_network_retries=0
    )


def authorised(client: stripe.StripeClient, **more: str) -> stripe.PaymentIntent:
    params: Any = {
        "amount": 2500,
        "currency": "eur",
        "capture_method": "manual",
        "payment_method": "pm_card_visa",
        "confirm": True,
        **more,
    }
    return client.v1.payment_intents.create(params)


def test_auto_paging_yields_every_payment_once_newest_first(client: stripe.StripeClient) -> None:
    first = client.v1.payment_intents.list({"limit": 100})
    payments = list(first.auto_paging_iter())
    assert len(payments) >= PRODUCTS // 2
    assert len({payment.id for payment in payments}) == len(payments)
    created = [payment.created for payment in payments]
    assert created == sorted(created, reverse=True)


def test_paging_backwards_meets_the_page_before(client: stripe.StripeClient) -> None:
    first = client.v1.payment_intents.list({"limit": 5})
    second = client.v1.payment_intents.list({"limit": 5, "starting_after": first.data[-1].id})
    back = client.v1.payment_intents.list({"limit": 5, "ending_before": second.data[0].id})
    assert [payment.id for payment in back] == [payment.id for payment in first]


def test_created_bounds_select_a_span(client: stripe.StripeClient) -> None:
    everything = [p.created for p in client.v1.payment_intents.list().auto_paging_iter()]
    low, high = everything[200], everything[100]
    span = client.v1.payment_intents.list({"limit": 100, "created": {"gte": low, "lt": high}})
    found = [payment.created for payment in span.auto_paging_iter()]
    assert found == [created for created in everything if low <= created < high]


def test_a_payment_names_its_order_customer_and_charge(client: stripe.StripeClient) -> None:
    listed = client.v1.payment_intents.list({"limit": 1}).data[0]
    payment = client.v1.payment_intents.retrieve(
        listed.id, {"expand": ["customer", "latest_charge"]}
    )
    assert payment.metadata is not None
    assert len(payment.metadata["order_number"]) == 10
    customer, charge = payment.customer, payment.latest_charge
    assert isinstance(customer, stripe.Customer)
    assert isinstance(charge, stripe.Charge)
    assert customer.metadata is not None
    assert customer.metadata["customer_number"] == payment.metadata["customer_number"]
    assert (charge.payment_intent, charge.amount) == (payment.id, payment.amount)


def test_create_confirm_capture(client: stripe.StripeClient) -> None:
    payment = client.v1.payment_intents.create(
        {"amount": 1999, "currency": "usd", "capture_method": "manual", "metadata": {"a": "b"}}
    )
    assert payment.status == "requires_payment_method"
    payment = client.v1.payment_intents.confirm(payment.id, {"payment_method": "pm_card_visa"})
    assert (payment.status, payment.amount_capturable) == ("requires_capture", 1999)
    payment = client.v1.payment_intents.capture(payment.id, {"amount_to_capture": 1500})
    assert (payment.status, payment.amount_received) == ("succeeded", 1500)
    assert client.v1.payment_intents.list({"limit": 1}).data[0].id == payment.id


def test_refunds_add_up_to_the_captured_amount_and_no_more(client: stripe.StripeClient) -> None:
    payment = authorised(client, capture_method="automatic")
    refund = client.v1.refunds.create({"payment_intent": payment.id, "amount": 1000})
    assert (refund.status, refund.amount) == ("succeeded", 1000)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        client.v1.refunds.create({"payment_intent": payment.id, "amount": 1501})
    assert client.v1.refunds.create({"payment_intent": payment.id}).amount == 1500
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": payment.id})
    assert refused.value.code == "charge_already_refunded"
    charge = client.v1.charges.retrieve(str(payment.latest_charge))
    assert (charge.refunded, charge.amount_refunded) == (True, 2500)
    assert len(client.v1.refunds.list({"charge": charge.id}).data) == 2


def test_cancelling_releases_the_charge(client: stripe.StripeClient) -> None:
    payment = authorised(client)
    payment = client.v1.payment_intents.cancel(payment.id, {"cancellation_reason": "duplicate"})
    assert (payment.status, payment.cancellation_reason) == ("canceled", "duplicate")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.capture(payment.id)
    assert refused.value.code == "payment_intent_unexpected_state"


def test_an_idempotency_key_repeats_the_first_answer(client: stripe.StripeClient) -> None:
    once: Any = {"idempotency_key": "order-77"}
    params: Any = {"amount": 700, "currency": "eur"}
    first = client.v1.payment_intents.create(params, once)
    again = client.v1.payment_intents.create(params, once)
    assert again.id == first.id
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        client.v1.payment_intents.create({"amount": 701, "currency": "eur"}, once)


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"currency": "eur"}, "parameter_missing", "amount"),
        ({"amount": "ten", "currency": "eur"}, "parameter_invalid_integer", "amount"),
        ({"amount": 10, "currency": "eur", "colour": "red"}, "parameter_unknown", "colour"),
        ({"amount": 10, "currency": "eur", "customer": "cus_x"}, "resource_missing", "customer"),
    ],
)
def test_bad_parameters_are_named(
    client: stripe.StripeClient, params: Any, code: str, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create(params)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_unknown_ids_declined_cards_and_wrong_keys(client: stripe.StripeClient, url: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.payment_intents.retrieve("pi_nope")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.CardError) as declined:
        authorised(client, payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
    assert declined.value.error is not None
    assert declined.value.error.decline_code == "insufficient_funds"
    stranger = stripe.StripeClient("sk_test_somebody_else", base_addresses={"api": url})
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key"):
        stranger.v1.customers.list()


def test_scripted_rate_limit_is_a_rate_limit_error(client: stripe.StripeClient, url: str) -> None:
    set_fault(url, "stripe", kind="rate_limited", count=1)
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()
    client.v1.customers.list()


def test_customers_are_made_changed_and_deleted(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"email": "a@example.com", "metadata": {"x": "1"}})
    changed: Any = {"name": "Å & Co", "metadata": {"x": "", "y": "2"}}
    customer = client.v1.customers.update(customer.id, changed)
    assert customer.metadata is not None
    assert (customer.name, customer.metadata.to_dict()) == ("Å & Co", {"y": "2"})
    client.v1.customers.delete(customer.id)
    assert client.v1.customers.retrieve(customer.id).deleted is True
    assert customer.id not in [found.id for found in client.v1.customers.list().data]


def test_webhooks_verify_and_tell_a_payment_s_life(client: stripe.StripeClient, url: str) -> None:
    with receiving(url, "stripe") as receiver:
        payment = authorised(client)
        client.v1.payment_intents.capture(payment.id)
        events = []
        for _ in range(5):
            headers, body = receiver.next()
            signature = headers["Stripe-Signature"]
            events.append(stripe.Webhook.construct_event(body, signature, STRIPE_SECRET))
            with pytest.raises(stripe.SignatureVerificationError):
                stripe.Webhook.construct_event(body + b" ", signature, STRIPE_SECRET)
    assert [event.type for event in events] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]
    assert events[-1].data.object["id"] == payment.id
    assert client.v1.events.retrieve(events[-1].id).type == "payment_intent.succeeded"
    newest = client.v1.events.list({"type": "payment_intent.succeeded", "limit": 1})
    assert newest.data[0].id == events[-1].id


def test_a_change_on_the_control_page_is_an_event(client: stripe.StripeClient, url: str) -> None:
    payment = client.v1.payment_intents.list({"limit": 1}).data[0]
    patch = {"description": "changed by hand"}
    control = f"{url}/_control/stripe/payment_intents/{payment.id}"
    requests.post(control, json=patch, timeout=5).raise_for_status()
    assert client.v1.payment_intents.retrieve(payment.id).description == "changed by hand"
    event = client.v1.events.list({"limit": 1}).data[0]
    assert event.data.object["id"] == payment.id
