"""The page of an incident: its runbook, and steps that say what they would do before they do it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.template import engines
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.notices import EVERYTHING, ChangeNotice
from connectors.models import Connection, InboxEvent, OutboxCommand, Subscriber, SyncRun
from connectors.outbox import fanout
from hub.auth import roles
from hub.console.steps import STEPS
from observability import incidents, signals
from observability.alerts import AlertRule
from observability.channels import Channel
from observability.defaults import defaults
from observability.freshness import promise
from observability.incidents import Incident
from observability.runbooks import context_of, rendered, steps_of
from observability.silences import Silence
from tests.endpoints import Endpoint, listening
from tests.telling import telling

pytestmark = pytest.mark.django_db(transaction=True)


class Unknown(str):  # noqa: SLOT000 (a template sets nothing on it)
    """What a template says of a variable that it does not know."""

    def __mod__(self, name: object) -> str:
        raise AssertionError(f"the runbook knows no {name}")

    def __contains__(self, what: object) -> bool:
        return what == "%s"


def person(role: str) -> Client:
    roles.apply()
    user = User.objects.create_user(f"one-{role}", is_staff=True)
    user.groups.set(Group.objects.filter(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return person("operator")


@pytest.fixture
def row() -> Connection:
    return telling()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with listening() as made:
        yield made


def found(kind: str, system: str, stream: str = "", subject: str = "") -> Incident:
    pk = incidents.find(
        kind, system, f"{system} has trouble", stream=stream, subject=subject,
        cause="a [[purge]] `x`",
    )  # fmt: skip
    return Incident.objects.get(pk=pk)


def page(client: Client, incident: Incident) -> str:
    address = reverse("admin:observability_incident_change", args=[incident.pk])
    with CaptureQueriesContext(connection) as seen:
        answer = client.get(address)
    assert answer.status_code == 200
    assert len(seen) <= 15, [q["sql"][:120] for q in seen.captured_queries]
    return answer.content.decode()


def step(client: Client, incident: Incident, name: str, *, take: bool = True) -> str:
    """What a step says that it would do; and, if it is taken, what it did."""
    address = reverse("admin:observability_incident_step", args=[incident.pk, name])
    shown = client.get(address, follow=True).content.decode()
    return client.post(address, follow=True).content.decode() if take else shown


@pytest.fixture
def strict() -> Iterator[None]:
    """Templates that refuse what they do not know."""
    engine: Any = engines["django"].engine  # type: ignore[attr-defined]
    former, engine.string_if_invalid = engine.string_if_invalid, Unknown("%s")
    yield
    engine.string_if_invalid = former


@pytest.mark.usefixtures("strict", "row")
def test_every_rule_that_comes_with_the_hub_has_a_signal_and_a_runbook_that_works() -> None:
    rules = defaults()
    assert {r.slug for r in rules} == set(AlertRule.objects.values_list("slug", flat=True))
    for rule in rules:
        assert not rule.signal or rule.signal in signals.known()
        assert set(rule.explained_by) <= {r.slug for r in rules}, rule.slug
        rule.clean()
        details = {"entity": "product", "field": "slug", "live": 9, "usual": 1.0, "lately": 3,
                   "most": 9, "path": "available", "feeds": ["stock.available"]}  # fmt: skip
        incident = Incident(
            pk=1, kind=rule.slug, system="telling", stream="stock", subject="inbox", details=details
        )
        html = rendered(rule.runbook, context_of(incident))
        assert html.startswith("<h2>Runbook: "), rule.slug
        assert "by itself" in html
        assert set(steps_of(rule.runbook)) <= set(STEPS), rule.slug


def test_a_page_shows_its_runbook_with_its_values_and_only_its_own_steps(
    operator: Client, row: Connection
) -> None:
    incident = found("lag", row.slug, stream="stock")
    text = page(operator, incident)
    assert "<h2>Runbook: a stream is older than promised</h2>" in text
    assert "<code>telling.stock</code>" in text
    assert reverse("admin:observability_incident_step", args=[incident.pk, "resync"]) in text
    # Named by what came, not by the runbook.
    assert reverse("admin:observability_incident_step", args=[incident.pk, "purge"]) not in text
    part = found("inbox_waiting", row.slug, stream="stock")
    Incident.objects.filter(pk=part.pk).update(part_of=incident)
    assert "Because of it" in page(operator, incident)
    assert "It is part of" in page(operator, part)
    support = person("support")
    text = page(support, incident)
    assert "/step/" not in text
    address = reverse("admin:observability_incident_step", args=[incident.pk, "resync"])
    assert support.post(address).status_code == 403
    assert not SyncRun.objects.exists()


def test_steps_say_what_they_would_do_and_do_it_when_they_are_posted(
    operator: Client, row: Connection
) -> None:
    stream, incident = row.streams.get(), found("lag", row.slug, stream="stock")
    assert "Stop telling.stock: nothing of it is read" in step(
        operator, incident, "pause", take=False
    )
    stream.refresh_from_db()
    assert stream.stopped_at is None
    assert "telling.stock is stopped." in step(operator, incident, "pause")
    stream.refresh_from_db()
    assert stream.stopped_because == "paused by one-operator"
    assert "is stopped already" in step(operator, incident, "pause")
    step(operator, incident, "resume")
    stream.refresh_from_db()
    assert stream.stopped_at is None
    assert SyncRun.objects.get().asked_by == "one-operator"
    for name, kind in (("reconcile", "reconcile"), ("remap", "remap")):
        step(operator, incident, name)
        assert SyncRun.objects.filter(kind=kind).count() == 1
    assert "You look after it." in step(operator, incident, "acknowledge")
    assert "acknowledged by one-operator" in page(operator, incident)
    step(operator, incident, "silence")
    incident.refresh_from_db()
    assert incident.silenced_until is not None
    assert not Silence.objects.get().maintenance
    assert "is about no subscriber" in step(operator, incident, "switch_on")
    assert "is closed" in step(operator, incident, "probe")


def test_dead_letters_of_the_cause_are_replayed_and_a_subscriber_switched_on(
    operator: Client, row: Connection
) -> None:
    shop = Subscriber(slug="shop", url="https://shop.example/", enabled=False, kind="nextjs",
                      disabled_because="the endpoint answered 410 Gone")  # fmt: skip
    shop.new_secret()
    shop.save()
    event = InboxEvent.objects.create(
        connection=row, event_id="e", stream="stock", record_key="S-1", body=b"{}", state="dead",
        error_code="contract", error="no available", finished_at="2026-11-21T00:00:00Z",
    )  # fmt: skip
    incident = found("dead_letters", row.slug, stream="stock", subject="inbox")
    assert "Put 1 dead letters of telling.stock back into the inbox" in step(
        operator, incident, "replay", take=False
    )
    assert "1 are tried again" in step(operator, incident, "replay")
    event.refresh_from_db()
    assert (event.state, event.replayed_by) == ("received", "one-operator")
    off = found("subscriber_off", "shop")
    assert "shop is called again." in step(operator, off, "switch_on")
    shop.refresh_from_db()
    assert shop.enabled
    assert "Drop all kept answers" in step(operator, off, "purge", take=False)
    step(operator, off, "purge")
    assert ChangeNotice.objects.get().entity == EVERYTHING
    fanout.tell([ChangeNotice.objects.get().pk])
    assert OutboxCommand.objects.get().text == '{"everything":true}'


def test_the_lists_of_rules_channels_steps_and_silences_open_and_take_rows(
    admin_client: Client, endpoint: Endpoint
) -> None:
    for model in ("alertrule", "channel", "escalation", "silence", "incident"):
        assert (
            admin_client.get(reverse(f"admin:observability_{model}_changelist")).status_code == 200
        ), model
    add = reverse("admin:observability_channel_add")
    said = {"slug": "ops", "kind": "webhook", "address": endpoint.url, "enabled": "on",
            "every_seconds": "60"}  # fmt: skip
    shown = admin_client.post(add, said, follow=True).content.decode()
    assert "whsec_" in shown
    row = Channel.objects.get()
    listed = reverse("admin:observability_channel_changelist")
    shown = admin_client.post(listed, {"one": f"test:{row.pk}"}, follow=True).content.decode()
    assert "ops took a message." in shown
    assert "whsec_" not in shown
    endpoint.status = 500
    shown = admin_client.post(listed, {"one": f"test:{row.pk}"}, follow=True).content.decode()
    assert "upstream.retryable" in shown
    slack = {**said, "slug": "s", "kind": "slack", "address": ""}
    shown = admin_client.post(add, slack).content.decode()
    assert "Enter the address of an incoming webhook." in shown
    silence = reverse("admin:observability_silence_add")
    wrong = {"system": "", "maintenance": "on", "starts_at": "2026-11-21T10:00",
             "until": "2026-11-21T09:00", "reason": "new release"}  # fmt: skip
    shown = admin_client.post(silence, wrong).content.decode()
    assert "Name the system that is in maintenance." in shown
    assert "It has to end after it begins." in shown
    right = {**wrong, "system": "sap", "until": "2026-11-21T12:00"}
    # A slip of the pen would silence nothing.
    assert b"Select a valid choice" in admin_client.post(silence, right).content
    promise("sap", "prices", 300)
    assert admin_client.post(silence, right).status_code == 302
    assert Silence.objects.get().made_by == "admin"
    rule = AlertRule.objects.get(slug="lag")
    change = reverse("admin:observability_alertrule_change", args=[rule.pk])
    form = {"title": "x", "signal": "lag", "severity": "page", "threshold": "1", "for_seconds": "0",
            "ends_below": "3", "ends_after_seconds": "0", "minimum": "0", "windows": "[]"}  # fmt: skip
    assert b"at most the threshold" in admin_client.post(change, form).content
