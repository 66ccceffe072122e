"""The front page at two in the morning: by keyboard, on a phone, without scripts, and left open."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse

from observability import incidents
from observability.incidents import Incident

pytestmark = pytest.mark.django_db(transaction=True)


@transaction.atomic
def outage() -> None:
    """The ERP is down, and two things follow from it."""
    cause = incidents.find("system_down", "erp", "erp does not answer", cause="5 of 5 calls failed")
    for stream in ("prices", "articles"):
        incidents.find("lag", "erp", f"erp.{stream} is older than promised", stream=stream)
    Incident.objects.exclude(pk=cause).update(part_of=cause)


def test_an_outage_is_one_line_with_what_follows_below_it(page: Any) -> None:
    outage()
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(reverse("admin:index"))
    trouble = page.locator("[data-kept=trouble]")
    first = trouble.locator(".hw-trouble").first
    assert first.locator("a").first.inner_text().startswith("now erp does not answer")
    assert trouble.get_by_text("erp.prices is older").is_hidden()
    first.locator("summary").click()
    assert trouble.get_by_text("erp.prices is older").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_renews_itself_and_nobody_loses_their_place(page: Any) -> None:
    page.goto(reverse("admin:index"))
    page.get_by_text("all well").wait_for()
    link = page.locator("[data-kept=lag] a").first
    link.focus()
    before = link.get_attribute("href")
    page.evaluate("window.kept = true; window.scrollTo(0, 200)")
    outage()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_text("erp does not answer").wait_for()
    assert page.title().startswith("(1)")
    assert page.evaluate("document.activeElement.getAttribute('href')") == before
    assert page.evaluate("[window.kept, window.scrollY]") == [True, 200]


def test_the_keyboard_is_enough(page: Any) -> None:
    page.goto(reverse("admin:index"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "hw-main"
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("g i")  # what is typed is no shortcut
    assert page.evaluate("document.activeElement.value") == "g i"
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_url("**/observability/incident/")


def test_it_works_without_scripts(browser: Any, live_server: Any, page: Any) -> None:
    outage()
    plain = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    plain.add_cookies(page.context.cookies())
    shown = plain.new_page()
    shown.goto(reverse("admin:index"))
    shown.get_by_role("link", name="erp does not answer").click()
    assert shown.get_by_text("5 of 5 calls failed").first.is_visible()
    plain.close()
