"""Conflicts and overrides in the admin: who sees them, and how a person settles them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from catalog.admin import entity_url
from catalog.conflicts import Conflict
from catalog.entities import Customer, Variant
from catalog.overrides import Override
from catalog.source import SourceRecord
from tests import catalogue, console_demo

pytestmark = pytest.mark.django_db

LIST = "admin:catalog_conflict_changelist"
SETTLE = "admin:catalog_conflict_settle"
ADD = "admin:catalog_override_add"
GTIN = "4006381333931"


@pytest.fixture
def steward(client: Client) -> Client:
    console_demo.fill()
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    return client


def person(client: Client, *may: str) -> Client:
    """Logged in with these permissions of the catalogue."""
    user = User.objects.create_user("per", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=may))
    client.force_login(user)
    return client


def conflict(field: str = "gtin") -> Conflict:
    return Conflict.objects.get(field=field, closed_at=None)


def page_of(row: Conflict) -> str:
    return reverse("admin:catalog_conflict_change", args=[row.pk])


def read(client: Client, address: str, **query: Any) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def settle(client: Client, how: str, rows: list[Conflict], **said: str) -> Any:
    seen = client.get(reverse(SETTLE), _asked(how, rows)).context["seen"]
    return client.post(reverse(SETTLE), {**_asked(how, rows), "seen": seen, **said}, follow=True)


def _asked(how: str, rows: list[Conflict]) -> dict[str, str]:
    return {"how": how, "ids": ",".join(str(row.pk) for row in rows)}


def test_the_list_counts_by_field_and_is_narrowed_by_everything(steward: Client) -> None:
    page = read(steward, reverse(LIST))
    assert "variant.<wbr>gtin" in page
    assert "0000000000000" in page
    assert GTIN in page
    for narrowed, there in (
        ({"field": "gtin", "entity": "variant"}, True),
        ({"field": "name"}, False),
        ({"loser": "pim"}, True),
        ({"loser": "erp"}, False),
        ({"winner": "erp"}, True),
        ({"state": "by_rule"}, True),
        ({"state": "open"}, False),
        ({"state": "over"}, False),
        ({"age": "hour"}, True),
        ({"age": "older_week"}, False),
    ):
        assert ("0000000000000" in read(steward, reverse(LIST), **narrowed)) is there, narrowed


def test_a_conflict_shows_both_sides_and_leads_to_the_record_and_back(steward: Client) -> None:
    row = conflict()
    page = read(steward, page_of(row))
    assert "&quot;Gtin&quot;: &quot;0000000000000&quot;" in page
    assert f"&quot;Gtin&quot;: &quot;{GTIN}&quot;" in page
    assert "erp owns variant.gtin" in page
    lineage = entity_url("variant", "T-1-01")
    assert f'href="{lineage}#gtin"' in page
    assert f'href="{page_of(row)}"' in read(steward, lineage)


def test_a_losing_value_is_taken_and_the_override_withdrawn_from_the_lineage(
    steward: Client,
) -> None:
    settle(steward, "take", [conflict()], reason="the box says so")
    assert Variant.objects.get(pk="T-1-01").gtin == "0000000000000"
    lineage = read(steward, entity_url("variant", "T-1-01"))
    assert "ola decided: the box says so" in lineage
    made = Override.objects.get()
    back = entity_url("variant", "T-1-01")
    steward.post(
        reverse("admin:catalog_override_changelist"), {"one": f"withdraw:{made.pk}", "next": back}
    )
    assert Variant.objects.get(pk="T-1-01").gtin == GTIN
    assert conflict().state == "by_rule"


def test_what_survived_is_kept_with_a_reason(steward: Client) -> None:
    assert "Say why" in settle(steward, "keep", [conflict()], reason=" ").content.decode()
    assert conflict().state == "by_rule"
    settle(steward, "keep", [conflict()], reason="asked the vendor")
    row = conflict()
    assert (row.state, row.settled_by, row.settled_because) == (
        "by_hand",
        "ola",
        "asked the vendor",
    )
    assert "asked the vendor" in read(steward, page_of(row))


def test_many_are_settled_at_once_from_the_list(steward: Client) -> None:
    console_demo.say(
        "pim", "variants", [{"Product": "T-1-02", "Gtin": "0000000000002", "Text": "Tent, red"}]
    )
    console_demo.say("erp", "articles", [{**console_demo.ARTICLE, "Product": "T-1-02"}])
    rows = list(Conflict.objects.filter(field="gtin", closed_at=None))
    assert len(rows) == 2
    answer = steward.post(
        reverse(LIST), {"action": "take", "_selected_action": [row.pk for row in rows]}
    )
    assert answer["Location"].startswith(reverse(SETTLE))
    settle(steward, "take", rows, reason="the PIM is right")
    numbers = Variant.objects.order_by("pk").values_list("gtin", flat=True)
    assert list(numbers) == ["0000000000000", "0000000000002"]


def test_what_changed_since_it_was_shown_is_not_settled(steward: Client) -> None:
    row = conflict()
    asked = _asked("take", [row])
    page = steward.post(
        reverse(SETTLE), {**asked, "seen": "2026-01-01T00:00:00+00:00", "reason": "right"},
        follow=True,
    )  # fmt: skip
    assert "1 changed since they were shown" in page.content.decode()
    assert not Override.objects.exists()


def test_another_value_is_entered_on_the_page_of_the_field(steward: Client) -> None:
    address = f"{reverse(ADD)}?entity=variant&key=T-1-01&field=name"
    page = read(steward, reverse(ADD), entity="variant", key="T-1-01", field="name")
    assert "TENT 2P" in page
    erp = SourceRecord.objects.get(source__stream="articles", record_key="T-1-01")
    start = steward.get(f"{address}&from={erp.pk}").context["form"]["value_en_US"]
    assert start.initial == "TENT 2P"
    refused = steward.post(address, {"value_en_US": "", "reason": ""}).content.decode()
    assert "cannot say nothing" in refused
    assert "Say why" in refused
    steward.post(
        address, {"value_en_US": "Tent, mint", "reason": "new", "until": "2099-01-01T00:00"}
    )
    assert Variant.objects.get(pk="T-1-01").name == {"en_US": "Tent, mint"}
    assert str(Override.objects.get().until).startswith("2099-01-01")


def test_the_form_says_which_part_of_it_is_wrong(steward: Client) -> None:
    address = f"{reverse(ADD)}?entity=price&key=T-1-01/DE/EUR/2026-01-01&field=amount"
    page = steward.post(
        address, {"value": "a lot", "reason": "sale", "until": "2020-01-01T00:00"}
    ).content.decode()
    assert "price.amount cannot be" in page
    assert "has to lie ahead" in page
    assert not Override.objects.exists()


def test_support_reads_and_only_stewards_settle(client: Client) -> None:
    console_demo.fill()
    row = conflict()
    support = person(client, "view_conflict", "view_override", "view_variant")
    assert "Take what loses" not in read(support, page_of(row))
    assert support.get(reverse(SETTLE), _asked("take", [row])).status_code == 403
    asked = {"entity": "variant", "key": "T-1-01", "field": "gtin"}
    assert support.get(reverse(ADD), asked).status_code == 403


def test_nobody_sees_a_conflict_about_people_who_may_not_see_the_people(client: Client) -> None:
    catalogue.fill(1)
    row = Conflict.objects.get(entity="customer", field="name", closed_at=None)
    assert "LOVELACE" in str(row.value)
    support = person(client, "view_conflict", "view_override", "view_variant", "add_override")
    for address in (reverse(LIST), reverse("admin:catalog_override_changelist")):
        page = read(support, address)
        assert "LOVELACE" not in page
        assert "customer.<wbr>" not in page
    assert support.get(page_of(row)).status_code == 302
    asked = {"entity": "customer", "key": row.key, "field": "name"}
    assert support.get(reverse(ADD), asked).status_code == 403
    support.get(reverse(SETTLE), _asked("take", [row]))
    support.post(reverse(SETTLE), {**_asked("take", [row]), "reason": "mine"})
    assert Customer.objects.get(pk=row.key).name == "Ada Lovelace"
