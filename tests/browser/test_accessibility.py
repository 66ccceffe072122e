"""Nobody is kept out: axe on the console's pages, and the keyboard on the front page.

Of pages that are made by the same templates one is looked at; `make axe` looks at each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from tests import axe, console_pages, console_rows
from tests.console_pages import Page

pytestmark = pytest.mark.django_db(transaction=True)

EVERY = "HEADWATER_EVERY_PAGE"
ROWS = 2
#: Of every page the same, or a field of a form: they do not make another kind of page.
PIECES = ("unfold/", "django/", "admin/filter", "admin/edit_inline")


def kinds(client: Client) -> Iterator[Page]:
    """One page for each set of templates; all of them where that is asked for."""
    seen: set[frozenset[str]] = set()
    for page in console_pages.pages():
        answer = console_pages.opened(client, page)
        if answer is None or b"<html" not in answer.content:
            continue
        made_of = frozenset(
            template.name
            for template in answer.templates
            if template.name and not template.name.startswith(PIECES)
        )
        if made_of not in seen or os.environ.get(EVERY):
            seen.add(made_of)
            yield page


def test_no_page_keeps_anybody_out(page: Any, client: Client) -> None:
    console_rows.fill_up(ROWS)
    source, wrong = axe.source(), {}
    for number, one in enumerate(kinds(client)):
        page.goto(one.address)
        if found := axe.violations(page, source, whole=not number):
            wrong[one.address] = found
    assert not wrong
