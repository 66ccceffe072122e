"""Ownership rules in the admin, and sizes that do not count what is huge."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from catalog import sizes
from catalog.entities import Variant
from catalog.ownership import OwnershipRule
from catalog.rule_changes import RuleChange, work
from tests import catalogue, console_demo

pytestmark = pytest.mark.django_db

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
ADD = "admin:catalog_ownershiprule_add"
RULE = {
    "entity": "stock",
    "field": "",
    "owner": "erp",
    "fallbacks": "pim",
    "others": "reject",
    "reason": "counted",
}


@pytest.fixture
def steward(client: Client) -> Client:
    console_demo.fill()
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    return client


def confirmed(page: Any) -> dict[str, list[str]]:
    """What the button of a page that asks to confirm sends."""
    found: dict[str, list[str]] = {}
    for name, value in HIDDEN.findall(page.content.decode()):
        found.setdefault(name, []).append(value)
    found.pop("csrfmiddlewaretoken", None)
    return found


def test_a_rule_is_shown_for_what_it_does_and_written_when_that_is_confirmed(
    client: Client,
) -> None:
    catalogue.fill(2)
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    wanted = {
        **RULE, "entity": "variant", "field": "gtin", "owner": "akeneo", "fallbacks": "",
    }  # fmt: skip
    rule = OwnershipRule.objects.get(entity="variant", field="gtin")
    change = reverse("admin:catalog_ownershiprule_change", args=[rule.pk])
    page = client.post(change, wanted)
    assert page.templates[0].name == "admin/catalog/ownershiprule/preview.html"
    shown = page.content.decode()
    assert "<b>4</b> of 4 records would have another value" in shown
    assert "4006381333931" in shown
    assert "0000000000000" in shown
    rule.refresh_from_db()
    assert rule.owner == "sap"
    assert not RuleChange.objects.exists()
    answer = client.post(change, confirmed(page), follow=True)
    assert any("the records that there are follow" in str(m) for m in answer.context["messages"])
    rule.refresh_from_db()
    assert rule.order == ("akeneo",)
    told = RuleChange.objects.get()
    assert told.before is not None
    assert (told.by, told.expected, told.before["owner"]) == ("ola", 4, "sap")
    while work():
        pass
    assert set(Variant.objects.filter(key__startswith="P-").values_list("gtin", flat=True)) == {
        "0000000000000"
    }
    page = client.get(reverse("admin:catalog_rulechange_change", args=[told.pk]))
    assert "4 (4 were expected)" in page.content.decode()


def test_a_rule_goes_only_after_a_look_and_not_where_others_then_contradict(
    steward: Client,
) -> None:
    OwnershipRule.objects.all().delete()
    rules = [
        OwnershipRule.objects.create(entity="price", owner="erp", **scope)
        for scope in (
            {"market": "DE"}, {"field": "amount"}, {"market": "DE", "field": "amount"},
        )
    ]  # fmt: skip
    address = reverse("admin:catalog_ownershiprule_delete", args=[rules[2].pk])
    answer = steward.get(address, follow=True)
    assert any("contradicts rule" in str(m) for m in answer.context["messages"])
    assert steward.post(address, {"post": "yes"}).status_code == 302
    assert OwnershipRule.objects.count() == 3
    address = reverse("admin:catalog_ownershiprule_delete", args=[rules[0].pk])
    page = steward.get(address)
    assert "What would change without the rule" in page.content.decode()
    steward.post(address, confirmed(page))
    assert RuleChange.objects.get().kind == "deleted"
    assert OwnershipRule.objects.count() == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"field": "colour"}, "stock has no field"),
        ({"owner": "erb"}, "Systems that are connected: erp, pim."),
        ({"fallbacks": "pim,crm"}, "No system &#x27;crm&#x27;"),
        ({"fallbacks": "erp"}, "named twice"),
        ({"entity": "unicorn"}, "not one of the available choices"),
        ({"market": "DE"}, "A stock is not for one market. It is of: "),
        ({"others": "fallback"}, "after how many seconds"),
        ({"locale": "de_DE"}, "Leave the locale empty"),
    ],
)
def test_a_rule_that_names_what_is_not_there_is_refused(
    steward: Client, wrong: dict[str, str], said: str
) -> None:
    page = steward.post(reverse(ADD), {**RULE, **wrong}).content.decode()
    assert said in page
    assert not OwnershipRule.objects.filter(entity="stock").exists()


def test_small_tables_are_counted_and_big_ones_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    console_demo.fill()
    assert str(sizes.entity_sizes()["variant"]) == "2"
    assert str(sizes.source_sizes()["erp", "order_lines"]) == "2"
    more = [{**console_demo.ARTICLE, "Product": f"T-2-{n}", "Gtin": None} for n in range(198)]
    console_demo.say("erp", "articles", more)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE catalog_variant; ANALYZE catalog_sourcerecord")
    monkeypatch.setattr(sizes, "EXACT", 10)
    assert str(sizes.entity_sizes()["variant"]) == "≈ 200"
    assert str(sizes.source_sizes()["erp", "articles"]) == "≈ 200"
