"""What support and operators do in the console, in a browser."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from catalog.admin import entity_url
from connectors.models import SyncRun
from tests import console_demo

pytestmark = pytest.mark.django_db(transaction=True)


def test_support_traces_a_price_to_the_member_that_the_erp_sent(page: Any) -> None:
    console_demo.say("erp", "prices", [{**console_demo.PRICE, "Rate": "189.00"}])
    page.goto(reverse("admin:catalog_product_changelist"))
    page.locator("input[name=q]").first.fill("T-1")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="T-1", exact=True).first.click()
    page.get_by_role("link", name="T-1-01/DE/EUR/2026-01-01").first.click()
    page.locator("#amount + tr summary").click()
    marked = page.locator("#amount + tr .hw-marked")
    assert marked.inner_text().strip() == '"Rate": "189.00",'
    assert "199.9" in page.locator("#history").inner_text()


def test_an_operator_asks_for_a_record_and_sees_its_run(page: Any) -> None:
    page.goto(entity_url("variant", "T-1-02"))
    page.get_by_role("button", name="Resync this record").click()
    assert "Asked for run" in page.locator("body").inner_text()
    run = SyncRun.objects.get(state="queued", kind="record")
    page.get_by_role("link", name=f"run #{run.pk}").first.click()
    assert "queued" in page.locator(".hw-badge").first.inner_text()


def test_bars_and_counters_move_without_a_reload(page: Any) -> None:
    run = console_demo.many_runs()["running"]
    page.goto(reverse("admin:connectors_syncrun_change", args=[run.pk]))
    page.evaluate("window.kept = true")
    assert "300 of 1,200" in page.locator(".hw-wide").inner_text()
    SyncRun.objects.filter(pk=run.pk).update(read=900, merged=77)
    page.get_by_text("900 of 1,200").wait_for(timeout=15_000)
    assert page.locator(".hw-wide .hw-bar").get_attribute("aria-valuenow") == "75"
    SyncRun.objects.filter(pk=run.pk).update(
        state="failed", error="the ERP went away", error_code="upstream.retryable"
    )
    page.get_by_text("the ERP went away").wait_for(timeout=15_000)
    assert page.get_by_role("button", name="Retry").is_visible()
    assert page.evaluate("window.kept")


def test_the_overview_leads_from_red_to_the_run(page: Any) -> None:
    console_demo.many_runs()
    page.goto(reverse("admin:index"))
    page.get_by_text("last run failed").click()
    page.get_by_text("Maintenance").first.wait_for()
