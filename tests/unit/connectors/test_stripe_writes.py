"""Money moved at the sandbox's Stripe through the connector, and what each refusal comes to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from connectors.runtime.connector import Connector
from observability.errors import (
    PermanentError,
    RefusedByUpstreamError,
    RetryableError,
)
from tests.sandboxes import running, set_fault
from tests.vendors import opened


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with running(60) as server:
        yield server.url


@pytest.fixture
def connector(sandbox: str) -> Iterator[Connector]:
    yield opened("stripe", sandbox, retries=0)
    requests.delete(f"{sandbox}/_control/faults/stripe", timeout=5)


_numbers = iter(range(1, 10_000))


def done(connector: Connector, slug: str, key: str = "", **values: Any) -> str:
    """The key of the record that a capability made or changed."""
    capability = connector.capability(slug)
    push = capability.push(values, key or f"cmd_{next(_numbers)}.{slug}")
    return connector.push(connector.stream(capability.stream), push)


def authorised(connector: Connector, amount: str = "100.00", **more: Any) -> str:
    values = {"currency": "EUR", "method": "pm_card_visa", **more}
    return done(connector, "payment.authorise", amount=amount, **values)


def kept(connector: Connector, stream: str, key: str) -> Any:
    raw = connector.record(connector.stream(stream), key)
    assert raw is not None
    return json.loads(raw)


def test_a_payment_is_held_collected_in_part_and_given_back_in_part(connector: Connector) -> None:
    payment = authorised(connector, order="0000000007")
    held = kept(connector, "payments", payment)
    assert (held["status"], held["amount_received"]) == ("requires_capture", 0)
    assert held["metadata"]["order_number"] == "0000000007"
    amount = {"amount": "80.00", "currency": "EUR"}
    assert done(connector, "payment.capture", payment=payment, **amount) == payment
    assert kept(connector, "payments", payment)["amount_received"] == 8_000
    back = {"amount": "30.00", "currency": "EUR", "reason": "duplicate"}
    refund = kept(connector, "refunds", done(connector, "payment.refund", payment=payment, **back))
    assert (refund["amount"], refund["payment_intent"]) == (3_000, payment)
    rest = done(connector, "payment.refund", payment=payment, currency="EUR")
    assert kept(connector, "refunds", rest)["amount"] == 5_000


def test_what_is_held_is_let_go(connector: Connector) -> None:
    payment = authorised(connector)
    assert done(connector, "payment.cancel", payment=payment) == payment
    assert kept(connector, "payments", payment)["status"] == "canceled"


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_card_authenticationRequired", "authentication_required"),
    ],
)
def test_a_declined_card_is_refused_with_the_reason_and_nothing_is_held(
    connector: Connector, sandbox: str, method: str, reason: str
) -> None:
    key = f"cmd_declined.{reason}"
    values = {"amount": "5.00", "currency": "EUR", "method": method}
    for _ in range(2):  # the same again for the same key
        with pytest.raises(RefusedByUpstreamError) as refused:
            done(connector, "payment.authorise", key, **values)
        assert refused.value.reason == reason
    newest = requests.get(
        f"{sandbox}/v1/payment_intents?limit=1",
        headers={"Authorization": "Bearer sk_test_headwater"},
        timeout=5,
    ).json()["data"][0]
    assert newest["metadata"]["headwater_key"] == key
    assert newest["amount_capturable"] == 0
    assert newest["status"] in {"requires_payment_method", "canceled"}


def test_more_than_there_is_is_refused(connector: Connector) -> None:
    payment = authorised(connector, "10.00")
    with pytest.raises(RefusedByUpstreamError) as above:
        done(connector, "payment.capture", payment=payment, amount="10.01", currency="EUR")
    done(connector, "payment.capture", payment=payment)
    with pytest.raises(RefusedByUpstreamError) as twice:
        done(connector, "payment.capture", payment=payment)
    with pytest.raises(RefusedByUpstreamError) as too_much:
        done(connector, "payment.refund", payment=payment, amount="10.01", currency="EUR")
    done(connector, "payment.refund", payment=payment)
    with pytest.raises(RefusedByUpstreamError) as again:
        done(connector, "payment.refund", payment=payment)
    with pytest.raises(RefusedByUpstreamError) as unknown:
        done(connector, "payment.capture", payment="pi_nope")
    reasons = [r.value.reason for r in (above, twice, too_much, again, unknown)]
    assert reasons == [
        "amount_too_large", "payment_state", "amount_too_large", "already_refunded", "not_found",
    ]  # fmt: skip


def test_an_amount_that_the_currency_does_not_have_is_not_sent(
    connector: Connector, sandbox: str
) -> None:
    asked = f"{sandbox}/_control/requests?system=stripe"
    before = len(requests.get(asked, timeout=5).json()["requests"])
    with pytest.raises(PermanentError, match="finer than the 1 "):
        authorised(connector, "500.5", currency="JPY")
    assert len(requests.get(asked, timeout=5).json()["requests"]) == before


@pytest.mark.parametrize("seconds", [0, 1.2], ids=["never", "after our time-out"])
def test_a_write_whose_answer_was_lost_is_repeated_and_done_once(
    sandbox: str, seconds: float
) -> None:
    connector = opened("stripe", sandbox, retries=0)
    connector.session._timeout = (2, 0.5)
    key = f"cmd_lost_{seconds}.authorise"
    values = {"amount": "7.00", "currency": "EUR", "method": "pm_card_visa"}
    set_fault(sandbox, "stripe", kind="answer_lost", seconds=seconds, count=1)
    with pytest.raises(RetryableError):
        done(connector, "payment.authorise", key, **values)
    capability = connector.capability("payment.authorise")
    push = capability.push(values, key)
    spec = connector.stream("payments")
    assert connector.find(spec, push) is None  # repeating is harmless
    payment = connector.push(spec, push)
    assert kept(connector, "payments", payment)["status"] == "requires_capture"
    counted = f"{sandbox}/_control/references/stripe?reference={key}"
    made = requests.get(counted, timeout=5).json()["references"]
    assert made == {"payment_intents": {key: 1}, "charges": {key: 1}}


def test_many_are_read_back_by_one_call_and_as_each_is(connector: Connector, sandbox: str) -> None:
    payments = connector.stream("payments")
    keys = [authorised(connector, f"{n}.00") for n in range(1, 7)]
    done(connector, "payment.cancel", payment=keys[0])
    found = connector.records(payments, [*keys, "pi_none"])
    asked = [
        one["query"]
        for one in requests.get(f"{sandbox}/_control/requests", timeout=5).json()["requests"]
        if one["path"] == "/v1/payment_intents" and one["method"] == "GET"
    ]
    assert asked.count("limit=100") == 1
    assert found["pi_none"] is None
    for key in keys:
        assert json.loads(found[key] or b"null") == kept(connector, "payments", key)
    assert json.loads(found[keys[0]] or b"null")["status"] == "canceled"
