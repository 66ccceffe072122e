"""Connections, streams, runs and quarantine in the admin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from connectors.models import Breaker, Checkpoint, Connection, Stream, SyncRun
from connectors.secrets import unseal
from observability.errors import ConfigurationError
from observability.freshness import watermarks
from observability.incidents import Incident, find
from tests import console_demo

pytestmark = pytest.mark.django_db

SETTINGS = {
    "setting_user": "HW", "setting_client": "100", "setting_language": "EN",
    "setting_password": "",
}  # fmt: skip
ROW = {
    "slug": "erp2", "name": "Second ERP", "base_url": "http://erp2.test", "enabled": "on",
    "requests_per_second": "", "timeout_seconds": "30", "max_body_bytes": "1000000",
    "breaker_enabled": "on", "breaker_window_seconds": "30", "breaker_minimum_calls": "3",
    "breaker_failure_share": "0.4", "breaker_cooldown_seconds": "20", "breaker_probes": "1",
}  # fmt: skip
ADD = "admin:connectors_connection_add"


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    return client


@pytest.fixture
def demo() -> None:
    console_demo.fill()


def said(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def test_adding_begins_with_the_choice_of_a_connector(operator: Client) -> None:
    page = operator.get(reverse(ADD)).content.decode()
    assert "Demo ERP" in page
    form = operator.get(reverse(ADD), {"connector": "demo-erp"}).content.decode()
    assert 'name="setting_password"' in form
    assert "Client, 1 to 999." in form


def test_a_connection_is_made_with_its_streams_and_sealed_secrets(operator: Client) -> None:
    values = {**ROW, **SETTINGS, "setting_password": " two blanks "}
    answer = operator.post(f"{reverse(ADD)}?connector=demo-erp", values)
    assert answer.status_code == 302, answer.context["errors"]
    row = Connection.objects.get(slug="erp2")
    assert row.settings == {"user": "HW", "client": 100, "language": "EN", "strict": False}
    assert unseal(row.secrets) == {"password": " two blanks "}
    assert set(row.streams.values_list("slug", flat=True)) == {"articles", "prices", "orders"}


@pytest.mark.usefixtures("demo")
def test_the_breaker_is_set_and_worked_by_hand(operator: Client) -> None:
    row = Connection.objects.get(slug="erp")
    address = reverse("admin:connectors_connection_change", args=[row.pk])
    wrong = operator.post(address, {**ROW, **SETTINGS, "breaker_failure_share": "1.5"})
    assert "less than or equal to 1" in str(wrong.context["errors"])
    operator.post(address, {**ROW, **SETTINGS})
    row.refresh_from_db()
    policy = row.circuit_breaker.policy
    assert (policy.window, policy.minimum, policy.share) == (30, 3, 0.4)
    assert (policy.cooldown, policy.probes) == (20, 1)

    listed = reverse("admin:connectors_connection_changelist")
    operator.post(listed, {"one": f"open_breaker:{row.pk}"})
    assert "breaker open" in operator.get(listed).content.decode()
    page = operator.get(address).content.decode()
    assert "switched off by ola" in page
    assert "until a person closes it" in page
    assert "erp is down" in operator.get(reverse("admin:index")).content.decode()
    incident = Incident.objects.get()
    shown = operator.get(reverse("admin:observability_incident_change", args=[incident.pk]))
    assert "switched off by ola" in shown.content.decode()

    probed = operator.post(listed, {"one": f"probe_now:{row.pk}", "next": listed}, follow=True)
    assert "is still down" in said(probed)
    operator.post(listed, {"one": f"close_breaker:{row.pk}"})
    assert "breaker open" not in operator.get(listed).content.decode()
    assert Breaker.objects.get().changed_by == "ola"
    closed = operator.post(listed, {"one": f"close_breaker:{row.pk}", "next": listed}, follow=True)
    assert "is called already" in said(closed)
    operator.post(listed, {"one": f"open_breaker:{row.pk}"})
    operator.post(address, {**ROW, **SETTINGS, "breaker_enabled": ""})
    assert Breaker.objects.get().state == "closed"
    assert not Incident.objects.filter(resolved_at=None).exists()


@pytest.mark.usefixtures("demo")
def test_an_empty_secret_keeps_the_stored_one(operator: Client) -> None:
    row = Connection.objects.get(slug="erp")
    address = reverse("admin:connectors_connection_change", args=[row.pk])
    operator.post(address, {**ROW, **SETTINGS, "name": "Renamed"})
    row.refresh_from_db()
    assert row.name == "Renamed"
    assert row.slug == "erp"
    assert unseal(row.secrets) == {"password": "s3cret-of-erp"}
    operator.post(address, {**ROW, **SETTINGS, "setting_password": "new one"})
    row.refresh_from_db()
    assert unseal(row.secrets) == {"password": "new one"}


def test_a_webhook_s_secret_is_entered_last_and_both_live_while_it_is_rotated(
    operator: Client,
) -> None:
    address = f"{reverse(ADD)}?connector=stripe"
    form = operator.get(address).content.decode()
    assert form.index('name="setting_api_key"') < form.index('name="setting_webhook_secret"')
    values = {**ROW, "setting_api_key": "sk_1", "setting_webhook_secret": "whsec_new whsec_old"}
    answer = operator.post(address, values)
    assert answer.status_code == 302, answer.context["errors"]
    settings = Connection.objects.get(slug="erp2").open().settings
    assert settings.webhook_secrets() == ["whsec_new", "whsec_old"]


def test_a_connector_without_webhooks_asks_for_no_secret_of_one(operator: Client) -> None:
    form = operator.get(reverse(ADD), {"connector": "demo-erp"}).content.decode()
    assert "setting_webhook_secret" not in form


def test_an_error_stands_at_its_member_and_repeats_no_secret(operator: Client) -> None:
    values = {**ROW, **SETTINGS, "setting_client": "1000", "setting_password": "hunter2"}
    answer = operator.post(f"{reverse(ADD)}?connector=demo-erp", values)
    form = answer.context["adminform"].form
    assert "less than or equal to 999" in str(form.errors["setting_client"])
    assert "hunter2" not in answer.content.decode()
    assert not Connection.objects.exists()


@pytest.mark.usefixtures("demo")
def test_testing_a_connection_says_what_the_system_answered(operator: Client) -> None:
    row = Connection.objects.get(slug="erp")
    address = reverse("admin:connectors_connection_changelist")
    asked = {"one": f"test_connection:{row.pk}"}
    assert "answers: 0 records of articles" in said(operator.post(address, asked, follow=True))
    row.configure({"user": "HW", "password": "wrong"})
    row.save()
    answer = said(operator.post(address, asked, follow=True))
    assert "refuses the password" in answer
    assert "upstream.auth_expired" in answer


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("resync_now", SyncRun.Kind.FULL),
        ("full_refresh", SyncRun.Kind.FULL),
        ("reconcile_now", SyncRun.Kind.RECONCILE),
        ("remap", SyncRun.Kind.REMAP),
    ],
)
def test_streams_are_read_again_on_demand(operator: Client, action: str, kind: str) -> None:
    stream = Stream.objects.get(slug="prices")
    address = reverse("admin:connectors_stream_changelist")
    answer = operator.post(address, {"one": f"{action}:{stream.pk}"}, follow=True)
    run = stream.runs.get(state="queued")
    assert (run.kind, run.asked_by) == (kind, "ola")
    assert f"run #{run.pk}" in said(answer)


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(("action", "kind"), [("reconcile_now", "reconcile"), ("remap", "remap")])
def test_a_connection_asks_for_all_its_streams(operator: Client, action: str, kind: str) -> None:
    row = Connection.objects.get(slug="erp")
    operator.post(
        reverse("admin:connectors_connection_changelist"),
        {"action": action, "_selected_action": [row.pk], "index": "0"},
    )
    asked = SyncRun.objects.filter(state="queued").values_list("kind", "stream")
    assert set(asked) == {(kind, pk) for pk in row.streams.values_list("pk", flat=True)}


@pytest.mark.usefixtures("demo")
def test_a_ticked_list_asks_for_all(operator: Client) -> None:
    keys = list(Stream.objects.filter(connection__slug="erp").values_list("pk", flat=True))
    operator.post(
        reverse("admin:connectors_stream_changelist"),
        {"action": "full_refresh", "_selected_action": keys, "index": "0"},
    )
    assert SyncRun.objects.filter(state="queued", kind="full").count() == len(keys)


@pytest.mark.usefixtures("demo")
def test_lag_is_shown_against_the_objective_and_the_objective_is_promised(
    operator: Client,
) -> None:
    stream = Stream.objects.get(slug="prices")
    address = reverse("admin:connectors_stream_change", args=[stream.pk])
    fields = {"enabled": "on", "interval_seconds": "60", "lookback_seconds": "5",
              "delete_guard_share": "0.2", "reconcile_every_seconds": "86400",
              "reconcile_requests_per_second": "2"}  # fmt: skip
    operator.post(address, {**fields, "objective_seconds": "10"})
    assert watermarks()["erp", "prices"].objective_seconds == 10
    page = operator.get(reverse("admin:connectors_stream_changelist")).content.decode()
    assert "stale" in page
    assert "freshness objective 10 s" in page


@pytest.mark.usefixtures("demo")
def test_progress_answers_for_the_script(operator: Client) -> None:
    run = console_demo.many_runs()["running"]
    address = reverse("admin:connectors_syncrun_progress")
    told = operator.get(address, {"id": [str(run.pk), "x", "999999"]}).json()["runs"]
    assert [one["id"] for one in told] == [run.pk]
    assert told[0]["percent"] == 25.0
    assert told[0]["records"] == "300 of 1,200"
    assert told[0]["live"] is True
    operator.logout()
    assert operator.get(address, {"id": run.pk}).status_code == 302


@pytest.mark.usefixtures("demo")
def test_a_failed_run_is_retried_and_a_held_one_confirmed(operator: Client) -> None:
    runs = console_demo.many_runs()
    address = reverse("admin:connectors_syncrun_changelist")
    operator.post(address, {"one": f"retry:{runs['failed'].pk}"})
    assert SyncRun.objects.get(pk=runs["failed"].pk).state == "queued"
    operator.post(address, {"one": f"confirm_deletions:{runs['held'].pk}"})
    asked = SyncRun.objects.get(stream=runs["held"].stream, state="queued")
    assert (asked.kind, asked.allow_deletes) == ("full", True)


@pytest.mark.usefixtures("demo")
def test_a_held_remap_is_confirmed_as_a_remap(operator: Client) -> None:
    held = console_demo.many_runs()["held"]
    SyncRun.objects.filter(pk=held.pk).update(kind="remap")
    address = reverse("admin:connectors_syncrun_changelist")
    operator.post(address, {"one": f"confirm_deletions:{held.pk}"})
    asked = SyncRun.objects.get(stream=held.stream, state="queued")
    assert (asked.kind, asked.allow_deletes) == ("remap", True)


@pytest.mark.usefixtures("demo")
def test_a_stream_says_how_exact_it_is(operator: Client) -> None:
    stream = Stream.objects.get(slug="prices")
    pages = (
        reverse("admin:connectors_stream_changelist"),
        reverse("admin:connectors_stream_change", args=[stream.pk]),
    )
    assert all("not compared yet" in operator.get(page).content.decode() for page in pages)
    Checkpoint.objects.update_or_create(
        stream=stream,
        defaults={
            "exactness": 0.999899,
            "verified_through": datetime(2026, 11, 20, 14, 5, tzinfo=UTC),
        },
    )
    for page in pages:
        shown = operator.get(page).content.decode()
        assert "99.98 % exact" in shown
        assert "verified through 14:05 UTC" in shown
        assert "2026-11-20" in shown
    Checkpoint.objects.update(exactness=1.0)
    assert "100 % exact" in operator.get(pages[1]).content.decode()


@pytest.mark.usefixtures("demo")
def test_a_running_run_is_neither_retried_nor_confirmed(operator: Client) -> None:
    run = console_demo.many_runs()["running"]
    answer = operator.post(
        reverse("admin:connectors_syncrun_changelist"), {"one": f"retry:{run.pk}"}, follow=True
    )
    assert "Nothing to retry" in said(answer)
    assert SyncRun.objects.get(pk=run.pk).state == "running"


@pytest.mark.usefixtures("demo")
def test_the_page_of_a_run_shows_error_counters_and_correlation(operator: Client) -> None:
    run = console_demo.many_runs()["failed"]
    address = reverse("admin:connectors_syncrun_change", args=[run.pk])
    page = operator.get(address).content.decode()
    assert "upstream.garbled" in page
    assert "&lt;html&gt;Maintenance" in page
    assert console_demo.CORRELATION in page


@pytest.mark.usefixtures("demo")
def test_quarantine_marks_the_member_and_asks_again(operator: Client) -> None:
    row = console_demo.quarantined()
    drift = find("contract_drift", "erp", "Rate is of another type", stream="prices", subject="Rate",
                 details={"path": "Rate"})  # fmt: skip
    page = operator.get(
        reverse("admin:connectors_quarantinedrecord_change", args=[row.pk])
    ).content.decode()
    assert '<span class="hw-line hw-marked">  &quot;Rate&quot;: 17,\n</span>' in page
    # Where it is said how many depart so, and how to go on, is a click away.
    assert reverse("admin:connectors_driftincident_change", args=[drift]) in page
    operator.post(
        reverse("admin:connectors_quarantinedrecord_changelist"),
        {"one": f"resync_record:{row.pk}"},
    )
    run = SyncRun.objects.get(state="queued")
    assert (run.kind, run.record_key) == ("record", "0009")


@pytest.mark.usefixtures("demo")
def test_an_error_in_stored_settings_repeats_no_secret() -> None:
    row = Connection.objects.get(slug="erp")
    row.settings = {"client": 5000}
    with pytest.raises(ConfigurationError) as raised:
        row.open()
    assert "client" in str(raised.value)
    assert "s3cret" not in str(raised.value)
    with pytest.raises(ConfigurationError) as raised:
        row.configure({"password": "hunter2"})
    assert "user" in str(raised.value)
    assert "hunter2" not in str(raised.value)
