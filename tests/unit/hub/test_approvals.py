"""Two persons for what reaches far: counted, held, approved by another, and run as it was asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from catalog.ownership import OwnershipRule
from connectors.models import InboxEvent, OutboxCommand, Stream, SyncRun
from hub.auth.approvals import Approval
from observability import incidents, retention
from observability.audit import AuditEntry
from tests import console_demo, people

pytestmark = pytest.mark.django_db

STREAMS = "admin:connectors_stream_changelist"


def person(name: str, role: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.set([Group.objects.get(name=role)])
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def far(settings: Any) -> None:
    """Whatever reaches anything reaches far."""
    settings.HEADWATER_APPROVAL_ABOVE = 0
    console_demo.fill()


def refresh(client: Client) -> Any:
    stream = Stream.objects.get(slug="prices")
    return client.post(reverse(STREAMS), {"one": f"full_refresh:{stream.pk}"})


def decide(client: Client, row: Approval, decision: str = "approve") -> int:
    address = reverse("admin:hub_approval_decide", args=[row.pk, decision])
    return client.post(address, {"reason": "seen"}).status_code


def queued() -> list[tuple[str, str]]:
    rows = SyncRun.objects.filter(state="queued", kind="full")
    return list(rows.values_list("stream__slug", "asked_by"))


@pytest.mark.usefixtures("far")
def test_what_reaches_far_waits_for_another_person_who_may_do_it() -> None:
    ola, otto, sam = person("ola", "operator"), person("otto", "operator"), person("sam", "support")
    answer = refresh(ola)
    row = Approval.objects.get()
    assert answer["Location"] == reverse("admin:hub_approval_change", args=[row.pk])
    assert (row.says, row.radius, queued()) == (
        "Full refresh of erp.prices: reaches 2 source records",
        2,
        [],
    )
    assert decide(ola, row) == 403
    assert decide(sam, row) == 403
    assert queued() == []
    page = otto.get(answer["Location"]).content.decode()
    assert "reaches 2 source records" in page
    assert "Approve and run" in page
    assert "Approve and run" not in ola.get(answer["Location"]).content.decode()
    assert decide(otto, row) == 302
    assert queued() == [("prices", "ola")]
    row.refresh_from_db()
    assert (row.state, row.outcome, row.form) == ("approved", "done", "")
    assert decide(otto, row) == 403  # once
    asked = AuditEntry.objects.filter(actor="ola", action="full_refresh")
    assert list(asked.values_list("outcome", flat=True).order_by("id")) == ["", "held", "", "done"]
    run = asked.get(details__has_key="approved_by")
    assert run.details["approved_by"] == "otto"


@pytest.mark.usefixtures("far")
def test_it_expires_can_be_declined_and_withdrawn() -> None:
    ola, otto = person("ola", "operator"), person("otto", "operator")
    for ending in ("late", "decline", "withdraw", "nobody looks"):
        refresh(ola)
        row = Approval.objects.latest("id")
        if ending == "late":
            Approval.objects.update(expires_at=Now() - timedelta(seconds=1))
            assert decide(otto, row) == 302
        elif ending == "nobody looks":
            Approval.objects.filter(pk=row.pk).update(expires_at=Now() - timedelta(seconds=1))
            assert retention.prune() == 1
        else:
            assert decide(ola if ending == "withdraw" else otto, row, ending) == 302
    assert queued() == []
    states = Approval.objects.order_by("id").values_list("state", "form")
    assert list(states) == [("expired", ""), ("declined", ""), ("withdrawn", ""), ("expired", "")]


@pytest.mark.usefixtures("far")
def test_what_has_grown_or_whose_asker_may_no_more_is_not_run() -> None:
    ola, otto = person("ola", "operator"), person("otto", "operator")
    refresh(ola)
    row = Approval.objects.get()
    more = [{**console_demo.PRICE, "Record": f"1{n}", "Country": f"X{n}"} for n in range(3)]
    console_demo.say("erp", "prices", more)
    decide(otto, row)
    assert queued() == []
    Approval.objects.update(radius=5)
    User.objects.get(username="ola").groups.clear()
    decide(otto, row)
    assert queued() == []


def test_below_its_radius_an_action_runs_at_once_and_without_rights_not_at_all() -> None:
    console_demo.fill()
    refresh(person("ola", "operator"))
    assert queued() == [("prices", "ola")]
    assert refresh(person("sam", "support")).status_code == 403
    assert not Approval.objects.exists()


@pytest.mark.usefixtures("far")
def test_another_site_cannot_ask_for_it() -> None:
    user = User.objects.create_superuser("ola")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    assert refresh(strict).status_code == 403
    assert not Approval.objects.exists()


@pytest.mark.usefixtures("far")
def test_rules_and_replays_are_counted_by_their_dry_runs() -> None:
    ina, ivo = person("ina", "integrator"), person("ivo", "integrator")
    rule = OwnershipRule.objects.get(entity="variant", field="")
    address = reverse("admin:catalog_ownershiprule_change", args=[rule.pk])
    form = {
        "entity": "variant", "field": "", "owner": "erp", "fallbacks": "pim", "others": rule.others,
        "silent_after": "", "locale": "", "market": "", "channel": "", "reason": "tried out",
    }  # fmt: skip
    shown = ina.post(address, form)
    assert "What would change" in shown.content.decode()
    assert not Approval.objects.exists()
    ina.post(address, {**form, "_confirmed": "1"})
    row = Approval.objects.get()
    assert row.says.startswith("Change of a rule of variant: reaches 1 record")
    rule.refresh_from_db()
    assert rule.owner == "pim"
    decide(ivo, row)
    rule.refresh_from_db()
    assert rule.owner == "erp"

    people.fill()
    ola, otto = person("ola", "operator"), person("otto", "operator")
    ola.post(reverse("admin:connectors_inboxevent_replay"), {"code": "contract"})
    row = Approval.objects.latest("id")
    assert row.says == "Replay from the inbox: reaches 1 dead letter"
    assert InboxEvent.objects.get().state == "dead"
    decide(otto, row)
    assert InboxEvent.objects.get().state == "received"


@pytest.mark.usefixtures("far")
def test_a_step_is_held_by_the_right_that_it_needs_and_counted_as_it_would_be_run() -> None:
    people.fill()
    InboxEvent.objects.all().delete()
    found = incidents.find("dead_letters", "crm", "Dead letters", subject="outbox")
    able = User.objects.create_user("able", is_staff=True)
    rights = ("view_incident", "change_inboxevent")
    able.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(able)
    address = reverse("admin:observability_incident_step", args=[found, "replay"])
    client.post(address)
    assert Approval.objects.get().says == "Replay of crm: reaches 1 dead letter"
    assert OutboxCommand.objects.get().state == "dead"
