"""An operator clears the dead letters of a broken mapping, without a shell."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from catalog.entities import Stock
from connectors.models import InboxEvent
from tests.telling import TellingConnector, level, tell_many, telling, work

pytestmark = pytest.mark.django_db(transaction=True)

LETTERS = 500


def broken_mapping() -> None:
    """500 events that a mapping could not bear, and four others; the mapping is mended now."""
    row = telling()
    for number in range(3):
        tell_many(row, [(f"old{number}", f"SKU-{number:04}", level(f"SKU-{number:04}", 1, 1))])
    work()
    TellingConnector.mapping_broken = True
    skus = [f"SKU-{number:04}" for number in range(LETTERS)]
    tell_many(row, [(f"e{n}", sku, level(sku, 40 + n, 60)) for n, sku in enumerate(skus)])
    others = [(f"x{n}", f"X-{n}", {**level("X", 1, 1), "updated_at": None}) for n in range(4)]
    tell_many(row, others)
    work()
    TellingConnector.mapping_broken = False


def test_500_dead_letters_of_a_broken_mapping_are_cleared(page: Any) -> None:
    broken_mapping()
    page.goto(reverse("admin:index"))
    page.get_by_role("link", name="Inbox").first.click()
    assert "504 dead letters" in page.locator(".hw-causes h2").inner_text()
    assert page.get_by_role("link", name="Replay all").count() == 0
    # Filter, then group.
    page.get_by_label("connection").select_option("telling")
    page.get_by_label("error code").select_option("contract")
    page.get_by_role("button", name="Filter").click()
    first = page.locator(".hw-causes tbody tr").first
    assert "no unit of measure" in first.inner_text()
    first.get_by_role("link", name="Choose").click()
    # The dry run.
    page.get_by_role("link", name="Replay all 500…").click()
    assert "A replay of 500 dead letters would do this" in page.locator(".hw-title").inner_text()
    assert "applied" in page.locator("#outcomes").inner_text()
    assert "500" in page.locator("#outcomes .hw-badge").inner_text()
    assert "available 1 → 40" in page.locator("#changes").inner_text()
    assert "none" in page.locator("#calls h2").inner_text()
    assert InboxEvent.objects.filter(state="dead").count() == LETTERS + 4
    # The replay.
    page.get_by_role("button", name="Replay all 500").click()
    page.get_by_text("500 dead letters are in the inbox again.").wait_for()
    page.get_by_text("500 received").wait_for()
    work()
    page.get_by_role("link", name="Look again").click()
    page.get_by_text("500 applied").wait_for()
    page.locator(".hw-tabs").get_by_role("link", name="Dead letters").click()
    page.get_by_text("4 dead letters match the filter").wait_for()
    assert Stock.objects.filter(key="SKU-0499/AMS", available=539).exists()


def test_one_letter_is_looked_at_and_replayed(page: Any) -> None:
    broken_mapping()
    page.goto(reverse("admin:connectors_inboxevent_changelist") + "?q=AMS/SKU-0007")
    page.locator(".hw-causes tbody").get_by_role("link", name="#").click()
    assert "no unit of measure for Decimal('47')" in page.locator("#attempts").inner_text()
    assert '"available": "47"' in page.locator(".hw-payload").inner_text()
    page.get_by_role("link", name="Replay…").click()
    page.get_by_role("button", name="Replay 1", exact=True).click()
    page.get_by_text("1 dead letter is in the inbox again.").wait_for()
    work()
    page.get_by_role("link", name="Look again").click()
    page.get_by_text("1 applied").wait_for()


def test_ticked_letters_are_replayed(page: Any) -> None:
    broken_mapping()
    page.goto(reverse("admin:connectors_inboxevent_changelist") + "?q=AMS/X-")
    for number in (0, 1):
        page.locator("input.action-select").nth(number).check()
    page.locator("select[name=action]").select_option("replay_selected")
    page.get_by_role("button", name="Run").click()
    page.get_by_text("A replay of 2 dead letters").wait_for()
    assert "fails again: contract: updated_at" in page.locator("#outcomes").inner_text()
