"""Payment reconciliation as an accountant uses it: the page, the table, the command."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from catalog import settlement
from catalog.source import SourceRecord
from tests import catalogue

pytestmark = pytest.mark.django_db


@pytest.fixture
def accountant(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Of a shop where an order and its payment do not agree, and a payment has no order."""
    for kind in settlement.WINDOWS:
        monkeypatch.setitem(settlement.WINDOWS, kind, timedelta(0))
    catalogue.fill(1)
    captured = {**catalogue.PAYMENT, "amount_received": 20_000}
    stray = {**catalogue.PAYMENT, "id": "pi_9", "metadata": {"order_number": "=HYPERLINK(1)"}}
    catalogue.say("stripe", "payments", [captured, stray])
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


def test_both_sides_lead_to_their_lineage_and_to_what_was_received(accountant: Client) -> None:
    page = accountant.get(reverse("settlement"), {"kind": "captured_less_than_ordered"})
    text = page.content.decode()
    assert "259.80" in text
    assert "200.00" in text
    for key in ("0000000001", "pi_1"):
        record = SourceRecord.objects.get(record_key=key)
        address = reverse("admin:catalog_sourcerecord_change", args=[record.pk])
        assert f'href="{address}"' in text
        raw = accountant.get(address).content.decode()
        assert key in raw
    for model, key in (("order", "0000000001"), ("payment", "pi_1")):
        lineage = reverse(f"admin:catalog_{model}_change", args=[key.replace("_", "_5F")])
        assert f'href="{lineage}"' in text
        assert accountant.get(lineage).status_code == 200


def test_each_kind_is_counted(accountant: Client) -> None:
    context = accountant.get(reverse("settlement")).context
    counted = {count.kind: count.open for count, _, _ in context["kinds"] if count.open}
    assert counted == {
        "captured_less_than_ordered": 1,
        "payment_without_order": 1,
        "payout_line_differs": 1,
    }
    assert context["open"] == 3


def test_the_table_holds_all_and_no_formula(accountant: Client) -> None:
    answer = accountant.get(reverse("settlement"), {"format": "csv"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    text = answer.getvalue().decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 3
    stray = next(row for row in rows if row["kind"] == "payment_without_order")
    assert (stray["key"], stray["other_key"]) == ("pi_9", "'=HYPERLINK(1)")
    assert (stray["expected"], stray["found"], stray["currency"]) == ("0.00", "259.80", "EUR")


@pytest.mark.parametrize("query", [{"kind": "nope"}, {"page": "x"}])
def test_what_is_not_there_is_a_404(accountant: Client, query: dict[str, str]) -> None:
    assert accountant.get(reverse("settlement"), query).status_code == 404


def test_who_may_not_see_payments_may_not_see_it(client: Client) -> None:
    user = User.objects.create_user("eve", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_product"))
    client.force_login(user)
    assert client.get(reverse("settlement")).status_code == 403
    assert reverse("settlement") not in client.get(reverse("admin:index")).content.decode()


@pytest.mark.usefixtures("accountant")
def test_the_command_tells_writes_the_table_and_fails(tmp_path: Path) -> None:
    out, file = io.StringIO(), tmp_path / "all.csv"
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile_payments", csv=str(file), stdout=out)
    assert ended.value.code == 1
    assert "3 differences" in out.getvalue()
    assert len(file.read_text().splitlines()) == 4


@pytest.mark.usefixtures("accountant")
def test_the_command_is_content_where_a_kind_adds_up() -> None:
    out = io.StringIO()
    call_command("reconcile_payments", kind="refund_without_payment", stdout=out)
    assert "adds up" in out.getvalue()
    with pytest.raises(CommandError, match="order_without_payment"):
        call_command("reconcile_payments", kind="nope", stdout=out)
