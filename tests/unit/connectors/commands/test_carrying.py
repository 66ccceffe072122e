"""A command goes forward, side by side where it can, and is taken back when a step refuses."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from catalog.entities import Stock
from connectors.commands import carry_out, drain, ledger
from connectors.commands.declare import Check, Decide, Refused, Undo
from connectors.models import Command, CommandStep, Connection, InboxEvent
from observability import retention
from observability.errors import PermanentError, RefusedByUpstreamError
from tests.telling import work
from tests.writing import Fault, Upstream, WritingConnector, asked, done, operation, put, writing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def row() -> Connection:
    return writing()


def upstream() -> Upstream:
    return WritingConnector.upstream


def steps(command: Command) -> dict[str, str]:
    return dict(command.steps.values_list("name", "state"))


def drop(name: str) -> Undo:
    return Undo("stock.drop", lambda work: {"place": work.results[name]["key"]})


def test_a_chain_of_steps_ends_acknowledged_and_is_read_back_by_the_drain() -> None:
    made = operation(
        Check("look", lambda work: work.ask("stock.level", sku=work.params.sku)),
        put("first", after=("look",)),
        put("second", suffix="2", after=("first",)),
    )
    command = done(made, sku="A", quantity=7)
    assert (command.state, command.status) == ("acknowledged", 201)
    assert command.result == {
        "reference": command.reference,
        "steps": {
            "look": {"available": "0"},
            "first": {"key": "AMS/A", "system": "writing"},
            "second": {"key": "AMS/A2", "system": "writing"},
        },
    }
    assert steps(command) == {"look": "done", "first": "done", "second": "done"}
    assert upstream().made == {f"{command.reference}.first": 1, f"{command.reference}.second": 1}

    claimed = ledger.claim()
    assert claimed is not None
    command = drain.go_on(claimed)
    assert command.state == "confirmed"
    assert None not in (command.sent_at, command.acknowledged_at, command.confirmed_at)
    work()
    assert Stock.objects.get(key="A/AMS").available == 7
    event = InboxEvent.objects.filter(record_key="AMS/A").get()
    assert (event.kind, event.correlation_id) == ("command.read_back", "corr-key-1")
    assert ledger.claim() is None


def test_steps_that_do_not_wait_for_each_other_run_at_once() -> None:
    upstream().seconds = 0.2
    made = operation(put("one", suffix="1"), put("two", suffix="2"), put("three", suffix="3"))
    command = done(made)
    rows = list(command.steps.all())
    assert max(r.started_at for r in rows) < min(r.finished_at for r in rows if r.finished_at)
    assert command.state == "acknowledged"


def test_a_refusal_takes_back_what_was_done_the_last_first() -> None:
    def refuse(_: object) -> None:
        raise Refused("price_changed", "it is 12 by now", current="12.00", status=409)

    made = operation(
        put("first", undo=drop("first")),
        put("second", suffix="2", after=("first",), undo=drop("second")),
        Check("price", refuse, after=("second",)),
        put("never", suffix="3", after=("price",)),
    )
    command = done(made)
    assert (command.state, command.status) == ("refused", 409)
    assert command.problem == {
        "code": "price_changed", "detail": "it is 12 by now", "current": "12.00",
    }  # fmt: skip
    assert steps(command) == {
        "first": "undone", "second": "undone", "price": "refused",
        "first.undo": "done", "second.undo": "done",
    }  # fmt: skip
    drops = [name for what, name in upstream().calls if what == "stock.drop"]
    assert drops == ["AMS/A2", "AMS/A"]
    assert set(upstream().made.values()) == {1}
    assert upstream().held == {}
    assert ledger.claim() is None


def test_an_upstreams_refusal_is_the_callers_answer() -> None:
    upstream().fail("stock.more", Fault(RefusedByUpstreamError("too many", reason="no_stock")))
    made = operation(put("first", undo=drop("first")), put("more", "stock.more", after=("first",)))
    command = done(made)
    assert (command.state, command.status) == ("refused", 422)
    assert command.problem == {"code": "no_stock", "detail": "too many"}


def test_what_cannot_be_taken_back_makes_it_failed() -> None:
    upstream().fail("stock.more", Fault(PermanentError("no such field", connection="writing")))
    command = done(operation(put("first"), put("more", "stock.more", after=("first",))))
    assert (command.state, command.status) == ("failed", 502)
    assert steps(command) == {"first": "done", "more": "failed"}
    assert command.problem == {"code": "upstream.permanent", "detail": "no such field"}


def test_an_undo_that_is_refused_leaves_it_failed_and_says_so() -> None:
    upstream().fail("stock.drop", Fault(RefusedByUpstreamError("shipped", reason="shipped")))
    upstream().fail("stock.more", Fault(RefusedByUpstreamError("too many", reason="no_stock")))
    made = operation(put("first", undo=drop("first")), put("more", "stock.more", after=("first",)))
    command = done(made)
    assert (command.state, command.problem and command.problem["code"]) == ("failed", "no_stock")
    assert steps(command) == {"first": "done", "more": "refused", "first.undo": "failed"}


def test_a_step_is_skipped_when_it_is_not_wanted() -> None:
    made = operation(
        put("first", when=lambda work: work.params.quantity > 5),
        put("second", suffix="2", after=("first",)),
    )
    command = done(made, quantity=2)
    assert steps(command) == {"first": "skipped", "second": "done"}
    assert command.result is not None
    assert command.result["steps"]["first"] is None


def test_a_decision_commits_with_its_step_and_the_answer() -> None:
    def decide(_: object) -> str:
        Group.objects.create(name="decided")
        return "won"

    command = done(operation(put("first"), Decide("decide", decide, after=("first",))))
    assert command.state == "acknowledged"
    assert Group.objects.filter(name="decided").count() == 1


def test_a_decision_whose_lease_was_lost_is_not_taken() -> None:
    def decide(_: object) -> None:
        Group.objects.create(name="decided")

    made = operation(Decide("decide", decide))
    command = asked(made).command
    Command.objects.update(token=99)
    assert carry_out(command).state == "accepted"
    assert not Group.objects.filter(name="decided").exists()


def test_a_decision_is_taken_back_in_a_transaction() -> None:
    def decide(_: object) -> None:
        Group.objects.create(name="decided")

    def take_back(_: object) -> None:
        Group.objects.filter(name="decided").delete()

    upstream().fail("stock.set", Fault(RefusedByUpstreamError("no", reason="no_stock")))
    made = operation(Decide("decide", decide, undo=take_back), put("after", after=("decide",)))
    command = done(made)
    assert (command.state, steps(command)["decide"]) == ("refused", "undone")
    assert not Group.objects.filter(name="decided").exists()


def test_a_defect_of_a_step_is_definite_and_names_no_detail() -> None:
    made = operation(put("first", undo=drop("first")), Check("broken", lambda _: 1 / 0, ("first",)))
    command = done(made)
    assert (command.state, command.status) == ("failed", 500)
    assert command.problem is not None
    assert command.problem["code"] == "internal"
    assert "division" not in command.problem["detail"]
    assert "division" in CommandStep.objects.get(name="broken").error
    assert upstream().held == {}


def test_an_operation_whose_answer_cannot_be_made_is_taken_back() -> None:
    made = operation(
        put("first", undo=drop("first")), result=lambda work: {"x": work.results["no such step"]}
    )
    command = done(made)
    assert (command.state, command.status) == ("failed", 500)
    assert upstream().held == {}


def test_what_an_upstream_says_is_kept_without_what_cannot_be() -> None:
    said = "bad \x00 text " + "x" * 5000
    upstream().fail("stock.set", Fault(PermanentError(said, connection="writing")))
    command = done(operation(put("first")))
    assert command.state == "failed"
    kept = CommandStep.objects.get().error
    assert (kept[:9], len(kept)) == ("bad  text", 2000)


def test_nothing_is_carried_out_inside_a_transaction() -> None:
    command = asked(operation(put("first"))).command
    with transaction.atomic(), pytest.raises(RuntimeError, match="no transaction"):
        carry_out(command)


def test_commands_are_pruned_after_their_time() -> None:
    old = done(operation(Check("look", lambda _: 1)), key="old")
    new = done(operation(Check("look", lambda _: 1)), key="new")
    Command.objects.filter(pk=old.pk).update(finished_at="2026-01-01T00:00Z")
    assert retention.prune() == 1
    assert list(Command.objects.all()) == [new]
