"""Ownership rules in the admin, and sizes that do not count what is huge."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from catalog import sizes
from catalog.ownership import OwnershipRule
from tests import console_demo

pytestmark = pytest.mark.django_db

ADD = "admin:catalog_ownershiprule_add"
RULE = {"entity": "stock", "field": "", "owner": "erp", "fallbacks": "pim", "reason": "counted"}


@pytest.fixture
def steward(client: Client) -> Client:
    console_demo.fill()
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    return client


def test_a_rule_is_kept_and_says_when_it_takes_effect(steward: Client) -> None:
    answer = steward.post(reverse(ADD), RULE, follow=True)
    assert any("next change of each record" in str(m) for m in answer.context["messages"])
    assert OwnershipRule.objects.get(entity="stock").order == ("erp", "pim")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"field": "colour"}, "stock has no field"),
        ({"owner": "erb"}, "Systems that are connected: erp, pim."),
        ({"fallbacks": "pim,crm"}, "No system &#x27;crm&#x27;"),
        ({"fallbacks": "erp"}, "named twice"),
        ({"entity": "unicorn"}, "not one of the available choices"),
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
