"""What is held against the record before anything is sent: its version, and its money."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.models import Command
from hub.reads import pool
from tests import catalogue
from tests.acceptance.test_writes import Caller, at_once, refusal
from tests.desk import Desk, sitting

pytestmark = pytest.mark.django_db(transaction=True)

ADA = "customers/10000001"
HELD: dict[str, Any] = {
    **catalogue.PAYMENT,
    "id": "pi_2", "amount": 10_000, "amount_received": 0, "status": "requires_capture",
}  # fmt: skip


@pytest.fixture
def caller() -> Iterator[Caller]:
    catalogue.fill(1)
    catalogue.say("stripe", "payments", [catalogue.PAYMENT, HELD])
    sitting()
    yield Caller()
    pool.release()


def etag(caller: Caller, path: str) -> str:
    return caller.get(path).headers["etag"]


def change(caller: Caller, tag: str | None, key: str = "", **values: Any) -> Any:
    headers = {} if tag is None else {"If-Match": tag}
    return caller.send("PATCH", ADA, values or {"city": "Paris"}, key, headers)


def test_a_record_is_changed_only_as_it_was_seen(caller: Caller) -> None:
    refusal(change(caller, None), 428, "precondition_required")
    refusal(change(caller, '"something-else"'), 412, "precondition_failed")
    refusal(change(caller, f"W/{etag(caller, ADA)}"), 412, "precondition_failed")
    assert refusal(change(caller, "unquoted"), 400, "bad_input")["errors"]
    missing = caller.send("PATCH", "customers/0", {"city": "Paris"}, headers={"If-Match": "*"})
    refusal(missing, 404, "not_found")
    assert not Command.objects.exists()
    done = change(caller, etag(caller, ADA))
    assert (done.status, json.loads(done.body)) == (200, {"number": "10000001", "system": "desk"})
    ((_, told),) = Desk.sent
    assert (told["number"], told["city"]) == ("10000001", "Paris")
    assert "street" not in told


@pytest.mark.parametrize(
    "asked", ["?fields=name", "?locale=de-DE&fields=number,orders", "?include=provenance"]
)
def test_the_tag_of_whatever_was_read_will_do(caller: Caller, asked: str) -> None:
    tag = etag(caller, f"{ADA}{asked}")
    assert tag != etag(caller, ADA)
    assert change(caller, f'"other", {tag}').status == 200


def test_a_record_that_has_changed_since_is_left_alone(caller: Caller) -> None:
    tag = etag(caller, f"{ADA}?fields=country")
    catalogue.say("salesforce", "accounts", [{
        **catalogue.ACCOUNT, "Phone": "+49 30 2", "SystemModstamp": "2026-03-01T00:00:00.000+0000",
    }])  # fmt: skip
    refusal(change(caller, tag), 412, "precondition_failed")
    assert not Desk.sent


def test_the_same_request_again_is_answered_though_the_record_has_changed(caller: Caller) -> None:
    tag = etag(caller, ADA)
    first = change(caller, tag, "a-key")
    catalogue.say("salesforce", "accounts", [{
        **catalogue.ACCOUNT, "BillingCity": "Paris",
        "SystemModstamp": "2026-03-01T00:00:00.000+0000",
    }])  # fmt: skip
    again = change(caller, tag, "a-key")
    assert (again.status, again.body) == (200, first.body)
    assert len(Desk.sent) == 1


def test_of_many_who_saw_the_same_one_changes_it(caller: Caller) -> None:
    Desk.seconds = 0.1
    tag = etag(caller, ADA)
    answers = at_once(10, lambda n: change(caller, tag, f"key-{n}", city=f"City {n}"))
    assert sorted(answer.status for answer in answers) == [200, *[412] * 9]
    assert len(Desk.sent) == 1
    # nor does anybody who comes later, as long as nobody could see what it has become
    refusal(change(caller, tag), 412, "precondition_failed")
    # unless they say that they do not care
    assert change(caller, "*").status == 200


def test_nothing_is_no_change_and_nobody_changes_what_is_not_theirs(caller: Caller) -> None:
    tag = {"If-Match": "*"}
    for body, member in (({}, "body"), ({"payment_account": "cus_2"}, "payment_account")):
        problem = refusal(caller.send("PATCH", ADA, body, headers=tag), 400, "bad_input")
        assert problem["errors"][0]["parameter"] == member
    assert caller.send("PATCH", ADA, {"phone": None}, headers=tag).status == 200
    ((_, told),) = Desk.sent
    assert told["phone"] is None


EURO = {"currency": "EUR"}
MONEY: dict[str, tuple[str, dict[str, Any], int, str, str]] = {
    # what is wrong: address, body, status, code, member that is named
    "a currency that is none": (
        "payments", {"amount": "1.00", "currency": "EURO", "method": "pm"}, 422,
        "currency_unknown", "currency",
    ),
    "in small letters": (
        "payments", {"amount": "1.00", "currency": "eur", "method": "pm"}, 422,
        "currency_unknown", "currency",
    ),
    "half a cent": (
        "payments", {"amount": "1.005", **EURO, "method": "pm"}, 422, "amount_precision", "amount",
    ),
    "a hundredth of a yen": (
        "payments", {"amount": "10.50", "currency": "JPY", "method": "pm"}, 422,
        "amount_precision", "amount",
    ),
    "a tenth of a fils": (
        "payments", {"amount": "1.0005", "currency": "KWD", "method": "pm"}, 422,
        "amount_precision", "amount",
    ),
    "a number": (
        "payments", {"amount": 1.0, **EURO, "method": "pm"}, 400, "bad_input", "amount",
    ),
    "nothing": ("payments", {"amount": "0.00", **EURO, "method": "pm"}, 400, "bad_input", "amount"),
    "less than nothing": (
        "payments", {"amount": "-1", **EURO, "method": "pm"}, 400, "bad_input", "amount",
    ),
    "other digits": (
        "payments", {"amount": "١٢", **EURO, "method": "pm"}, 400, "bad_input", "amount",
    ),
    "more than authorised": (
        "payments/pi_2/capture", {"amount": "100.01", **EURO}, 422, "capture_above_authorised",
        "amount",
    ),
    "captured already": (
        "payments/pi_1/capture", {"amount": "0.01", **EURO}, 422, "capture_above_authorised",
        "amount",
    ),
    "more than captured": (
        "payments/pi_1/refunds", {"amount": "234.81", **EURO}, 422, "refund_above_captured",
        "amount",
    ),
    "not captured at all": (
        "payments/pi_2/refunds", {}, 422, "refund_above_captured", "amount",
    ),
    "another currency": (
        "payments/pi_2/capture", {"amount": "1.00", "currency": "USD"}, 422, "currency_mismatch",
        "currency",
    ),
    "no currency": ("payments/pi_2/capture", {"amount": "1.00"}, 400, "bad_input", "body"),
    "no such payment": ("payments/pi_0/capture", {}, 404, "payment_unknown", "payment"),
    "nobody's": ("payments/pi_0/cancel", {}, 404, "payment_unknown", "payment"),
}  # fmt: skip


@pytest.mark.parametrize("name", MONEY)
def test_money_that_cannot_be_is_refused_before_anybody_is_told(caller: Caller, name: str) -> None:
    path, body, status, code, member = MONEY[name]
    problem = refusal(caller.send("POST", path, body), status, code)
    assert member in [error["parameter"] for error in problem["errors"]]
    assert not Desk.sent


def test_money_that_can_be_moves(caller: Caller) -> None:
    held = caller.send("POST", "payments", {"amount": "1.00", **EURO, "method": "pm"})
    assert (held.status, json.loads(held.body)["amount"]) == (201, "1.00")
    taken = caller.send("POST", "payments/pi_2/capture", {"amount": "60", **EURO})
    assert (taken.status, json.loads(taken.body)) == (
        200, {"payment": "pi_2", "amount": "60", "currency": "EUR"},
    )  # fmt: skip
    back = caller.send("POST", "payments/pi_1/refunds", {"amount": "234.80", **EURO})
    assert back.status == 201, back.body
    assert json.loads(back.body)["refund"].startswith("AMS/")
    gone = caller.send("POST", "payments/pi_2/cancel", key="a-key")
    assert gone.status in (200, 409)
    told = [(what, told.get("amount"), told.get("currency")) for what, told in Desk.sent[:3]]
    assert told == [
        ("payment.authorise", "1.00", "EUR"), ("payment.capture", "60", "EUR"),
        ("payment.refund", "234.80", "EUR"),
    ]  # fmt: skip


def test_a_version_is_held_against_what_is_done_with_a_record_if_it_is_sent(caller: Caller) -> None:
    stale = {"If-Match": '"something-else"'}
    answer = caller.send("POST", "payments/pi_2/capture", headers=stale)
    refusal(answer, 412, "precondition_failed")
    seen = {"If-Match": etag(caller, "payments/pi_2")}
    assert caller.send("POST", "payments/pi_2/capture", headers=seen).status == 200
