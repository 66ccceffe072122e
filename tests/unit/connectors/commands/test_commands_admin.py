"""The admin's pages of commands: the list, one with its trace, and what a person can do."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from connectors.commands import carry_out, drain, ledger
from connectors.commands.declare import Check, Refused, Undo
from connectors.models import Command
from observability.errors import CircuitOpenError, RetryableError
from tests.writing import Fault, WritingConnector, asked, done, operation, put, writing

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:connectors_command_changelist"


@pytest.fixture(autouse=True)
def row() -> None:
    writing()


def person(*permissions: str) -> Client:
    user = User.objects.create_user("ann", password="p", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def operator() -> Client:
    return person("view_command", "change_command", "view_inboxevent", "view_connection")


def page_of(client: Client, command: Command) -> str:
    address = reverse("admin:connectors_command_change", args=[command.pk])
    return client.get(address).content.decode()


def give_up(client: Client, command: Command, reason: str) -> None:
    address = reverse("admin:connectors_command_give_up", args=[command.pk])
    client.post(address, {"reason": reason})
    command.refresh_from_db()


def waiting() -> Command:
    """A command whose first write is done, and whose second waits for its upstream."""
    drop = Undo("stock.drop", lambda work: {"place": work.results["first"]["key"]})
    error = CircuitOpenError("writing is down", connection="writing", retry_after=600)
    WritingConnector.upstream.fail("stock.more", *[Fault(before=error) for _ in range(5)])
    made = operation(put("first", undo=drop), put("more", "stock.more", after=("first",)))
    command = done(made)
    assert (command.state, command.answered) == ("sent", False)
    return command


def test_the_list_shows_state_caller_and_trouble_and_is_filtered() -> None:
    client, command = operator(), waiting()
    carry_out(asked(operation(Check("look", lambda _: 1), slug="stock.look"), "key-2").command)
    shown = client.get(reverse(LIST)).content.decode()
    assert command.reference in shown
    assert "waits for An upstream in this process" in shown
    found = client.get(reverse(LIST), {"end": "waiting"}).content.decode()
    assert "stock.arrange" in found
    for query in ({"q": "corr-key-2"}, {"q": "key-2"}, {"operation": "stock.look"}):
        only = client.get(reverse(LIST), query).content.decode()
        assert command.reference not in only, query
        assert Command.objects.get(idempotency_key="key-2").reference in only, query
    assert command.reference in client.get(reverse(LIST), {"caller": "key:1"}).content.decode()


def test_the_page_is_a_trace_with_links() -> None:
    client = operator()
    command = done(operation(put("first")))
    claimed = ledger.claim()
    assert claimed is not None
    drain.go_on(claimed)
    shown = page_of(client, command)
    for told in (
        "stock.set",
        "AMS/A",
        "event #",
        "confirmed",
        "/corr-key-1",
        f"{command.reference}",
    ):
        assert told in shown, told
    assert "Give up" not in shown


def test_support_reads_and_decides_nothing() -> None:
    command = waiting()
    client = person("view_command")
    assert "Give up" not in page_of(client, command)
    address = reverse("admin:connectors_command_give_up", args=[command.pk])
    assert client.post(address, {"reason": "x"}).status_code == 403
    client.post(reverse(LIST), {"one": f"try_now:{command.pk}"})
    assert ledger.claim() is None


def test_try_again_now_has_the_drain_take_it_up() -> None:
    client, command = operator(), waiting()
    WritingConnector.upstream.faults.clear()
    assert ledger.claim() is None
    client.post(reverse(LIST), {"one": f"try_now:{command.pk}"})
    claimed = ledger.claim()
    assert claimed is not None
    assert drain.go_on(claimed).state == "acknowledged"


def test_giving_up_takes_back_what_was_done_and_keeps_the_reason() -> None:
    client, command = operator(), waiting()
    give_up(client, command, "")
    assert command.given_up_by == ""
    give_up(client, command, "the customer called")
    claimed = ledger.claim()
    assert claimed is not None
    command = drain.go_on(claimed)
    assert (command.state, command.status) == ("failed", 503)
    assert command.problem is not None
    assert command.problem["code"] == "command.given_up"
    assert WritingConnector.upstream.held == {}
    assert "Given up by ann: the customer called" in page_of(client, command)


def test_giving_up_while_it_is_taken_back_leaves_the_rest_as_it_is() -> None:
    def refuse(_: object) -> None:
        raise Refused("late", "too late")

    drop = Undo("stock.drop", lambda work: {"place": work.results["first"]["key"]})
    error = RetryableError("no answer in time", connection="writing")
    WritingConnector.upstream.fail("stock.drop", Fault(after=error))
    WritingConnector.upstream.find_fails = error
    made = operation(put("first", undo=drop), Check("look", refuse, after=("first",)))
    client, command = operator(), done(made)
    give_up(client, command, "seen to by hand")
    assert (command.state, command.problem and command.problem["code"]) == ("failed", "late")
    undo = command.steps.get(name="first.undo")
    assert (undo.state, "not known" in undo.error) == ("failed", True)
    assert ledger.claim() is None


def test_what_somebody_works_on_is_not_given_up() -> None:
    client = operator()
    command = asked(operation(put("first"))).command
    give_up(client, command, "no")
    assert command.given_up_by == ""
    assert carry_out(command).state == "acknowledged"
