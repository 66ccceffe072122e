"""The audit log: written before anything is done, by whoever does it, and kept by the database."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import get_commands
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from catalog.admin import entity_url
from connectors.models import Connection
from hub.auth.commands import CHANGING, READING, audited
from observability import audit, incidents
from observability.audit import AuditEntry
from observability.errors import NotWrittenError
from observability.incidents import Incident
from tests import people

pytestmark = pytest.mark.django_db

INCIDENTS = "admin:observability_incident_changelist"


def entries(**wanted: Any) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(**wanted).order_by("id"))


@pytest.fixture
def ola(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    return client


def acknowledge(client: Client, incident: int) -> Any:
    asked = {"action": "acknowledge", "_selected_action": incident, "index": "0"}
    return client.post(reverse(INCIDENTS), asked, REMOTE_ADDR="192.0.2.7")


def test_what_a_person_does_is_written_with_its_outcome(ola: Client) -> None:
    incident = incidents.find("system_down", "sap", "SAP is down")
    acknowledge(ola, incident)
    begun, ended = entries(actor="ola", action="acknowledge")
    assert begun.subject == "observability.incident"
    assert begun.objects_named == [str(incident)]
    assert begun.page == reverse(INCIDENTS)
    assert begun.roles == "superuser"
    assert begun.address == "192.0.2.7"
    assert begun.correlation_id
    assert (begun.of, begun.outcome) == (None, "")
    assert (ended.of, ended.outcome, ended.details) == (begun.pk, "done", {"status": 302})
    page = ola.get(reverse("admin:observability_auditentry_changelist"), {"q": str(incident)})
    assert "acknowledge" in page.content.decode()


def test_what_cannot_be_written_is_not_done(ola: Client) -> None:
    incident = incidents.find("system_down", "sap", "SAP is down")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE observability_auditentry RENAME TO gone")
    answer = acknowledge(ola, incident)
    assert answer.status_code == 503
    assert "Nothing was done" in answer.content.decode()
    assert Incident.objects.get(pk=incident).acknowledged_at is None
    with pytest.raises(NotWrittenError), audited(["manage.py", "api_key", "shop"]):
        pytest.fail("the command ran")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE gone RENAME TO observability_auditentry")
    assert acknowledge(ola, incident).status_code == 302
    assert Incident.objects.get(pk=incident).acknowledged_by == "ola"


def test_nobody_logs_in_unseen(client: Client) -> None:
    User.objects.create_superuser("ola", "ola@example.com", "right")
    login = reverse("admin:login")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE observability_auditentry RENAME TO gone")
    assert client.post(login, {"username": "ola", "password": "right"}).status_code == 503
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE gone RENAME TO observability_auditentry")
    assert client.get(reverse("admin:index")).status_code == 302  # still nobody
    client.post(login, {"username": "ola", "password": "wrong"})
    client.post(login, {"username": "my-password", "password": "ola"})
    client.post(login, {"username": "ola", "password": "right"})
    client.post(reverse("admin:logout"))
    assert [(e.actor, e.action, e.outcome) for e in entries()] == [
        ("ola", "log in", "refused"),
        ("nobody", "log in", "refused"),
        ("ola", "log in", "done"),
        ("ola", "log out", "done"),
    ]
    assert "my-password" not in json.dumps(list(AuditEntry.objects.values("details", "page")))


def test_refusals_exports_and_views_of_personal_data_are_written(client: Client) -> None:
    people.fill()
    sam = User.objects.create_user("sam", is_staff=True)
    client.force_login(sam)
    assert client.get(reverse("admin:observability_auditentry_changelist")).status_code == 403
    assert [e.outcome for e in entries(actor="sam", action="see a page")] == ["refused"]

    wanted = ["see_personal", "view_customer", "view_auditentry"]
    sam.user_permissions.set(Permission.objects.filter(codename__in=wanted))
    client.get(entity_url("customer", people.NUMBER))
    (seen,) = entries(actor="sam", action="view personal data")
    assert people.NUMBER in seen.objects_named
    assert {"name", "email", "phone"} <= set(seen.details["customer"])
    assert people.CANARY not in json.dumps(seen.details)

    for form in ("csv", "json"):
        address = reverse("admin:observability_auditentry_export", args=[form])
        told = b"".join(client.get(address, {"who": "sam"})).decode()
        assert "view personal data" in told
    assert [e.subject for e in entries(action="export")] == ["observability_auditentry_export"] * 2


def test_what_a_form_was_sent_is_not_told(ola: Client) -> None:
    people.fill()
    crm = Connection.objects.get(slug="crm")
    address = reverse("admin:connectors_connection_change", args=[crm.pk])
    ola.post(address, {"name": "CRM", "token": "s3cret-of-crm", "reason": "the key was renewed"})
    begun = entries(action="change")[0]
    assert (begun.subject, begun.objects_named) == ("connectors.connection", [str(crm.pk)])
    assert begun.details == {"sent": ["name", "token"]}
    assert begun.reason == "the key was renewed"


def test_the_database_keeps_the_log() -> None:
    for count in range(4):
        audit.record("ola", f"act {count}")
    for statement in (
        "UPDATE observability_auditentry SET actor = 'sam'",
        "DELETE FROM observability_auditentry",
        "TRUNCATE observability_auditentry",
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            run(statement)
    assert audit.broken() == []
    changed = entries(action="act 1")[0]
    run("ALTER TABLE observability_auditentry DISABLE TRIGGER audit_append_only")
    run("UPDATE observability_auditentry SET actor = 'sam' WHERE action = 'act 1'")
    assert audit.broken() == [changed.pk]
    run("UPDATE observability_auditentry SET actor = 'ola' WHERE action = 'act 1'")
    assert audit.broken() == []
    run("SET LOCAL headwater.audit_pruned = 'yes'")
    run("DELETE FROM observability_auditentry WHERE action = 'act 2'")
    run("SET LOCAL headwater.audit_pruned = ''")
    assert audit.broken() == [entries(action="act 3")[0].pk]


def test_pruning_is_the_only_way_out_and_leaves_an_entry() -> None:
    with pytest.raises(DatabaseError, match="30 days"), transaction.atomic():
        audit.prune(1)
    audit.record("ola", "old")
    run("ALTER TABLE observability_auditentry DISABLE TRIGGER audit_append_only")
    run("UPDATE observability_auditentry SET at = at - interval '900 days'")
    assert audit.prune(800) == 1
    (pruned,) = entries()
    assert pruned.action == "prune the audit log"
    assert pruned.details["entries"] == 1
    assert audit.broken() == []


def test_every_command_of_ours_is_declared_as_changing_or_not() -> None:
    ours = {
        name
        for name, app in get_commands().items()
        if str(app).partition(".")[0] in ("hub", "connectors", "catalog",
                                                               "observability")
    }  # fmt: skip
    undeclared = ours - CHANGING.keys() - READING
    assert not undeclared, (
        f"say in hub/auth/commands.py whether these change something: {undeclared}"
    )


def test_commands_are_written_before_they_run() -> None:
    with audited(["manage.py", "replay", "inbox", "--code", "contract"]):
        (begun,) = entries()
        assert begun.outcome == ""
    with pytest.raises(SystemExit), audited(["manage.py", "createsuperuser", "--email", "a@b.c"]):
        raise SystemExit(1)
    told = [(e.action, e.page, e.outcome) for e in entries()]
    assert told == [
        ("manage.py replay", "replay inbox --code contract", ""),
        ("manage.py replay", "", "done"),
        ("manage.py createsuperuser", "createsuperuser", ""),
        ("manage.py createsuperuser", "", "failed"),
    ]


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
