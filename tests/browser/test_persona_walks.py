"""A day of each person who works with the console, in their own role."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from catalog.conflicts import Conflict
from connectors.models import InboxEvent
from observability import alerts
from observability.alerts import AlertRule
from tests import console_demo
from tests.telling import TellingConnector, level, tell_many, telling, work

pytestmark = pytest.mark.django_db(transaction=True)

Become = Callable[[str], User]


def test_support_traces_a_wrong_price_to_the_record_of_the_erp_and_its_run(
    page: Any, become: Become
) -> None:
    run = console_demo.say("erp", "prices", [{**console_demo.PRICE, "Rate": "19.90"}])
    become("support")
    page.goto(reverse("admin:index"))
    page.keyboard.press("/")
    page.keyboard.type("T-1-01/DE")
    page.keyboard.press("Enter")
    page.locator(".hw-hits").get_by_role("link", name="T-1-01/DE/EUR/2026-01-01").first.click()
    amount = page.locator("#amount + tr")
    amount.locator("summary").click()
    assert amount.locator(".hw-marked").inner_text().strip() == '"Rate": "19.90",'
    assert "199.9" in page.locator("#history").inner_text()
    page.locator("#history").get_by_role("link", name=f"run #{run.pk}").click()
    assert "erp.prices" in page.locator("main").inner_text()
    page.go_back()
    page.locator("#amount").get_by_role("link", name="0001", exact=True).click()
    assert '"Material": "T-1-01"' in page.locator(".hw-payload").inner_text()


def test_an_operator_goes_from_the_alert_to_the_runbook_to_a_replay_to_green(
    page: Any, become: Become
) -> None:
    AlertRule.objects.update(ends_after_seconds=0)
    row = telling()
    TellingConnector.mapping_broken = True
    tell_many(row, [(f"e{n}", f"SKU-{n}", level(f"SKU-{n}", n, 9)) for n in range(3)])
    work()
    TellingConnector.mapping_broken = False
    alerts.evaluate(at_once=True)
    become("operator")
    page.goto(reverse("admin:index"))
    # The mapping is at the top; that letters are dead follows from it.
    trouble = page.locator("[data-kept=trouble]")
    trouble.locator(".hw-trouble", has_text="cannot be mapped").locator("summary").click()
    trouble.get_by_role("link", name="dead letters").click()
    page.locator(".hw-runbook").get_by_role("link", name="Replay").first.click()
    page.get_by_text("Put 3 dead letters of telling").wait_for()
    page.locator("main form").get_by_role("button").click()
    page.get_by_text("3 are tried again").wait_for()
    work()
    assert InboxEvent.objects.filter(state="applied").count() == 3
    alerts.evaluate(at_once=True)
    alerts.evaluate(at_once=True)
    page.reload()
    page.locator("main .hw-badge", has_text="resolved").first.wait_for()
    page.goto(reverse("admin:index"))
    assert trouble.get_by_text("dead letters").count() == 0


def test_a_steward_settles_a_conflict(page: Any, become: Become) -> None:
    become("steward")
    page.goto(reverse("admin:index"))
    page.keyboard.press("g")
    page.keyboard.press("c")
    page.locator("#counts a", has_text="gtin").click()
    page.locator("#result_list tbody a").first.click()
    page.get_by_role("link", name="Keep what survived…").click()
    page.locator("textarea[name=reason]").fill("read off the box")
    page.get_by_role("button", name="Keep 1").click()
    page.get_by_text("1 settled by hand.").wait_for()
    assert Conflict.objects.get(field="gtin").settled_by == "steward-one"


def test_an_auditor_exports_who_did_what(page: Any, become: Become, tmp_path: Path) -> None:
    become("operator")
    page.goto(reverse("admin:connectors_stream_changelist"))
    page.get_by_role("button", name="Resync now").first.click()
    page.get_by_text("Asked for").first.wait_for()
    become("auditor")
    page.goto(reverse("admin:observability_auditentry_changelist"))
    assert "operator-one" in page.locator("#result_list").inner_text()
    with page.expect_download() as exported:
        page.get_by_role("link", name="CSV").click()
    exported.value.save_as(tmp_path / "audit.csv")
    with (tmp_path / "audit.csv").open(newline="") as file:
        told = list(csv.DictReader(file))
    assert "operator-one" in {row["actor"] for row in told}
    page.goto(reverse("admin:connectors_stream_changelist"))
    assert page.get_by_role("button", name="Resync now").count() == 0
