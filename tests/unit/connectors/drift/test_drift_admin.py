"""Drift in the admin: what an operator sees and decides, and what support may not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from connectors.drift.patch import patch
from connectors.drift.stopping import stop
from connectors.models import (
    Connection,
    DriftIncident,
    DriftPolicy,
    FieldAlias,
    QuarantinedRecord,
    SyncRun,
)
from connectors.sap.connector import SapConnector
from connectors.sap.streams import ORDERS, PRODUCTS
from tests.telling import TellingConnector, key, level, telling, worked

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "admin:connectors_driftincident_changelist"
HOSTILE = "<script>alert(1)</script>`"


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    return client


@pytest.fixture
def row() -> Connection:
    """Ten records whose `available` was renamed; the first one's key is an attack."""
    made = telling()
    names = [HOSTILE, *(f"S-{number}" for number in range(9))]
    for second, old in ((1, True), (2, False)):
        for number, sku in enumerate(names):
            record = level(sku, number, second)
            if not old:
                record["AVAILABLE"] = record.pop("available")
            TellingConnector.held[key(sku)] = record
        worked(made, "full")
    return made


def page(client: Client, row: DriftIncident) -> str:
    answer = client.get(reverse("admin:connectors_driftincident_change", args=[row.pk]))
    assert answer.status_code == 200
    text: str = answer.content.decode()
    return text


@pytest.mark.usefixtures("row")
def test_an_incident_shows_its_samples_its_likely_cause_and_its_runbook(operator: Client) -> None:
    incident = DriftIncident.objects.get()
    text = page(operator, incident)
    words = strip_tags(text)
    assert "AVAILABLE equals the former available in 100.0 % of 10 records" in words
    assert "10 of 10 records (100.0%)" in text
    assert "stock.available" in text
    general = reverse("admin:observability_incident_change", args=[incident.pk])
    assert f'href="{general}"' in text
    runbook = operator.get(general).content.decode()
    assert "<h2>Runbook: contract drift</h2>" in runbook
    assert "<code>manage.py contract pull telling</code>" in runbook
    assert (
        reverse("admin:observability_incident_step", args=[incident.pk, "accept_alias"]) in runbook
    )
    assert "<script>alert" not in text + runbook
    listed = operator.get(reverse(LIST)).content.decode()
    assert "telling.stock: available is missing" in listed
    overview = operator.get(reverse("admin:index")).content.decode()
    assert overview.count("telling.stock: available is missing") == 1


@pytest.mark.usefixtures("row")
def test_one_click_accepts_the_alias_and_asks_for_the_replay(operator: Client) -> None:
    incident = DriftIncident.objects.get()
    operator.post(reverse(LIST), {"one": f"accept_alias:{incident.pk}", "member": "on_hand"})
    assert not FieldAlias.objects.exists()
    answer = operator.post(reverse(LIST), {"one": f"accept_alias:{incident.pk}"}, follow=True)
    assert "available is read as AVAILABLE until" in answer.content.decode()
    alias = FieldAlias.objects.get()
    assert (alias.accepted_by, alias.renamed) == ("ola", "AVAILABLE")
    assert (alias.until - alias.accepted_at).days == 30
    kinds = set(SyncRun.objects.filter(state="queued").values_list("kind", flat=True))
    assert kinds == {"remap", "incremental"}
    assert "Alias in force" in page(operator, incident)
    operator.post(reverse("admin:connectors_fieldalias_changelist"), {"one": f"end_now:{alias.pk}"})
    alias.refresh_from_db()
    assert alias.ended_because == "ended by ola"


@pytest.mark.usefixtures("row")
def test_support_sees_it_and_decides_nothing(client: Client) -> None:
    support = User.objects.create_user("sue", "sue@example.com", "x", is_staff=True)
    names = ("view_driftincident", "view_stream", "view_quarantinedrecord")
    support.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(support)
    incident = DriftIncident.objects.get()
    assert "Accept as an alias" not in page(client, incident)
    answer = client.post(reverse(LIST), {"one": f"accept_alias:{incident.pk}"})
    assert answer.status_code == 403
    assert not FieldAlias.objects.exists()


def test_a_policy_is_entered_and_one_that_cannot_be_kept_is_refused(
    operator: Client, row: Connection
) -> None:
    address = reverse("admin:connectors_driftpolicy_add")
    given: dict[str, Any] = {
        "stream": row.streams.get().pk, "path": "bin", "breach": "unknown", "action": "drop",
        "note": "",
    }  # fmt: skip
    answer = operator.post(address, given)
    assert "accept and report it, or stop the stream" in answer.content.decode()
    given |= {"path": "available", "breach": "missing"}
    assert operator.post(address, given).status_code == 302
    assert DriftPolicy.objects.get().action == "drop"
    listed = operator.get(reverse("admin:connectors_driftpolicy_changelist"))
    assert "available" in listed.content.decode()


def test_what_is_held_is_replayed_and_a_stopped_stream_resumed(
    operator: Client, row: Connection
) -> None:
    stream = row.streams.get()
    DriftPolicy.objects.create(stream=stream, path="available", action="accept")
    streams = reverse("admin:connectors_stream_changelist")
    operator.post(streams, {"one": f"replay_held:{stream.pk}"})
    run = SyncRun.objects.get(state="queued")
    assert (run.kind, run.cursor) == ("remap", "held:0")
    worked(row, "remap")
    assert not QuarantinedRecord.objects.exists()
    stop(stream, "for a test")
    shown = operator.get(reverse("admin:connectors_stream_change", args=[stream.pk]))
    assert "for a test" in shown.content.decode()
    operator.post(streams, {"one": f"resume:{stream.pk}"})
    stream.refresh_from_db()
    assert (stream.stopped_at, stream.stopped_because) == (None, "")
    assert SyncRun.objects.filter(state="queued", kind="incremental").exists()


def test_additive_drift_has_a_page(operator: Client, row: Connection) -> None:
    TellingConnector.held[key("S-1")] = level("S-1", 1, 3, bin=json.loads('"7-B"'))
    worked(row, "full")
    listed = operator.get(reverse("admin:connectors_memberchange_changelist")).content.decode()
    assert "bin" in listed
    assert "7-B" in listed


def test_the_patch_changes_what_speaks_about_the_stream_and_nothing_else() -> None:
    made = patch(SapConnector, PRODUCTS, "ProductGroup", "PRODUCT_GROUP")
    changed = [
        line for line in made.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    assert changed == [
        "-    ProductGroup: str",
        "+    PRODUCT_GROUP: str",
        "-    ProductGroup: str | None",
        "+    PRODUCT_GROUP: str | None",
        '-        "group": "ProductGroup",',
        '+        "group": "PRODUCT_GROUP",',
    ]
    assert "--- a/connectors/sap/streams.py\n+++ b/connectors/sap/streams.py\n" in made
    # Prices and stock have a Material of their own.
    made = patch(SapConnector, ORDERS, "to_Item.results.Material", "MATERIAL")
    added = [line for line in made.splitlines() if line[:1] == "+" and line[:3] != "+++"]
    assert added == [
        "+    MATERIAL: str",
        "+    MATERIAL: str | None",
        '+        "variant": "MATERIAL",',
    ]
