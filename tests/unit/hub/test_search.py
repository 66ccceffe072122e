"""The search box: whatever somebody holds in hand leads to its page, and to nothing that is not theirs."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog import labels
from catalog.admin import entity_url
from catalog.entities import Customer, Product, entities
from catalog.matching.merging import merge
from connectors.models import Command, Connection, InboxEvent
from tests import console_demo
from tests.direct import written_directly

pytestmark = pytest.mark.django_db

STATEMENTS = 15
ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "changed_at": "2026-01-01T00:00Z"}


@pytest.fixture(autouse=True)
def demo() -> None:
    console_demo.fill()
    with written_directly():
        Customer.objects.create(key="10000001", **ADA)
    labels.follow()


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    return client


@pytest.fixture
def support(client: Client) -> Client:
    """Sees customers and orders, and no personal data."""
    user = User.objects.create_user("sam", is_staff=True)
    seen = Permission.objects.filter(codename__in=["view_customer", "view_order"])
    user.user_permissions.set(seen)
    client.force_login(user)
    return client


def leads_to(client: Client, asked: str) -> str:
    """Where a search goes at once; empty where it lists what it found."""
    with CaptureQueriesContext(connection) as seen:
        answer = client.get(reverse("find"), {"q": asked})
    assert len(seen) <= STATEMENTS, [q["sql"][:150] for q in seen.captured_queries]
    return str(answer.headers.get("Location", ""))


def listed(client: Client, asked: str) -> str:
    """The page of what was found, though it be one thing."""
    return client.get(reverse("find"), {"q": asked, "all": ""}).content.decode()


def test_every_entity_is_found_by_its_key_with_nothing_added_for_it(operator: Client) -> None:
    for name, cls in entities().items():
        with written_directly():
            cls._default_manager.create(key=f"Zz-{name}/1", changed_at="2026-01-01T00:00Z")
    for name in entities():
        assert leads_to(operator, f" Zz-{name}/1 ") == entity_url(name, f"Zz-{name}/1")


@pytest.mark.parametrize(
    ("asked", "name", "key"),
    [
        ("T-1-01", "variant", "T-1-01"),
        ("t-1-01", "variant", "T-1-01"),
        ("product:T-1", "product", "T-1"),
        ("4006381333931", "variant", "T-1-01"),
        ("0001", "price", "T-1-01/DE/EUR/2026-01-01"),
        ("77", "order", "77"),
        ("77/10", "order_line", "77/10"),
        ("ADA@example.com", "customer", "10000001"),
    ],
)
def test_one_thing_that_is_called_so_is_gone_to(
    operator: Client, asked: str, name: str, key: str
) -> None:
    assert leads_to(operator, asked) == entity_url(name, key)


def test_events_commands_and_correlation_ids_are_found(operator: Client) -> None:
    event = InboxEvent.objects.create(
        connection=Connection.objects.get(slug="erp"), event_id="evt-9", body=b"{}"
    )
    command = Command.objects.create(
        reference="cmd_9", operation="payment.authorise", caller="key", idempotency_key="mine-9",
        fingerprint="x", params={}, deadline_at="2026-01-01T00:00Z",
    )  # fmt: skip
    assert leads_to(operator, "evt-9") == reverse(
        "admin:connectors_inboxevent_change", args=[event.pk]
    )
    for asked in ("cmd_9", "mine-9"):
        found = reverse("admin:connectors_command_change", args=[command.pk])
        assert leads_to(operator, asked) == found
    trace = f"00-{console_demo.CORRELATION}-b7ad6b7169203331-01"
    for asked in (console_demo.CORRELATION, trace):
        assert console_demo.CORRELATION in leads_to(operator, asked)


def test_names_are_found_by_any_part_and_by_what_is_nearly_the_same(operator: Client) -> None:
    for asked in ("elt für zw", "TENT for", "alpina"):
        page = listed(operator, asked)
        assert entity_url("product", "T-1") in page, asked
    assert "Named nearly so" in listed(operator, "tent fro two")
    assert entity_url("product", "T-1") in listed(operator, "tent fro two")
    with written_directly():
        Product.objects.filter(key="T-1").update(deleted_at="2026-01-01T00:00Z")
    labels.LabelPosition.objects.all().delete()
    labels.follow()
    assert "Nothing is called so" in listed(operator, "elt für zw")


def test_the_beginning_of_a_key_lists_what_begins_so(operator: Client) -> None:
    assert leads_to(operator, "T-1-0") == ""
    page = listed(operator, "t-1-0")
    assert all(entity_url("variant", key) in page for key in ("T-1-01", "T-1-02"))
    assert "Nothing is called so" in listed(operator, "T_1")
    assert "Nothing is called so" in listed(operator, "%'; --\x00")


def test_a_merged_record_leads_to_the_one_that_it_stands_for(operator: Client) -> None:
    with written_directly():
        Customer.objects.create(key="20000002", **ADA)
    merge("customer", "20000002", "10000001", by="grace", reason="one person")
    assert entity_url("customer", "10000001") in listed(operator, "20000002")


def test_nobody_finds_what_they_may_not_see(support: Client) -> None:
    assert leads_to(support, "77") == entity_url("order", "77")
    for asked in ("T-1-01", "4006381333931", "0001", "tent for", "T-1"):
        assert "Nothing is called so" in listed(support, asked), asked
    # a whole address that somebody was told finds its customer, and shows no more than that
    assert leads_to(support, "ada@example.com") == entity_url("customer", "10000001")
    assert "Lovelace" not in listed(support, "ada@example.com")
    for asked in ("ada@exa", "lovelace", "love"):
        assert "Nothing is called so" in listed(support, asked), asked


def test_the_box_stands_on_every_page_of_the_admin(operator: Client) -> None:
    for address in (reverse("admin:index"), entity_url("variant", "T-1-01"), reverse("matrix")):
        assert 'id="hw-find-q"' in operator.get(address).content.decode()
