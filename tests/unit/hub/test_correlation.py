"""What somebody sees who has nothing but a correlation id."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.history import Revision
from connectors.models import Subscriber, SyncRun
from connectors.outbox import fanout, subscribers
from hub.auth.commands import audited
from hub.console import correlation
from hub.console.happened import KINDS, OWN_IDS
from observability import context, incidents, journal, received
from tests import console_demo
from tests.endpoints import listening
from tests.telling import level, tell, telling, work

STATEMENTS = 15


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    return client


def timeline(client: Client, correlation_id: str) -> list[tuple[str, str, str]]:
    """(kind, what, state) of each line, as the page has them."""
    with CaptureQueriesContext(connection) as seen:
        answer = client.get(reverse("correlation", args=[correlation_id]))
    assert answer.status_code == 200
    assert len(seen) <= STATEMENTS, [q["sql"][:150] for q in seen.captured_queries]
    text = answer.content.decode()
    for line in answer.context["lines"]:
        assert f'href="{line.address}"' in text
        assert client.get(line.address).status_code == 200, line
    return [(line.kind.slug, line.what, line.state) for line in answer.context["lines"]]


@pytest.fixture
def told_together() -> Iterator[None]:
    """Two events of two senders' requests, merged at once, and told to a subscriber in one call."""
    row = telling()
    with listening() as endpoint:
        made = Subscriber(slug="shop", kind="nextjs", url=endpoint.url)
        made.new_secret()
        made.save()
        tell(row, "e1", "A", level("A", 5, 1))
        tell(row, "e2", "B", level("B", 7, 2))
        work()
        assert fanout.tell()
        assert subscribers.turn(made.pk)
        journal.write()
        yield


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("told_together")
def test_a_change_is_followed_from_the_senders_event_to_the_subscribers_answer(
    operator: Client,
) -> None:
    for mine, other in (("A", "B"), ("B", "A")):
        found = timeline(operator, "corr-e1" if mine == "A" else "corr-e2")
        kinds = [kind for kind, _, _ in found]
        assert sorted(kinds) == ["call", "delivery", "event", "receipt", "revision"]
        assert found[0][0] == "event"
        assert not [what for _, what, _ in found if f"AMS/{other}" in what]
        states = {kind: state for kind, _, state in found}
        assert (states["event"], states["delivery"], states["call"]) == (
            "applied",
            "applied",
            "200",
        )


@pytest.mark.django_db
def test_what_a_person_did_is_one_line_with_its_outcome_from_a_page_or_a_shell(
    operator: Client,
) -> None:
    console_demo.fill()
    incident = incidents.find("system_down", "erp", "ERP is down")
    operator.post(
        reverse("admin:observability_incident_changelist"),
        {"action": "acknowledge", "_selected_action": incident, "index": "0"},
        headers={context.HEADER: "corr-ola"},
    )
    assert timeline(operator, "corr-ola") == [
        ("audit", "ola: acknowledge observability.incident", "done")
    ]
    with audited(["manage.py", "ask_run", "remap", "erp.prices"]):
        call_command("ask_run", "remap", "erp.prices")
    run = SyncRun.objects.latest("id")
    kinds = [(kind, state) for kind, _, state in timeline(operator, run.correlation_id)]
    assert sorted(kinds) == [("audit", "done"), ("run", "queued")]


@pytest.mark.django_db
def test_every_kind_has_its_line_and_what_is_long_is_cut_and_counted(operator: Client) -> None:
    console_demo.fill()
    console_demo.quarantined()
    one = console_demo.CORRELATION
    with context.correlation(one):
        incidents.find("system_down", "erp", "ERP is down")
    received.note("POST", "/api/v1/orders", 503, 12.5, one)
    journal.write()
    shown = dict.fromkeys(kind for kind, _, _ in timeline(operator, one))
    assert set(shown) == {"request", "run", "revision", "incident", "quarantine"}

    Revision.objects.bulk_create(
        Revision(entity="product", key=f"P-{n}", kind="created", at=Now(), correlation_id="long")
        for n in range(correlation.MOST + 20)
    )
    answer = operator.get(reverse("correlation", args=["long"]))
    assert len(answer.context["lines"]) == correlation.MOST
    text = answer.content.decode()
    assert f"the first {correlation.MOST} of {correlation.MOST + 20}" in text
    (cut,) = answer.context["cuts"]
    assert operator.get(cut.address).context["cl"].result_count == correlation.MOST + 20


@pytest.mark.django_db
def test_each_kind_is_found_by_an_index() -> None:
    with connection.cursor() as cursor:
        # Tables of a test are small: what the planner could do is asked, and not what it prefers.
        cursor.execute("SET LOCAL enable_seqscan = off")
        for kind in KINDS:
            statement = f"EXPLAIN WITH {OWN_IDS} {kind.sql}"
            cursor.execute(statement, {"id": "some-id", "most": 100})
            plan = "\n".join(row[0] for row in cursor.fetchall())
            scans = re.findall(r"(?:Index.*?|Bitmap Index) Scan.* on (\w+)", plan)
            assert any("correlation" in name or "receipt" in plan for name in scans), plan
            assert not re.search(
                r"Seq Scan on (?!connectors_(connection|stream|subscriber)\b)", plan
            )


@pytest.mark.django_db
def test_a_person_sees_what_their_permissions_allow(client: Client) -> None:
    console_demo.fill()
    user = User.objects.create_user("sam", is_staff=True)
    client.force_login(user)
    address = reverse("correlation", args=[console_demo.CORRELATION])
    assert client.get(address).status_code == 403
    assert client.get(reverse("correlation_find")).status_code == 403
    user.user_permissions.set(Permission.objects.filter(codename="view_syncrun"))
    answer = client.get(address)
    assert {line.kind.slug for line in answer.context["lines"]} == {"run"}
    assert "you may not see them" in answer.content.decode()
    assert "revisions" in answer.context["hidden"]


@pytest.mark.django_db
def test_the_form_leads_to_the_page(operator: Client) -> None:
    form = reverse("correlation_find")
    assert operator.get(form).status_code == 200
    found = operator.get(form, {"id": " 4bf92f3577b34da6 "})
    assert found.headers["Location"] == reverse("correlation", args=["4bf92f3577b34da6"])
    nothing = operator.get(found.headers["Location"]).content.decode()
    assert "Nothing is kept under this id" in nothing
    odd = operator.get(form, {"id": "<b>/x"})
    assert "&lt;b&gt;/x" in odd.content.decode()


@pytest.mark.django_db
def test_statements_say_what_they_are_run_for() -> None:
    with context.correlation("order:77.a"), connection.cursor() as cursor:
        cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        assert cursor.fetchone()[0].endswith("/*correlation_id='order:77.a'*/")
        # A per cent sign in the statement is still its own.
        cursor.execute("SELECT 'x' LIKE '%%', %s", ["%"])
        assert cursor.fetchone() == (True, "%")
