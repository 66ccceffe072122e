"""People are told of incidents: once, together, by whom it concerns, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.db.models.functions import Now
from standardwebhooks import Webhook

from connectors.models import OutboxCommand
from connectors.outbox import channels
from connectors.outbox.commands import due_targets
from connectors.runtime.measuring import sample
from observability import incidents, metrics, telling
from observability.alerts import AlertRule
from observability.channels import Channel, Escalation, Told
from observability.incidents import Incident
from observability.silences import Silence
from tests.endpoints import Endpoint, listening

pytestmark = pytest.mark.django_db(transaction=True)

SECRET_PATH = "/services/T0/B0/not-to-be-seen"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with listening() as made:
        yield made


def channel(slug: str, kind: str, secret: str = "", **values: Any) -> Channel:
    row = Channel(slug=slug, kind=kind, **values)
    if secret:
        channels.keep_secret(row, secret)
    row.full_clean()
    row.save()
    return row


def path(row: Channel, minutes: int = 0, severity: str = "page") -> None:
    Escalation.objects.create(channel=row, after_minutes=minutes, severity=severity)


def down(system: str, minutes_ago: float = 1) -> Incident:
    """An outage, which is a page."""
    pk = incidents.find("system_down", system, f"{system} is down", cause="connection refused")
    Incident.objects.filter(pk=pk).update(opened_at=Now() - timedelta(minutes=minutes_ago))
    return Incident.objects.get(pk=pk)


def told() -> None:
    """A look, and a turn of the resident sender for each channel."""
    incidents.look_after()
    telling.tell()
    for target, _ in due_targets():
        kind, _, pk = target.partition("/")
        assert kind == "channel"
        channels.turn(int(pk))


def paced() -> None:
    """The channels' pace is over."""
    Channel.objects.update(told_at=Now() - timedelta(days=1))


def test_all_that_is_new_goes_in_one_mail_and_what_it_caused_is_not_told(
    mailoutbox: list[Any],
) -> None:
    path(channel("duty", "email", address="duty@example.com, boss@example.com"))
    AlertRule.objects.filter(slug="lag").update(explained_by=["system_down"])
    down("sap")
    down("wms")
    lag = incidents.find("lag", "sap", "sap.stock is older than promised", stream="stock")
    Incident.objects.filter(pk=lag).update(opened_at=Now() - timedelta(minutes=1))
    told()
    (message,) = mailoutbox
    assert message.to == ["duty@example.com", "boss@example.com"]
    assert message.subject == "[Headwater] sap is down, and 1 more"
    assert "with 1 more because of it" in message.body
    assert "older than promised" not in message.body
    address = f"http://localhost:8000/admin/observability/incident/{lag - 2}/change/"
    assert address in message.body
    paced()
    told()
    assert len(mailoutbox) == 1
    incidents.resolve("system_down", "sap")
    told()
    assert len(mailoutbox) == 1  # it may be back in a moment
    Incident.objects.filter(system="sap").update(resolved_at=Now() - timedelta(minutes=5))
    told()
    assert mailoutbox[1].subject == "[Headwater] resolved: sap is down"


def test_it_escalates_until_somebody_acknowledges(mailoutbox: list[Any]) -> None:
    path(channel("duty", "email", address="duty@example.com"))
    path(channel("boss", "email", address="boss@example.com"), minutes=15)
    row = down("sap")
    told()
    assert [m.to for m in mailoutbox] == [["duty@example.com"]]
    Incident.objects.update(opened_at=Now() - timedelta(minutes=16))
    told()
    assert [m.to for m in mailoutbox[1:]] == [["boss@example.com"]]
    other = down("wms", minutes_ago=16)
    assert incidents.acknowledge(Incident.objects.filter(pk=other.pk), "ola") == 1
    paced()
    told()
    assert len(mailoutbox) == 2
    assert row.severity == "page"


def test_what_is_silenced_is_told_when_the_silence_ends(mailoutbox: list[Any]) -> None:
    path(channel("duty", "email", address="duty@example.com"))
    path(channel("boss", "email", address="boss@example.com"), minutes=15)
    Silence.objects.create(
        system="sap", starts_at=Now() - timedelta(hours=1), until=Now() + timedelta(hours=1),
        reason="a new release",
    )  # fmt: skip
    down("sap", minutes_ago=50)
    told()
    assert not mailoutbox
    Silence.objects.update(until=Now() - timedelta(seconds=1))
    told()
    assert [m.to for m in mailoutbox] == [["duty@example.com"]]


def test_a_message_waits_for_a_webhook_that_fails_and_comes_signed(endpoint: Endpoint) -> None:
    row = channel("ops", "webhook", address=endpoint.url)
    secret = channels.make_secret(row)
    row.save()
    path(row)
    down("sap")
    endpoint.status = 503
    told()
    sample()  # what waits is counted by channel
    command = OutboxCommand.objects.get()
    assert (command.state, command.attempts, command.error_code) == (
        "retrying", 1, "upstream.retryable",
    )  # fmt: skip
    endpoint.status = 204
    OutboxCommand.objects.update(next_attempt_at=Now())
    told()
    command.refresh_from_db()
    assert command.state == "applied"
    metrics.flush()
    boxes = metrics.total_by("box_seconds", "place", labels={"box": "outbox"}, minutes=5)
    assert boxes[("ops",)].count == 1
    headers, body = endpoint.taken[-1]
    said = Webhook(secret).verify(body, headers)
    assert said["type"] == "incidents.changed"
    (incident,) = said["data"]["incidents"]
    assert (incident["system"], incident["state"], incident["severity"]) == ("sap", "open", "page")
    assert Told.objects.count() == 1


def test_the_address_of_a_slack_webhook_is_seen_nowhere(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    base = endpoint.url.removesuffix("/changes")
    path(channel("slack", "slack", secret=base + SECRET_PATH))
    down("sap")
    for status in (500, 404, 200):
        endpoint.status = status
        OutboxCommand.objects.update(next_attempt_at=Now())
        told()
    assert endpoint.paths == [SECRET_PATH] * 3
    assert "*sap is down*" in json.loads(endpoint.taken[-1][1])["text"]
    command = OutboxCommand.objects.get()
    assert command.state == "applied"
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith("urllib3")]
    assert "not-to-be-seen" not in f"{command.errors} {command.error} {ours}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT secrets FROM observability_channel")
        assert "not-to-be-seen" not in cursor.fetchone()[0]


def test_sentry_gets_one_event_in_an_envelope(endpoint: Endpoint) -> None:
    host = endpoint.url.removesuffix("/changes").removeprefix("http://")
    path(channel("sentry", "sentry", secret=f"http://public@{host}/42"))
    down("sap")
    told()
    assert endpoint.paths == ["/api/42/envelope/"]
    headers, body = endpoint.taken[0]
    assert "sentry_key=public" in headers["x-sentry-auth"]
    header, item, payload, rest = body.split(b"\n", 3)
    event = json.loads(payload)
    assert json.loads(item) == {"type": "event", "length": len(payload)}
    assert json.loads(header)["event_id"] == event["event_id"]
    assert (event["level"], event["tags"]["system"], rest) == ("error", "sap", b"")
    assert event["message"]["formatted"] == "sap is down"
    assert not mail.outbox
