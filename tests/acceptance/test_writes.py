"""Writes as their caller meets them: one key, one write, one answer; and clear refusals before it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from connectors.commands import drain, ledger
from connectors.models import Breaker, Command, Connection
from hub import lanes
from hub.auth.keys import issue_key
from hub.reads import pool
from observability.errors import CircuitOpenError
from tests import catalogue
from tests.desk import Desk, sitting
from tests.web import Answer, Inside

pytestmark = pytest.mark.django_db(transaction=True)

RESERVE = {"sku": "P-1-01", "quantity": 2}


class Caller:
    """Writes with an API key."""

    def __init__(self, *scopes: str, per_minute: int | None = None) -> None:
        self.web = Inside(0)
        granted = scopes or ("read:*", "trace:*", "write:*", "class:personal")
        self.key = issue_key("tests", granted, requests_per_minute=per_minute)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        key: str | None = "",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """A write; `key`: its Idempotency-Key, of our making where it is empty, none where None."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        told = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        if key is not None:
            told["Idempotency-Key"] = key or f'"{uuid4()}"'
        return self.web.request(method, f"/api/v1/{path}", raw, told | (headers or {}))

    def reserve(self, key: str = "", **more: Any) -> Answer:
        return self.send("POST", "reservations", {**RESERVE, **more}, key)

    def get(self, path: str) -> Answer:
        return self.send("GET", path, key=None)


def at_once(many: int, act: Callable[[int], Answer]) -> list[Answer]:
    """Acts of threads that begin together."""
    answers: list[Answer] = []
    gate = threading.Barrier(many)

    def run(number: int) -> None:
        try:
            gate.wait()
            answers.append(act(number))
        finally:
            connection.close()

    # A turn for each: it is the keys that are looked at here.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "writing", threading.BoundedSemaphore(many))
        threads = [threading.Thread(target=run, args=(n,)) for n in range(many)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return answers


def refusal(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The problem that was answered."""
    problem: dict[str, Any] = json.loads(answer.body)
    assert (answer.status, problem["code"]) == (status, code), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["correlation_id"]
    return problem


@pytest.fixture(autouse=True)
def shop() -> Iterator[None]:
    catalogue.fill(2)
    sitting()
    yield
    pool.release()


@pytest.fixture
def caller() -> Caller:
    return Caller()


def test_a_write_is_done_once_and_its_answer_is_given_again_byte_for_byte(caller: Caller) -> None:
    first = caller.reserve("a-key")
    assert first.status == 201
    assert json.loads(first.body) == {
        "reservation": "AMS/1", "sku": "P-1-01", "quantity": 2,
    }  # fmt: skip
    assert "idempotent-replayed" not in first.headers
    again = caller.reserve('"a-key"')  # as the draft writes it
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["headwater-command"] == first.headers["headwater-command"]
    assert set(Desk.wrote.values()) == {1}
    ((_, told),) = Desk.sent
    assert told["reference"] == f"{first.headers['headwater-command']}.reserve"


def test_a_key_belongs_to_its_caller_and_to_one_body(caller: Caller) -> None:
    assert caller.reserve("a-key").status == 201
    refusal(caller.reserve("a-key", quantity=3), 422, "idempotency_key_reused")
    other = caller.send("DELETE", "reservations/AMS-1", key="a-key")
    refusal(other, 422, "idempotency_key_reused")
    assert Caller().reserve("a-key", quantity=3).status == 201
    assert len(Desk.sent) == 2


def test_fifty_at_once_with_one_key_are_one_write(caller: Caller) -> None:
    Desk.seconds = 0.2
    answers = at_once(50, lambda _: caller.reserve("a-key"))
    counted = Counter(answer.status for answer in answers)
    assert counted.keys() <= {201, 409}
    assert len({answer.body for answer in answers if answer.status == 201}) == 1
    for answer in answers:
        if answer.status == 409:
            refusal(answer, 409, "idempotency_key_in_flight")
            assert answer.headers["retry-after"] == "1"
    assert set(Desk.wrote.values()) == {1}
    assert len(Desk.sent) == 1
    assert Command.objects.count() == 1
    assert caller.reserve("a-key").headers["idempotent-replayed"] == "true"


def test_what_cannot_be_done_now_is_accepted_and_done_later(caller: Caller) -> None:
    Desk.away = [CircuitOpenError("it is down", connection="desk", retry_after=60.0)]
    answer = caller.send("DELETE", "reservations/AMS-1", key="a-key")
    assert answer.status == 202, answer.body
    place = answer.headers["location"].removeprefix("/api/v1/")
    assert json.loads(answer.body)["links"]["command"] == answer.headers["location"]
    again = caller.send("DELETE", "reservations/AMS-1", key="a-key")
    assert (again.status, again.body) == (202, answer.body)
    pending = caller.get(place)
    assert pending.headers["retry-after"] == "1"
    assert json.loads(pending.body)["result"] is None

    Command.objects.update(next_attempt_at="2026-01-01T00:00:00Z")
    claimed = ledger.claim()
    assert claimed is not None
    drain.go_on(claimed)
    followed = json.loads(caller.get(place).body)
    assert (followed["state"], followed["result"]) == ("acknowledged", {"reservation": "AMS-1"})
    done = caller.send("DELETE", "reservations/AMS-1", key="a-key")
    assert (done.status, json.loads(done.body)) == (200, {"reservation": "AMS-1"})
    assert set(Desk.wrote.values()) == {1}


def test_a_command_is_shown_to_its_caller_and_to_holders_of_the_scope(caller: Caller) -> None:
    reference = caller.reserve().headers["headwater-command"]
    shown = json.loads(caller.get(f"commands/{reference}").body)
    assert (shown["operation"], shown["state"], shown["status"]) == (
        "stock.reserve", "acknowledged", 201,
    )  # fmt: skip
    assert [(s["name"], s["kind"], s["state"]) for s in shown["steps"]] == [
        ("known", "check", "done"), ("reserve", "write", "done"),
    ]  # fmt: skip
    assert shown["steps"][1]["system"] == "desk"
    assert shown["links"]["self"] == f"/api/v1/commands/{reference}"
    assert Caller("commands").get(f"commands/{reference}").status == 200
    refusal(Caller().get(f"commands/{reference}"), 404, "not_found")
    refusal(caller.get("commands/cmd_nothing"), 404, "not_found")


def test_a_refused_command_says_why_and_says_the_same_again(caller: Caller) -> None:
    first = caller.reserve("a-key", sku="nothing")
    problem = refusal(first, 422, "sku_unknown")
    assert problem["command"] == first.headers["headwater-command"]
    assert problem["errors"] == [{"parameter": "sku", "detail": problem["detail"]}]
    again = caller.reserve("a-key", sku="nothing")
    assert again.body == first.body
    assert not Desk.sent
    shown = json.loads(caller.get(f"commands/{problem['command']}").body)
    assert (shown["state"], shown["problem"]) == ("refused", problem)


def test_who_may_not_write_writes_nothing() -> None:
    for scopes in (("read:*", "trace:*", "commands"), ("write:payment", "write:customer")):
        problem = refusal(Caller(*scopes).reserve(), 403, "forbidden")
        assert "write:stock" in problem["detail"]
    assert Caller("write:stock").reserve().status == 201
    nobody = Caller("write:*")
    nobody.key = "hw_nothing"
    refusal(nobody.reserve(), 401, "unauthorized")
    limited = Caller("write:*", per_minute=1)
    assert limited.reserve().status == 201
    assert "retry-after" in limited.reserve().headers
    refusal(limited.reserve(), 429, "rate_limited")
    assert len(Desk.sent) == 2


WRONG: dict[str, tuple[bytes, int, str, str]] = {
    # what is wrong: body, status, code, member that is named
    "no JSON": (b"{", 400, "bad_input", "body"),
    "no UTF-8": (b'{"sku": "\xff"}', 400, "bad_input", "body"),
    "no body": (b"", 400, "bad_input", "sku"),
    "no object": (b"[]", 400, "bad_input", "body"),
    "NaN": (b'{"sku": "P-1-01", "quantity": NaN}', 400, "bad_input", "body"),
    "beyond all numbers": (b'{"sku": "P-1-01", "quantity": 1e999}', 400, "bad_input", "body"),
    "a name twice": (b'{"sku": "A", "quantity": 1, "quantity": 2}', 400, "bad_input", "body"),
    "NUL": (b'{"sku": "\\u0000", "quantity": 1}', 400, "bad_input", "body"),
    "half a character": (b'{"sku": "\\ud800", "quantity": 1}', 400, "bad_input", "body"),
    "deep": (b"[" * 60_000, 400, "bad_input", "body"),
    "a member that is none": (
        b'{"sku": "P-1-01", "quantity": 1, "colour": 1}', 400, "bad_input", "colour",
    ),
    "a member that is missing": (b'{"sku": "P-1-01"}', 400, "bad_input", "quantity"),
    "a number as text": (b'{"sku": "P-1-01", "quantity": "2"}', 400, "bad_input", "quantity"),
    "a half": (b'{"sku": "P-1-01", "quantity": 1.5}', 400, "bad_input", "quantity"),
    "none": (b'{"sku": "P-1-01", "quantity": 0}', 400, "bad_input", "quantity"),
    "70 KB": (b'{"sku": "' + b"x" * 70_000 + b'"}', 413, "too_large", "body"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_bodies_are_refused_by_member_and_leave_nothing(caller: Caller, name: str) -> None:
    body, status, code, member = WRONG[name]
    problem = refusal(caller.send("POST", "reservations", body), status, code)
    assert member in [error["parameter"] for error in problem["errors"]]
    assert not Desk.sent
    assert not Command.objects.exists()


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency_key_missing"), ("  ", "idempotency_key_missing"),
        ('""', "idempotency_key_invalid"), ('"a', "idempotency_key_invalid"),
        ("a b", "idempotency_key_invalid"), ("a,b", "idempotency_key_invalid"),
        ('"a", "b"', "idempotency_key_invalid"), ("ä", "idempotency_key_invalid"),
        ("k" * 256, "idempotency_key_invalid"),
    ],
)  # fmt: skip
def test_wrong_keys_are_refused(caller: Caller, key: str | None, code: str) -> None:
    answer = caller.send("POST", "reservations", RESERVE, key)
    assert "Idempotency-Key" in refusal(answer, 400, code)["detail"] or code.endswith("invalid")
    assert not Command.objects.exists()


def test_other_wrong_requests(caller: Caller) -> None:
    text = {"Content-Type": "text/plain"}
    answer = caller.send("POST", "reservations", RESERVE, headers=text)
    refusal(answer, 415, "unsupported_media_type")
    refusal(caller.send("POST", "reservations?now=1", RESERVE), 400, "bad_input")
    refusal(caller.send("PUT", "reservations", RESERVE), 405, "method_not_allowed")
    both = {"amount": "1.00", "currency": "EUR", "payment": "pi_1"}
    problem = refusal(caller.send("POST", "payments/pi_1/capture", both), 400, "bad_input")
    assert problem["errors"][0]["parameter"] == "payment"
    tagged = caller.send("POST", "reservations", RESERVE, headers={"If-Match": '"x"'})
    refusal(tagged, 412, "precondition_failed")
    assert not Desk.sent


def test_an_outage_is_told_at_once_where_nobody_can_wait(caller: Caller) -> None:
    row = Connection.objects.get(slug="desk")
    Breaker.objects.create(connection=row, state="open", reason="a person opened it")
    problem = refusal(caller.reserve(), 503, "upstream.circuit_open")
    assert "desk" in problem["detail"]
    assert not Desk.sent
