"""What a page of the console may cost. `make bench-console` holds the same on a large catalogue."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests import console_pages, console_rows

pytestmark = pytest.mark.django_db

STATEMENTS = 15
#: Fewer than this would mean that the walk no longer finds them.
AT_LEAST = 100


def test_every_page_opens_with_few_statements(client: Client) -> None:
    console_rows.fill()
    client.force_login(console_pages.person())
    client.get(reverse("admin:index"))  # what a process learns once
    costly, shown = {}, 0
    for page in console_pages.pages():
        with CaptureQueriesContext(connection) as seen:
            shown += console_pages.opened(client, page) is not None
        asked = console_pages.asked(seen)
        if len(asked) > STATEMENTS and page.name not in console_pages.REHEARSED:
            costly[page.address] = [len(asked), *(sql[:120] for sql in asked)]
    assert not costly
    assert shown > AT_LEAST
