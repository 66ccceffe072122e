"""Erasing a person: wherever her data lie, and for good."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from catalog.entities import Customer, Order
from catalog.history import Revision
from catalog.notices import ChangeNotice
from catalog.source import SourceRecord
from catalog.suppression import Suppression
from connectors.drift.breaches import Broken
from connectors.models import Command, InboxEvent, QuarantinedRecord, Stream, SyncRun
from connectors.runtime.quarantine import hold
from hub.auth.approvals import Approval
from hub.erasure.models import Erasure
from hub.erasure.run import begin, go_on, signed
from hub.erasure.steps import STEPS
from hub.erasure.sweep import columns
from observability import retention
from observability.errors import ConfigurationError, ConflictError
from tests import console_demo, people

pytestmark = pytest.mark.django_db


def standing(word: str) -> dict[str, int]:
    """Where a word stands in the database: every column of every table, as PostgreSQL knows them."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, udt_name FROM information_schema.columns"
            " JOIN information_schema.tables USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        for table, column, kind in cursor.fetchall():
            text = f'"{column}"::text'
            if kind == "bytea":
                text = f"encode(\"{column}\", 'escape')"
            cursor.execute(f'SELECT count(*) FROM "{table}" WHERE {text} ILIKE %s', [f"%{word}%"])  # noqa: S608
            if count := cursor.fetchone()[0]:
                found[f"{table}.{column}"] = count
    return found


def erased(**more: Any) -> Erasure:
    return go_on(begin("customer", people.NUMBER, asked_by="ola", reason="request 17", **more))


def test_nothing_of_her_is_left_and_others_stay_as_they_were() -> None:
    people.fill()
    before = standing(people.CANARY)
    assert len(before) > 15, before
    neighbour = Customer.objects.filter(pk=people.OTHER).values().get()
    told = ChangeNotice.objects.count()
    erasure = erased(approved_by="otto")

    assert standing(people.CANARY) == {}
    assert erasure.certificate is not None
    assert erasure.certificate["same_text_elsewhere"] == {}
    assert Customer.objects.filter(pk=people.OTHER).values().get() == neighbour
    row = Customer.objects.get(pk=people.NUMBER)
    assert (row.name, row.email, row.country, row.provenance) == (None, None, None, {})
    assert row.deleted_at is not None
    order = Order.objects.get(pk="B-1")
    assert (order.customer_id, order.status, order.deleted_at) == (people.NUMBER, "open", None)
    payload = json.loads(SourceRecord.objects.get(entity_key="B-1").payload)
    assert payload == {"Bill": "B-1", "Buyer": people.NUMBER, "State": "open", "ShipTo": ""}
    # Caches and subscribers are told as of any change.
    assert ChangeNotice.objects.count() > told
    assert {e.state for e in InboxEvent.objects.all()} == {"superseded"}


def test_what_systems_go_on_to_say_about_her_is_dropped_and_counted() -> None:
    people.fill()
    erased()
    accounts = [
        people.account("1", people.NUMBER, "again"),
        people.account("77", people.NUMBER, "anew"),
        people.account("8", people.ALIAS, "alias-again"),
        {**people.NEIGHBOUR, "Phone": "2"},
    ]
    console_demo.say("crm", "accounts", accounts)
    bill = {"Bill": "B-2", "Buyer": people.NUMBER, "State": "new", "ShipTo": people.said("street")}
    console_demo.say("crm", "bills", [bill])
    stream = Stream.objects.get(connection__slug="crm", slug="accounts")
    broken = [Broken(key, people.said("broken").encode(), "", "odd") for key in ("1", "5")]
    hold(stream, broken[:1], SyncRun.objects.latest("id"), "1")

    assert standing(people.CANARY) == {}
    assert Customer.objects.get(pk=people.NUMBER).deleted_at is not None
    assert Customer.objects.get(pk=people.OTHER).phone == "2"
    assert Order.objects.get(pk="B-2").status == "new"
    assert not QuarantinedRecord.objects.exists()
    assert sum(Suppression.objects.values_list("dropped", flat=True)) == 3
    # Of a record that nobody erased the quarantine keeps what it should.
    hold(stream, broken[1:], SyncRun.objects.latest("id"), "1")
    assert QuarantinedRecord.objects.get().record_key == "5"
    # The order's payload is known by the hash of what came: it is not news each time.
    again = console_demo.say("crm", "bills", [bill])
    assert again.pk
    assert SourceRecord.objects.get(entity_key="B-2").run_id != again.pk


def test_one_that_was_broken_off_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    people.fill()
    steps = dict(STEPS)

    def breaks(_subject: Any) -> dict[str, int]:
        raise ConflictError("the machine went down")

    monkeypatch.setitem(STEPS, "boxes", breaks)
    with pytest.raises(ConflictError):
        erased()
    erasure = Erasure.objects.get()
    assert "history" in erasure.done
    assert "boxes" not in erasure.done
    assert standing(people.CANARY)
    assert people.CANARY not in erasure.sealed
    monkeypatch.setitem(STEPS, "boxes", steps["boxes"])
    assert erased().pk == erasure.pk
    assert standing(people.CANARY) == {}
    erasure.refresh_from_db()
    assert (erasure.key, erasure.sealed, erasure.state) == ("", "", "done")


def test_what_still_goes_on_about_her_is_waited_for() -> None:
    people.fill()
    Command.objects.update(state="sent", finished_at=None)
    with pytest.raises(ConflictError, match="cmd_1"):
        erased()
    assert standing(people.CANARY)
    Command.objects.update(state="failed")
    erased()
    assert standing(people.CANARY) == {}


def steward(name: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.set([Group.objects.get(name="steward")])
    client = Client()
    client.force_login(user)
    return client


def test_two_stewards_erase_after_a_dry_run_and_the_certificate_is_signed() -> None:
    people.fill()
    ola, otto = steward("ola"), steward("otto")
    address = reverse("erase", args=["customer", people.NUMBER])
    before = standing(people.CANARY)
    page = ola.get(address).content.decode()
    assert "source records" in page
    assert standing(people.CANARY) == before  # it was a dry run
    ola.post(address, {"reason": "request 17"})
    row = Approval.objects.get()
    assert not Erasure.objects.exists()
    otto.post(reverse("admin:hub_approval_decide", args=[row.pk, "approve"]), {"reason": "checked"})
    erasure = Erasure.objects.get()
    assert (erasure.asked_by, erasure.approved_by, erasure.state) == ("ola", "otto", "done")
    assert standing(people.CANARY) == {}
    told = ola.get(reverse("admin:hub_erasure_certificate", args=[erasure.pk])).json()
    assert signed(told["certificate"], told["signature"])
    assert not signed({**told["certificate"], "asked_by": "sam"}, told["signature"])
    assert people.NUMBER not in json.dumps(told)
    holders = {one["system"] for one in told["certificate"]["systems_that_may_still_hold_it"]}
    assert holders == {"crm", "shop"}


def test_the_command_shows_first_and_does_it_with_a_reason(tmp_path: Any, capsys: Any) -> None:
    people.fill()
    call_command("erase_person", "customer", people.NUMBER)
    assert "Nothing was changed" in capsys.readouterr().out
    assert standing(people.CANARY)
    with pytest.raises(CommandError, match="reason"):
        call_command("erase_person", "customer", people.NUMBER, yes=True)
    call_command("erase_person", "customer", people.NUMBER, yes=True, reason="request 17")
    assert standing(people.CANARY) == {}
    file = tmp_path / "certificate.json"
    file.write_text(capsys.readouterr().out)
    call_command("erase_person", verify=file)
    for wrong, message in (("customer", "nothing is known"), ("product", "no personal data")):
        with pytest.raises(CommandError, match=message):
            call_command("erase_person", wrong, "nobody")


def test_the_last_look_knows_every_column_that_holds_text() -> None:
    looked = {f"{table}.{column}" for table, column, _ in columns()}
    assert {"connectors_inboxevent.body", "catalog_sourcerecord.payload",
            "observability_incident.details"} <= looked  # fmt: skip


def test_what_was_kept_long_enough_goes_and_the_page_says_so(client: Client, settings: Any) -> None:
    people.fill()
    settings.HEADWATER_RETENTION = {"personal_history": 10, "personal_letters": 10}
    with connection.cursor() as cursor:
        cursor.execute("UPDATE catalog_revision SET at = at - interval '11 days'")
        cursor.execute("UPDATE connectors_inboxevent SET finished_at = now() - interval '11 days'")
    orders = Revision.objects.filter(entity="order").values_list("changes", flat=True)
    before = list(orders)
    assert retention.prune() >= 2
    assert retention.prune() == 0
    found = standing(people.CANARY)
    assert not {"catalog_revision.changes", "connectors_inboxevent.body"} & found.keys()
    assert "catalog_customer.email" in found  # what a system still says is kept
    assert list(orders) == before
    for unfit, why in (
        ({"inbox": 3}, "what can be set is .*personal_history"),
        ({"audit_log": 29}, "30 days at least"),
    ):
        settings.HEADWATER_RETENTION = unfit
        with pytest.raises(ConfigurationError, match=why):
            retention.check()
    client.force_login(User.objects.create_superuser("ola"))
    page = client.get(reverse("retention")).content.decode()
    assert "Dead letters about people" in page
    assert "Outgoing calls" in page
    assert "personal_letters=180" in page
