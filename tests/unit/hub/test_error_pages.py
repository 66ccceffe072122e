"""Where somebody may not go, nothing is, or something broke: the page says what to do next."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client, RequestFactory
from django.urls import reverse

from hub.rest.errors import server_error
from observability.context import correlation

pytestmark = pytest.mark.django_db


def test_who_is_refused_reads_as_whom_and_in_which_role(client: Client) -> None:
    sam = User.objects.create_user("sam", is_staff=True)
    sam.groups.set(Group.objects.filter(name="support"))
    client.force_login(sam)
    address = reverse("admin:observability_auditentry_changelist")
    answer = client.get(address)
    page = answer.content.decode()
    assert (answer.status_code, address in page) == (403, True)
    assert "logged in as sam, in the role support" in page


def test_what_is_not_there_leads_on_and_tells_strangers_no_pages(client: Client) -> None:
    page = client.get("/admin-of-old/").content.decode()
    assert "/admin-of-old/" in page
    assert reverse("find") not in page
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    answer = client.get("/admin-of-old/")
    assert (answer.status_code, reverse("find") in answer.content.decode()) == (404, True)


def test_what_broke_is_told_by_its_correlation_id() -> None:
    with correlation("4bf92f3577b34da6a3ce929d0e0e4736"):
        answer = server_error(RequestFactory().get("/admin/"))
    assert answer.status_code == 500
    assert "4bf92f3577b34da6a3ce929d0e0e4736" in answer.content.decode()


def test_a_form_that_has_expired_says_that_nothing_was_done() -> None:
    answer = Client(enforce_csrf_checks=True).post(reverse("admin:login"), {"username": "ola"})
    assert answer.status_code == 403
    assert "Nothing was done" in answer.content.decode()
