"""A rise of conflicts above the usual of a field is an incident, and ends by itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse

from catalog.conflict_counts import ConflictCount, count_conflicts
from catalog.merge import Cause
from catalog.ownership import OwnershipRule
from catalog.source import source_id
from catalog.stage import Contribution, apply_contributions, payload_hash
from observability import retention
from observability.incidents import Incident

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rules() -> None:
    OwnershipRule.objects.create(entity="variant", owner="sap")


def say(system: str, count: int, version: int = 1, **fields: Any) -> None:
    source, payload = source_id(system, "variants", "variant"), json.dumps(fields).encode()
    said = [
        Contribution(source, f"V-{n}", f"V-{n}", payload, payload_hash(payload), fields, version)
        for n in range(count)
    ]
    with transaction.atomic():
        apply_contributions(said, Cause(), entities=["variant"])


def usually(gtin: int, hours: int = 48) -> None:
    """So many differed in each of the hours before this one."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for ago in range(1, hours + 1):
        hour = now - timedelta(hours=ago)
        ConflictCount.objects.create(hour=hour, entity="variant", field="", live=gtin, unsettled=0)
        if gtin:
            ConflictCount.objects.create(
                hour=hour, entity="variant", field="gtin", live=gtin, unsettled=0
            )


def counted() -> dict[str, tuple[int, int]]:
    """{field: (live, open)} of this hour."""
    newest = ConflictCount.objects.order_by("-hour").values_list("hour", flat=True)[0]
    rows = ConflictCount.objects.filter(hour=newest)
    return {row.field: (row.live, row.unsettled) for row in rows}


def test_what_differs_is_counted_by_field_and_what_no_longer_does_is_not() -> None:
    say("sap", 5, gtin="1")
    say("pim", 3, gtin="2", colour="red")
    count_conflicts()
    assert counted() == {"": (6, 0), "gtin": (3, 0), "colour": (3, 0)}
    OwnershipRule.objects.all().delete()
    say("pim", 3, 2, gtin="1", colour="red")
    say("pim", 1, 3, gtin="2", colour="red")
    count_conflicts()
    assert counted() == {"": (1, 1), "gtin": (1, 1), "colour": (0, 0)}


@pytest.mark.parametrize(("usual", "found"), [(0, 1), (4, 1), (30, 0)])
def test_a_rise_is_measured_by_the_usual_of_the_field(usual: int, found: int) -> None:
    usually(usual)
    say("sap", 40, gtin="1")
    say("pim", 40, gtin="2")
    count_conflicts()
    assert Incident.objects.filter(resolved_at=None).count() == found


def test_nothing_is_a_rise_while_the_usual_is_not_known_yet() -> None:
    usually(0, hours=20)
    say("sap", 40, gtin="1")
    say("pim", 40, gtin="2")
    count_conflicts()
    assert not Incident.objects.exists()


def test_the_incident_names_who_began_and_ends_when_they_agree_again() -> None:
    usually(2)
    say("sap", 40, gtin="1")
    say("pim", 40, gtin="2")
    count_conflicts()
    row = Incident.objects.get()
    assert (row.kind, row.system, row.subject) == ("conflict_rise", "pim", "variant.gtin")
    assert row.title == "variant.gtin: 40 values differ, usually 2"
    say("pim", 25, 2, gtin="1")
    count_conflicts()
    row.refresh_from_db()
    assert (row.resolved_at, row.details["live"], row.details["most"]) == (None, 15, 40)
    say("pim", 35, 3, gtin="1")
    count_conflicts()
    row.refresh_from_db()
    assert row.resolved_at is not None
    count_conflicts()
    assert Incident.objects.count() == 1


def test_its_page_has_the_runbook_and_leads_to_the_conflicts(client: Client) -> None:
    usually(2)
    say("sap", 40, gtin="1")
    say("pim", 40, gtin="2")
    count_conflicts()
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    address = reverse("admin:observability_incident_change", args=[Incident.objects.get().pk])
    page = client.get(address).content.decode()
    assert "Runbook: conflicts rise" in page
    listed = reverse("admin:catalog_conflict_changelist")
    assert f'href="{listed}?entity=variant&amp;field=gtin"' in page


def test_counts_are_kept_for_a_month() -> None:
    usually(2, hours=2)
    old = ConflictCount.objects.filter(field="gtin").first()
    assert old is not None
    ConflictCount.objects.filter(pk=old.pk).update(hour=datetime(2026, 1, 1, tzinfo=UTC))
    assert retention.prune() == 1
    assert ConflictCount.objects.count() == 3
