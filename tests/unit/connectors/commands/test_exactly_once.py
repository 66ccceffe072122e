"""Whoever dies, and whatever does not answer: each write is done once, and each command ends."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import requests
from django.db.models import F
from django.db.models.functions import Now

from connectors.commands import Kind, accept, carry_out, doors, drain, ledger, sending
from connectors.commands.declare import Check, Operation, Refused, Undo
from connectors.inbox import events
from connectors.models import Breaker, Command, CommandStep, Connection, InboxEvent
from connectors.outbox.echoes import of_our_own
from observability.errors import CircuitOpenError, RetryableError
from tests.writing import (
    Fault,
    Upstream,
    WritingConnector,
    asked,
    done,
    operation,
    put,
    writing,
)

pytestmark = pytest.mark.django_db(transaction=True)

TIMED_OUT = RetryableError("no answer in time", connection="writing")


class Killed(BaseException):
    """The process dies here."""


@pytest.fixture(autouse=True)
def row() -> Connection:
    return writing()


def upstream() -> Upstream:
    return WritingConnector.upstream


def refused() -> RetryableError:
    """A connection that was never made."""
    error = RetryableError("connection refused", connection="writing")
    error.__cause__ = requests.ConnectionError(ConnectionRefusedError(111, "refused"))
    return error


def go_on() -> Command:
    """What the drain does when the lease is over, and the time has come."""
    Command.objects.filter(lease_until__isnull=False).update(lease_until=Now() - timedelta(hours=1))
    ledger.release_expired()
    Command.objects.update(next_attempt_at=Now())
    claimed = ledger.claim()
    assert claimed is not None
    return drain.go_on(claimed)


def settle() -> None:
    """The time passes in which an upstream may still do what it was asked."""
    CommandStep.objects.update(sent_at=F("sent_at") - timedelta(minutes=5))


def sent(made: Operation) -> list[int]:
    """How often each of its writes did something."""
    return [
        upstream().made[f"{Command.objects.get().reference}.{step.name}"] for step in made.steps
    ]


def test_the_same_request_is_the_same_command() -> None:
    made = operation(put("first"))
    first = asked(made, quantity=1)
    assert first.kind is Kind.NEW
    assert asked(made, quantity=1).kind is Kind.IN_FLIGHT
    assert asked(made, quantity=2).kind is Kind.OTHER_BODY
    assert asked(made, caller="key:2", quantity=2).kind is Kind.NEW
    answered = carry_out(first.command)
    again = asked(made, quantity=1)
    assert again.kind is Kind.ANSWERED
    assert (again.command.result, again.command.status) == (answered.result, 201)
    assert Command.objects.get(pk=answered.pk).repeats == 3


def test_a_key_of_another_operation_is_another_body() -> None:
    asked(operation(put("first"), slug="stock.one"))
    assert asked(operation(put("first"), slug="stock.two")).kind is Kind.OTHER_BODY


def test_of_many_at_once_one_gets_the_command() -> None:
    made, kinds, ready = operation(put("first")), [], threading.Barrier(8)

    def ask() -> None:
        from django.db import connection

        ready.wait()
        kinds.append(asked(made).kind)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kind.value for kind in kinds) == ["in_flight"] * 7 + ["new"]


def test_text_that_cannot_be_kept_is_refused() -> None:
    made = operation(put("first"))
    for text in ("a\x00b", "a\ud800b"):
        with pytest.raises(Refused, match="NUL"):
            accept(made, {"sku": text}, "key:1", "key-1", "")
    assert accept(made, {"sku": "a\\u0000b"}, "key:1", "key-1", "").kind is Kind.NEW


@pytest.mark.parametrize("step", ["first", "second"])
@pytest.mark.parametrize("arrived", [False, True])
def test_a_process_that_dies_while_it_sends_is_followed(
    monkeypatch: pytest.MonkeyPatch, step: str, *, arrived: bool
) -> None:
    """Killed before the upstream has it, or when it has it and we do not know."""
    made = operation(put("first"), put("second", suffix="2", after=("first",)))
    push = WritingConnector.push

    def die(self: WritingConnector, stream: object, given: object) -> str:
        here = str(getattr(given, "idempotency_key", "")).endswith(step)
        if here and not arrived:
            raise Killed
        key = push(self, stream, given)  # type: ignore[arg-type]
        if here:
            raise Killed
        return key

    monkeypatch.setattr(WritingConnector, "push", die)
    with pytest.raises(Killed):
        done(made)
    monkeypatch.setattr(WritingConnector, "push", push)
    assert CommandStep.objects.get(name=step).state == "running"
    assert asked(made).kind is Kind.IN_FLIGHT
    settle()
    command = go_on()
    assert command.state == "acknowledged"
    assert sent(made) == [1, 1]
    assert go_on().state == "confirmed"
    assert asked(made).kind is Kind.ANSWERED


def test_a_process_that_dies_with_the_answer_in_hand_is_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = operation(put("first"))

    def die(_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("connectors.commands.progress.Progress.acknowledging", die)
        with pytest.raises(Killed):
            done(made)
    assert go_on().state == "acknowledged"
    assert sent(made) == [1]


def test_a_lost_answer_is_found_before_anything_is_sent_again() -> None:
    upstream().fail("stock.set", Fault(after=TIMED_OUT))
    made = operation(put("first"))
    command = done(made)
    assert command.state == "acknowledged"
    assert sent(made) == [1]
    assert [what for what, _ in upstream().calls] == ["stock.set", "find"]


def test_what_did_not_arrive_is_sent_again_only_when_that_is_certain() -> None:
    """A request that nobody waits for any more may still be worked on."""
    upstream().fail("stock.set", Fault(before=TIMED_OUT))
    made = operation(put("first"))
    command = done(made)
    assert (command.state, command.answered) == ("sent", False)
    assert command.deferred_at is not None
    assert go_on().state == "sent"
    assert [what for what, _ in upstream().calls] == ["stock.set", "find", "find"]
    settle()
    assert go_on().state == "acknowledged"
    assert sent(made) == [1]
    assert CommandStep.objects.get().attempts == 2


def test_a_late_arrival_is_found() -> None:
    """The upstream does it after our time-out."""
    upstream().fail("stock.set", Fault(before=TIMED_OUT))
    made = operation(put("first"))
    command = done(made)
    upstream().keys[f"{command.reference}.first"] = "AMS/A"
    upstream().made[f"{command.reference}.first"] += 1
    assert go_on().state == "acknowledged"
    assert sent(made) == [1]


def test_a_process_that_stood_still_says_again_that_it_sends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its command may have become another's meanwhile: then it sends nothing."""
    made = operation(put("first"))
    command = asked(made).command
    send = sending.send

    def late(progress: object, row: CommandStep, committed: float | None) -> object:
        Command.objects.update(token=99)
        assert committed is not None
        return send(progress, row, committed - 10)  # type: ignore[arg-type]

    monkeypatch.setattr(sending, "send", late)
    assert carry_out(command).token == 99
    assert sent(made) == [0]


def test_who_cannot_be_reached_is_tried_again_within_the_request() -> None:
    upstream().fail("stock.set", Fault(before=refused()))
    made = operation(put("first"))
    assert done(made).state == "acknowledged"
    assert [what for what, _ in upstream().calls] == ["stock.set", "stock.set"]


def test_after_its_last_try_a_write_has_failed_and_the_rest_is_taken_back() -> None:
    drop = Undo("stock.drop", lambda work: {"place": work.results["first"]["key"]})
    made = operation(put("first", undo=drop), put("more", "stock.more", after=("first",)))
    upstream().fail("stock.more", *[Fault(before=refused()) for _ in range(20)])
    command = done(made)
    for _ in range(20):
        if command.answered:
            break
        command = go_on()
    assert (command.state, command.status) == ("failed", 503)
    assert command.problem == {
        "code": "upstream.retryable",
        "detail": "writing: connection refused",
    }
    assert CommandStep.objects.get(name="more").attempts == 9
    assert upstream().held == {}


def test_an_unknown_write_beside_a_refusal_is_found_out_before_it_is_over() -> None:
    def refuse(_: object) -> None:
        raise Refused("late", "too late")

    drop = Undo("stock.drop", lambda work: {"place": work.results["first"]["key"]})
    upstream().fail("stock.set", Fault(after=TIMED_OUT))
    upstream().find_fails = TIMED_OUT
    made = operation(put("first", undo=drop), Check("look", refuse))
    command = done(made)
    # The caller's answer is fixed, though something is left to do.
    assert (command.state, command.status) == ("sent", 422)
    assert asked(made).kind is Kind.ANSWERED
    upstream().find_fails = None
    assert go_on().state == "refused"
    assert upstream().held == {}
    assert set(upstream().made.values()) == {1}


def test_an_unknown_undo_is_found_out_too() -> None:
    def refuse(_: object) -> None:
        raise Refused("late", "too late")

    drop = Undo("stock.drop", lambda work: {"place": work.results["first"]["key"]})
    upstream().fail("stock.drop", Fault(after=TIMED_OUT))
    upstream().find_fails = TIMED_OUT
    made = operation(put("first", undo=drop), Check("look", refuse, after=("first",)))
    assert done(made).state == "sent"
    upstream().find_fails = None
    assert go_on().state == "refused"
    assert set(upstream().made.values()) == {1}


def opened(row: Connection) -> None:
    Breaker.objects.create(
        connection=row,
        state="open",
        reason="no answer in time",
        down_since=Now(),
        retry_at=Now() + timedelta(minutes=1),
    )


def test_behind_an_open_breaker_a_command_waits_and_is_done_once_it_closes(row: Connection) -> None:
    opened(row)
    made = operation(Check("look", lambda _: 1), put("first"))
    command = done(made)
    assert (command.state, command.answered) == ("accepted", False)
    assert command.waits_for_id == row.pk
    assert asked(made).kind is Kind.DEFERRED
    assert ledger.claim() is None
    assert upstream().calls == []
    row.circuit_breaker.close_by("ann")
    claimed = ledger.claim()
    assert claimed is not None
    assert drain.go_on(claimed).state == "acknowledged"
    assert sent(made)[1] == 1


def test_or_it_is_refused_before_anything_runs(row: Connection) -> None:
    opened(row)
    ran: list[int] = []
    made = operation(Check("look", lambda _: ran.append(1)), put("first"), while_open="refuse")
    command = done(made)
    assert (command.state, command.status) == ("refused", 503)
    assert command.problem is not None
    assert command.problem["code"] == CircuitOpenError.code
    assert command.problem["retry_after"] > 0
    assert ran == []
    assert upstream().calls == []


def test_a_connection_that_is_switched_off_is_waited_for(row: Connection) -> None:
    upstream().fail("stock.set", Fault(after=TIMED_OUT))
    upstream().find_fails = TIMED_OUT
    made = operation(put("first"))
    assert done(made).state == "sent"
    Connection.objects.filter(pk=row.pk).update(enabled=False)
    doors.forget()
    upstream().find_fails = None
    command = go_on()
    assert (command.state, command.error_code) == ("sent", "configuration")
    Connection.objects.filter(pk=row.pk).update(enabled=True)
    doors.forget()
    assert go_on().state == "acknowledged"
    assert sent(made) == [1]


def test_checks_are_looked_at_again_until_something_was_sent() -> None:
    looks: list[int] = []

    def look(_: object) -> int:
        looks.append(1)
        return len(looks)

    upstream().fail("stock.set", Fault(before=CircuitOpenError("down", retry_after=60)))
    made = operation(Check("look", look), put("first", after=("look",)))
    command = done(made)
    assert command.sent_at is not None
    assert go_on().state == "acknowledged"
    assert looks == [1]


def test_a_command_that_kills_its_process_is_tried_less_and_less() -> None:
    asked(operation(put("first")))
    for _ in range(2):
        Command.objects.update(lease_until=Now() - timedelta(hours=1))
        assert ledger.release_expired() == 1
        claimed = ledger.claim()
        if claimed is None:
            break
    waits = Command.objects.annotate(wait=F("next_attempt_at") - Now()).get()
    assert waits.error_code == "abandoned"
    assert waits.wait > timedelta(seconds=1)


def test_the_echo_of_a_step_is_known_once_it_will_be_read_back(row: Connection) -> None:
    command = done(operation(put("first")))
    key = f"{command.reference}.first"
    assert of_our_own([key], [row.pk]) == {key}
    Command.objects.update(state="sent")
    # It may be taken back yet, and is not read back then.
    assert of_our_own([key], [row.pk]) == set()
    Command.objects.update(state="acknowledged")
    assert go_on().state == "confirmed"
    assert of_our_own([key, "another"], [row.pk]) == {key}


def test_echoes_end_without_a_claim_once_their_step_will_be_read_back(row: Connection) -> None:
    command = done(operation(put("first")))

    def heard(name: str, origin: str, age: float = 0.0) -> InboxEvent:
        due = Now() - timedelta(seconds=age)
        return InboxEvent.objects.create(
            connection=row, event_id=name, stream="stock", record_key="A", key_only=True,
            body=b"{}", origin=origin, next_attempt_at=due,
        )  # fmt: skip

    echo = heard("echo", f"{command.reference}.first")
    left = [
        heard("of nobody", f"{command.reference}.second"), heard("of another", ""),
        # Whoever claims what waits for long finds out: nobody looks through all of it each second.
        heard("old", f"{command.reference}.first", age=60.0),
    ]  # fmt: skip
    Command.objects.update(state="sent")
    assert events.dismiss_echoes() == 0, "it may be taken back yet"
    Command.objects.update(state="acknowledged")
    assert events.dismiss_echoes() == 1
    echo.refresh_from_db()
    assert (echo.state, echo.note, echo.attempts) == ("superseded", events.ECHO, 0)
    assert echo.finished_at is not None
    waiting = InboxEvent.objects.filter(state="received")
    assert {one.pk for one in waiting} == {one.pk for one in left}


def test_what_cannot_be_read_back_is_asked_for_again() -> None:
    done(operation(put("first")))
    upstream().record_fails = TIMED_OUT
    command = go_on()
    assert (command.state, command.error_code) == ("acknowledged", "upstream.retryable")
    upstream().record_fails = None
    command = go_on()
    assert (command.state, command.error_code) == ("confirmed", "")


def test_the_deadline_hands_the_rest_to_the_drain() -> None:
    upstream().seconds = 0.7
    made = operation(
        put("first"), put("second", suffix="2", after=("first",)), deadline_seconds=1.0
    )
    command = done(made)
    assert (command.state, command.answered) == ("sent", False)
    assert asked(made).kind is Kind.DEFERRED
    assert go_on().state == "acknowledged"
    assert sent(made) == [1, 1]


def test_params_that_the_operation_takes_no_more_are_a_definite_failure() -> None:
    made = operation(Check("look", lambda work: work.params.sku))
    command = asked(made).command
    command.params = {"sku": {"not": "text"}}
    command = carry_out(command)
    assert (command.state, command.status) == ("failed", 500)
