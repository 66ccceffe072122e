"""Dead letters in the admin and on the command line: who may, what is refused, what is said."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from connectors.inbox.letters import INBOX
from connectors.models import InboxEvent
from connectors.replay.chosen import Chosen
from tests.telling import TellingConnector, deliver, level, outcome, tell, telling, work

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:connectors_inboxevent_changelist"
REPLAY = "admin:connectors_inboxevent_replay"


@pytest.fixture(autouse=True)
def letters() -> None:
    """Three dead letters of a mapping that is mended now, and a delivery that nobody can read."""
    row = telling()
    TellingConnector.mapping_broken = True
    for number in range(3):
        tell(row, f"e{number}", f"A{number}", level(f"A{number}", number, 1))
    work()
    TellingConnector.mapping_broken = False
    deliver(row, b"<script>alert(1)</script>")


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    return client


@pytest.fixture
def support(client: Client) -> Client:
    user = User.objects.create_user("sam", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_inboxevent"))
    client.force_login(user)
    return client


def read(client: Client, address: str, **words: str) -> str:
    answer = client.get(address, words)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def said(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def page(row: InboxEvent) -> str:
    return reverse("admin:connectors_inboxevent_change", args=[row.pk])


def test_what_was_dead_at_the_dry_run_is_replayed_and_no_more(operator: Client) -> None:
    dry = operator.get(reverse(REPLAY), {"connection": "telling", "code": "contract", "q": "AMS/"})
    assert dry.context["count"] == 3
    words = dry.context["words"]
    InboxEvent.objects.filter(event_id="e2").update(finished_at="2100-01-01T00:00Z")
    answer = operator.post(reverse(REPLAY), words, follow=True)
    assert "2 dead letters are in the inbox again." in said(answer)
    assert [outcome(f"e{n}").state for n in range(3)] == ["received", "received", "dead"]
    assert outcome("e0").replayed_by == "ola"
    again = operator.post(reverse(REPLAY), words, follow=True)
    assert "Nothing was replayed" in said(again)


@pytest.mark.parametrize("words", [{}, {"code": ""}, {"seen": "2100-01-01"}, {"unknown": "x"}])
def test_an_empty_filter_is_refused(operator: Client, words: dict[str, str]) -> None:
    for ask in (operator.get, operator.post):
        assert "empty filter" in said(ask(reverse(REPLAY), words, follow=True))
    assert INBOX.dead(Chosen()).count() == 4
    assert "Replay all" not in read(operator, reverse(LIST))


def test_the_whole_list_ticked_without_a_filter_is_refused(operator: Client) -> None:
    ticked = {
        "action": "replay_selected",
        "select_across": "1",
        "_selected_action": [str(outcome("e0").pk)],
    }
    assert "empty filter" in said(operator.post(reverse(LIST), ticked, follow=True))
    filtered = operator.post(f"{reverse(LIST)}?stream=stock", ticked, follow=True)
    assert filtered.context["count"] == 3


def test_support_sees_all_and_replays_nothing(support: Client) -> None:
    assert "no unit of measure" in read(support, reverse(LIST))
    shown = read(support, page(outcome("e1")))
    assert "no unit of measure" in shown
    assert "Replay…" not in shown
    dry = read(support, reverse(REPLAY), stream="stock")
    assert "available" in dry
    assert "an operator may replay" in dry
    assert support.post(reverse(REPLAY), {"stream": "stock"}).status_code == 403
    assert INBOX.dead(Chosen()).count() == 4


def test_who_may_not_see_the_inbox_sees_no_dry_run(client: Client) -> None:
    client.force_login(User.objects.create_user("eva", password="x", is_staff=True))
    assert client.get(reverse(REPLAY), {"stream": "stock"}).status_code == 403
    assert "dead letters" not in read(client, reverse("admin:index"))


def test_a_payload_is_shown_and_never_run(operator: Client) -> None:
    row = InboxEvent.objects.get(stream="")
    shown = read(operator, page(row))
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script>alert(1)" not in shown
    assert "a delivery that could not be read" in read(operator, reverse(LIST))


@pytest.mark.parametrize(
    "view", ["dead", "replayed", "waiting", "applied", "superseded", "any", "x"]
)
def test_every_view_opens(operator: Client, view: str) -> None:
    read(operator, reverse(LIST), view=view, stream="stock", since="2020-01-01T00:00")


def test_an_unclear_filter_is_said_and_shows_nothing(operator: Client) -> None:
    answer = operator.get(reverse(LIST), {"since": "yesterday"})
    assert "is no time" in said(answer)
    assert answer.context["cl"].result_count == 0


def test_the_overview_leads_to_dead_letters(operator: Client) -> None:
    shown = read(operator, reverse("admin:index"))
    assert "telling.stock: dead letters" in shown
    assert f"{reverse(LIST)}?connection=telling&amp;stream=stock" in shown


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_the_commands_list_rehearse_and_replay() -> None:
    listed = run("dead_letters", "--stream", "stock")
    assert "3 dead letters" in listed
    cause = INBOX.causes(Chosen(places={"stream": "stock"}))[0].key
    assert cause in listed
    assert "attempt 1: contract: no unit of measure for Decimal('1')" in run(
        "dead_letters", "--q", "AMS/A1", "--each"
    )
    dry = run("replay", "--cause", cause, "--dry-run")
    assert "3  applied" in dry
    assert "stock A1/AMS created: available: None -> '1" in dry
    assert "Outgoing calls: none" in dry
    assert INBOX.dead(Chosen()).count() == 4
    assert "3 dead letters are in the inbox again" in run("replay", "--cause", cause, "--by", "ola")
    work()
    assert (outcome("e1").state, outcome("e1").replayed_by) == ("applied", "ola")


@pytest.mark.parametrize(
    ("words", "reason"),
    [(["replay"], "empty filter"), (["replay", "--since", "noon"], "no time")],
)
def test_the_commands_refuse_what_the_admin_refuses(words: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run(*words)
