"""Nobody is kept out: axe on the console's pages, and the keyboard on the front page.

Pages are looked at until each template was; `make axe` looks at each page.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from tests import axe, console_pages, console_rows
from tests.console_pages import Page

pytestmark = pytest.mark.django_db(transaction=True)

EVERY = "HEADWATER_EVERY_PAGE"
ROWS = 2
#: Made by Django's own templates; `make axe` looks at them.
DJANGOS = (
    "_history",
    "password_change",
    "password_change_done",
    "_delete",
    "app_list",
    "_user_add",
)


def kinds(client: Client) -> Iterator[Page]:
    """Pages with a template that none before had; all of them where that is asked for."""
    seen: set[str] = set()
    every = bool(os.environ.get(EVERY))
    pages = console_pages.pages()
    named = {page.name: page for page in reversed(pages) if not page.name.endswith(DJANGOS)}
    for page in pages if every else named.values():
        answer = console_pages.opened(client, page)
        if answer is None or b"<html" not in answer.content:
            continue
        made_of = {template.name for template in answer.templates[:1]} | {
            template.name for template in answer.templates if _ours(template)
        }
        if every or made_of - seen:
            seen |= made_of
            yield page


def _ours(template: Any) -> bool:
    """Not one of Django's or Unfold's."""
    return bool(template.name) and str(template.origin.name).startswith(f"{settings.BASE_DIR}/")


def test_no_page_keeps_anybody_out(page: Any, client: Client) -> None:
    console_rows.fill_up(ROWS)
    source, wrong = axe.source(), {}
    for number, one in enumerate(kinds(client)):
        page.goto(one.address, wait_until="domcontentloaded")
        if found := axe.violations(page, source, whole=not number):
            wrong[one.address] = found
    assert not wrong
