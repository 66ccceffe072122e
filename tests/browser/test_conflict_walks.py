"""A steward settles a conflict, in a browser."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from catalog.admin import entity_url
from catalog.entities import Variant

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_steward_takes_a_losing_value_and_withdraws_it_again(page: Any) -> None:
    page.goto(reverse("admin:catalog_conflict_changelist"))
    page.locator("#counts a", has_text="gtin").click()
    page.locator("#result_list tbody a").first.click()
    page.get_by_text("erp owns variant.gtin").wait_for()
    page.get_by_role("link", name="Take what loses…").click()
    page.locator("textarea[name=reason]").fill("read off the box")
    page.get_by_role("button", name="Take 1").click()
    page.get_by_text("1 settled by hand").wait_for()
    assert Variant.objects.get(pk="T-1-01").gtin == "0000000000000"
    page.goto(f"{entity_url('variant', 'T-1-01')}#gtin")
    page.get_by_text("ola decided: read off the box").wait_for()
    page.get_by_role("button", name="Withdraw").click()
    page.get_by_text("the rules decide again").wait_for()
    assert Variant.objects.get(pk="T-1-01").gtin == "4006381333931"


def test_a_value_is_entered_for_a_field_from_its_lineage(page: Any) -> None:
    page.goto(entity_url("variant", "T-1-02"))
    page.locator("#name").get_by_role("link", name="Override…").click()
    page.get_by_role("button", name="Override").click()
    page.get_by_text("Say why").wait_for()
    page.locator("textarea[name=value_en_US]").fill("Tent, mint")
    page.locator("textarea[name=reason]").fill("renamed")
    page.get_by_role("button", name="Override").click()
    page.get_by_text("name is overridden").wait_for()
    assert Variant.objects.get(pk="T-1-02").name == {"en_US": "Tent, mint"}
