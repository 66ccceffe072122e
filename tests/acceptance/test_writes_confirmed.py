"""From a caller's request to the record that shows it: written, read back from its owner, merged."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.db import connection

from connectors.commands import doors, drain
from hub.reads import pool
from tests.acceptance.test_writes import Caller, refusal
from tests.processes import until
from tests.pulls import pulled
from tests.sandboxes import running
from tests.telling import work

pytestmark = pytest.mark.django_db(transaction=True)

ADA = "customers/10000001"


@contextmanager
def hands() -> Iterator[None]:
    """What workers do beside the web: the drain of commands, and the inbox."""
    done = threading.Event()

    def labour() -> None:
        try:
            while not done.is_set():
                drain.run(time.monotonic() + 0.1)
                work()
        finally:
            connection.close()

    thread = threading.Thread(target=labour)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with running(20) as server:
        yield server.url


@pytest.fixture
def caller(sandbox: str) -> Iterator[Caller]:
    doors.forget()
    call_command("connect_sandbox", sandbox, stdout=io.StringIO())
    with hands():
        yield Caller()
    pool.release()
    requests.post(f"{sandbox}/_control/reset", timeout=5)


def told(answer: Any, status: int) -> dict[str, Any]:
    """What was answered."""
    assert answer.status == status, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def state(caller: Caller, answer: Any) -> str:
    reference = answer.headers["headwater-command"]
    return str(told(caller.get(f"commands/{reference}"), 200)["state"])


def test_money_is_held_collected_and_given_back(caller: Caller, sandbox: str) -> None:
    asked = {"amount": "100.00", "currency": "EUR", "method": "pm_card_visa"}
    held = caller.send("POST", "payments", asked)
    at = f"payments/{told(held, 201)['payment']}"
    # at once: what the provider made is waited for, and known by its own record
    part = {"amount": "60.00", "currency": "EUR"}
    above = {"amount": "100.01", "currency": "EUR"}
    refusal(caller.send("POST", f"{at}/capture", above), 422, "capture_above_authorised")
    assert told(caller.send("POST", f"{at}/capture", part), 200)["amount"] == "60.00"
    back = caller.send("POST", f"{at}/refunds", {"amount": "50.00", "currency": "EUR"})
    assert told(back, 201)["refund"].startswith("re_")
    more = caller.send("POST", f"{at}/refunds", {"amount": "10.01", "currency": "EUR"})
    problem = refusal(more, 422, "refund_above_captured")
    assert (problem["captured"], problem["refunded"]) == ("60.00", "50.00")
    refusal(caller.send("POST", f"{at}/cancel"), 422, "payment_state")
    until("confirmation", lambda: state(caller, back) == "confirmed", 20)
    shown = told(caller.get(at), 200)
    assert (shown["amount"], shown["captured"]) == ("100.00", "60.00")
    made = requests.get(f"{sandbox}/_control/references/stripe", timeout=5).json()["references"]
    assert {n for counts in made.values() for n in counts.values()} == {1}


def test_a_declined_card_is_the_callers_answer(caller: Caller) -> None:
    asked = {"amount": "100.00", "currency": "EUR", "method": "pm_card_chargeDeclined"}
    refusal(caller.send("POST", "payments", asked, "a-key"), 422, "card_declined")
    refusal(caller.send("POST", "payments", asked, "a-key"), 422, "card_declined")


def test_a_change_shows_in_the_record_with_where_it_comes_from(
    caller: Caller, sandbox: str
) -> None:
    pulled("salesforce", sandbox, "accounts")
    tag = {"If-Match": caller.get(f"{ADA}?fields=phone").headers["etag"]}
    changed = caller.send("PATCH", ADA, {"phone": "+49 30 99"}, headers=tag)
    assert told(changed, 200) == {"number": "10000001", "system": "salesforce"}
    until("confirmation", lambda: state(caller, changed) == "confirmed", 20)

    def shows() -> bool:
        return bool(told(caller.get(f"{ADA}?fields=phone"), 200)["phone"] == "+49 30 99")

    until("new number", shows, 20)
    explained = told(caller.get(f"{ADA}/explain/phone"), 200)
    assert explained["winner"]["system"] == "salesforce"
    correlation = told(caller.get(f"commands/{changed.headers['headwater-command']}"), 200)
    assert explained["winner"]["correlation_id"] == correlation["correlation_id"]
    # what was seen before is not what is there now
    refusal(caller.send("PATCH", ADA, {"phone": "1"}, headers=tag), 412, "precondition_failed")
    fresh = {"If-Match": caller.get(ADA).headers["etag"]}
    assert caller.send("PATCH", ADA, {"phone": "1"}, headers=fresh).status == 200
