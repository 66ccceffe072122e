"""A headless Chromium on a live server; skipped, with the reason, where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from tests import console_demo

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One browser for the session."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH")
    # Playwright runs an event loop in this thread, in which Django would refuse the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page(browser: Any, live_server: Any, client: Client) -> Iterator[Any]:
    """A page of a logged-in operator; fails on script errors and on requests that leave us."""
    console_demo.fill()
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1500, "height": 950})
    session = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(f"script error: {error}"))

    def check(request: Any) -> None:
        if not request.url.startswith((live_server.url, "data:", "blob:")):
            wrong.append(f"left us: {request.url}")

    opened.on("request", check)
    yield opened
    context.close()
    assert not wrong


@pytest.fixture
def become(page: Any, live_server: Any, client: Client) -> Callable[[str], User]:
    """Log in as a person who has one role, in the page that is open."""

    def person(role: str) -> User:
        user = User.objects.create_user(f"{role}-one", is_staff=True)
        user.groups.set(Group.objects.filter(name=role))
        client.force_login(user)
        session = client.cookies["sessionid"].value
        page.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        return user

    return person
