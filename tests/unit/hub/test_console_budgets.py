"""What a page of the console may cost. `make bench-console` holds the same on a large catalogue."""

from __future__ import annotations

from collections import Counter

import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.admin.deleting import LISTED
from hub.auth.approvals import Approval
from tests import console_pages, console_rows

pytestmark = pytest.mark.django_db

STATEMENTS = 15
#: Django counts a list that nothing narrows twice. More is a look-up in a loop, or a field drawn anew.
SAME = 2
#: Fewer than this would mean that the walk no longer finds them.
AT_LEAST = 100


def test_every_page_opens_with_few_statements(client: Client) -> None:
    console_rows.fill()
    client.force_login(console_pages.person())
    client.get(reverse("admin:index"))  # what a process learns once
    costly, again, shown = {}, {}, 0
    for page in console_pages.pages():
        with CaptureQueriesContext(connection) as seen:
            shown += console_pages.opened(client, page) is not None
        asked = console_pages.asked(seen)
        if len(asked) > STATEMENTS and page.name not in console_pages.REHEARSED:
            costly[page.address] = [len(asked), *(sql[:120] for sql in asked)]
        often = [sql[:300] for sql, times in Counter(asked).items() if times > SAME]
        if often and page.name not in console_pages.REHEARSED:
            again[page.address] = often
    assert not costly
    assert not again
    assert shown > AT_LEAST


def test_a_deletion_counts_what_it_cannot_list(client: Client) -> None:
    client.force_login(console_pages.person())
    one = User.objects.create_user("one")
    address = reverse("admin:auth_user_delete", args=[one.pk])
    done = {"user": one, "action_flag": ADDITION, "change_message": "[]"}
    LogEntry.objects.bulk_create(LogEntry(object_repr=f"row {n}", **done) for n in range(LISTED))
    assert f"row {LISTED - 1}" in client.get(address).content.decode()
    LogEntry.objects.create(object_repr="one more", **done)
    page = client.get(address).content.decode()
    assert f"{LISTED + 1} log entries" in page
    assert "one more" not in page
    # Who asked for what stays known: nobody may delete an approval, nor with it the person.
    asked = [
        Approval(action=f"a{n}", says="", radius=1, limit=0, unit="", path="/", asked_by=one)
        for n in range(LISTED + 1)
    ]
    # One is enough, beside so many of what may go.
    Approval.objects.bulk_create(asked[:1])
    assert client.post(address, {"post": "yes"}).status_code == 403
    Approval.objects.bulk_create(asked[1:])
    page = client.get(address).content.decode()
    assert f"{LISTED + 1} approvals" in page
    assert "Take “Active” away instead" in page
    assert client.post(address, {"post": "yes"}).status_code == 403
    Approval.objects.all().delete()
    assert client.post(address, {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=one.pk).exists()
