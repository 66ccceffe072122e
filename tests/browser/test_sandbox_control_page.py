"""The sandbox's control page, as a person uses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from connectors.sandbox.server import SandboxServer
from tests.sandboxes import running

WMS = {"Authorization": "Bearer wms-sandbox-token"}


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with running(60) as server:
        yield server


@pytest.fixture
def control(browser: Any, sandbox: SandboxServer) -> Iterator[Any]:
    """The page, opened; fails on script errors and on requests that leave us."""
    opened = browser.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(f"script error: {error}"))

    def check(request: Any) -> None:
        if not request.url.startswith((sandbox.url, "data:")):
            wrong.append(f"left us: {request.url}")

    opened.on("request", check)
    opened.goto(sandbox.url)
    opened.locator("#system-wms").wait_for()
    yield opened
    opened.close()
    assert not wrong


def test_stock_is_changed_and_a_mistake_is_told(control: Any, sandbox: SandboxServer) -> None:
    form = control.locator("form[data-post=stock]")
    form.locator("[name=on_hand]").fill("4321")
    form.get_by_role("button").click()
    control.get_by_text("Changed: P-000001-01").wait_for()
    address = f"{sandbox.url}/wms/api/v1/stock/AMS/P-000001-01"
    assert requests.get(address, headers=WMS, timeout=5).json()["on_hand"] == 4321
    form.locator("[name=sku]").fill("P-777777-01")
    form.get_by_role("button").click()
    control.get_by_text("no stock of sku 'P-777777-01'").wait_for()


def test_a_system_is_broken_and_healed(control: Any, sandbox: SandboxServer) -> None:
    card = control.locator("#system-wms")
    card.get_by_text("Break it").click()
    card.locator("select[name=kind]").select_option("rate_limited")
    card.locator("[name=retry_after]").fill("7")
    card.get_by_role("button", name="Switch on").click()
    card.locator(".badge", has_text="rate limited").wait_for()
    address = f"{sandbox.url}/wms/api/v1/warehouses"
    refused = requests.get(address, headers=WMS, timeout=5)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    control.locator("#requests", has_text="rate_limited").wait_for(timeout=10_000)
    card.get_by_role("button", name="Heal").click()
    card.locator(".badge", has_text="healthy").wait_for()
    assert requests.get(address, headers=WMS, timeout=5).status_code == 200


def test_a_record_is_opened_edited_and_never_read_as_html(
    control: Any, sandbox: SandboxServer
) -> None:
    control.locator("#system-salesforce").get_by_role("button", name="Account").click()
    document = control.locator("#record-doc")
    control.wait_for_function("document.getElementById('record-doc').value.includes('Name')")
    document.fill('{"Name": "<img src=x onerror=alert(1)>"}')
    control.get_by_role("button", name="Save").click()
    control.get_by_text("Saved", exact=True).wait_for()
    account = sandbox.sandbox.world.customer(0).account_id
    saved = requests.get(f"{sandbox.url}/_control/salesforce/Account/{account}", timeout=5).json()
    assert saved["Name"] == "<img src=x onerror=alert(1)>"
    assert control.locator("img").count() == 0
