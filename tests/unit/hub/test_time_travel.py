"""A record as it was, and one field's story: what support shows to whoever asks why."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.admin import entity_url
from catalog.entities import Customer
from catalog.history import Revision
from catalog.matching.merging import merge
from connectors.models import Connection, InboxEvent
from tests import console_demo
from tests.direct import written_directly

pytestmark = pytest.mark.django_db

STATEMENTS = 15
MARCH = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRICE = "T-1-01/DE/EUR/2026-01-01"


@pytest.fixture(autouse=True)
def demo() -> None:
    """In March the price was 199.90; in April an event says 19.99."""
    console_demo.fill()
    Revision.objects.update(at=MARCH)
    console_demo.say("erp", "prices", [{**console_demo.PRICE, "Rate": "19.99"}])
    event = InboxEvent.objects.create(
        connection=Connection.objects.get(slug="erp"), event_id="evt-9", stream="prices",
        record_key="0001", body=json.dumps({**console_demo.PRICE, "Rate": "19.99"}).encode(),
    )  # fmt: skip
    Revision.objects.filter(key=PRICE, kind="changed").update(
        at=MARCH + timedelta(days=31), event_id=event.pk
    )


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    return client


def person(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("sam", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def read(client: Client, address: str, at: datetime | None = None) -> str:
    with CaptureQueriesContext(connection) as seen:
        answer = client.get(address, {"at": f"{at:%Y-%m-%dT%H:%MZ}"} if at else {})
    assert answer.status_code == 200
    statements = [q["sql"] for q in seen.captured_queries if "SAVEPOINT" not in q["sql"]]
    assert len(statements) <= STATEMENTS, [sql[:150] for sql in statements]
    return answer.content.decode()


def story(entity: str, key: str, field: str) -> str:
    return reverse("explain-page", args=[entity, key, field])


def ticket(page: str) -> str:
    return page.partition('id="ticket"')[2].partition(">")[2].partition("</pre>")[0]


def test_a_record_is_shown_as_it_was_with_what_differs_from_now(operator: Client) -> None:
    page = read(operator, entity_url("price", PRICE), MARCH)
    assert "1 field differs from now" in page
    line = page.partition('<tr id="amount"')[2].partition("</tr>")[0]
    assert "199.9" in line
    assert "19.99" in line
    assert "differs" in line
    assert 'id="step-on"' in page
    assert "2026-04-01T12:00:00.000000Z" in page.partition('id="step-on"')[2].partition(">")[0]
    assert "Every field is as it is now" in read(
        operator, entity_url("price", PRICE), MARCH + timedelta(days=40)
    )
    parts = read(operator, entity_url("variant", "T-1-01"), MARCH)
    assert "changed since" in parts
    assert "199.9" in parts


def test_what_was_not_there_or_is_not_known_is_said(operator: Client) -> None:
    before = MARCH - timedelta(days=1)
    page = read(operator, entity_url("price", PRICE), before)
    assert "did not know this record then" in page
    assert "199.9" not in page
    Revision.objects.filter(key=PRICE, kind="created").delete()
    assert "Nobody knows" in read(operator, entity_url("price", PRICE), before)
    wrong = operator.get(entity_url("price", PRICE), {"at": "yesterday"}).content.decode()
    assert "is no time" in wrong


def test_one_fields_story_names_value_source_cause_and_rule_and_copies_as_text(
    operator: Client,
) -> None:
    page = read(operator, story("price", PRICE, "amount"))
    told = ticket(page)
    for said in ("Value: 19.99", "From: erp prices, record 0001", "erp owns price",
                 "Prices are set in the ERP.", "2026-04-01 12:00:00 UTC", "by event",
                 f"http://testserver{story('price', PRICE, 'amount')}"):  # fmt: skip
        assert said in told, said
    assert "<a" not in told
    # what the event brought, with the member marked
    received = page.partition('id="cause"')[2]
    assert "event #" in received
    marked = received.partition("hw-marked")[2].partition("</span>")[0]
    assert "Rate" in marked
    then = ticket(read(operator, story("price", PRICE, "amount"), MARCH))
    assert "Value at 2026-03-01 12:00:00 UTC: 199.9" in then
    assert "Value now: 19.99" in then
    assert "did not know the record yet" in ticket(
        read(operator, story("price", PRICE, "amount"), MARCH - timedelta(days=1))
    )


def test_losing_values_are_told_and_a_path_of_provenance_leads_to_its_part(
    operator: Client,
) -> None:
    told = ticket(read(operator, story("variant", "T-1-01", "gtin")))
    assert "pim variants says 0000000000000: may not decide" in told
    path = story("variant", "T-1-01", "prices.DE-EUR-2026-01-01.amount")
    assert operator.get(path).headers["Location"] == story("price", PRICE, "amount")
    assert operator.get(story("variant", "T-1-01", "nonsense")).status_code == 404
    assert "derives it" in ticket(read(operator, story("product", "T-1", "min_price")))


def test_whoever_may_not_see_it_is_told_what_it_takes(client: Client) -> None:
    address = story("price", PRICE, "amount")
    # not logged in: asked to, and led back
    assert f"next={address}" in client.get(address).headers["Location"]
    client.force_login(User.objects.create_user("guest"))
    assert client.get(address).status_code == 403
    person(client, "view_product")
    refused = client.get(address)
    assert refused.status_code == 403
    assert "catalog.view_price" in refused.content.decode()


def test_personal_data_stays_covered_in_past_and_story(client: Client) -> None:
    with written_directly():
        Customer.objects.create(key="1", name="Ada Lovelace", country="GB", changed_at=MARCH)
    support = person(client, "view_customer")
    for at in (None, MARCH + timedelta(days=1)):
        page = read(support, story("customer", "1", "name"), at)
        assert "Lovelace" not in page
        assert "•••" in ticket(page)
        assert "Lovelace" not in read(support, entity_url("customer", "1"), at)
    assert "GB" in ticket(read(support, story("customer", "1", "country")))


def test_history_is_filtered_by_field_and_paged(operator: Client) -> None:
    Revision.objects.bulk_create(
        Revision(
            entity="price", key=PRICE, kind="changed", at=MARCH + timedelta(days=40, minutes=n),
            changes={"market" if n % 2 else "amount": [str(n), str(n + 1)]},
        )
        for n in range(120)
    )  # fmt: skip
    first = operator.get(entity_url("price", PRICE)).content.decode()
    assert first.count('class="hw-change"') == 50
    older = first.partition('id="history-older" href="')[2].partition("#")[0]
    second = operator.get(entity_url("price", PRICE) + older.replace("&amp;", "&")).content.decode()
    assert second.count('class="hw-change"') == 50
    narrowed = operator.get(entity_url("price", PRICE), {"field": "market"}).content.decode()
    history = narrowed.partition('id="history"')[2]
    assert history.count("<b>market</b>") == 50 - history.count(">created<")
    assert "<b>amount</b>" not in history


def test_merged_records_are_named_on_both_pages(operator: Client) -> None:
    with written_directly():
        for key in ("1", "2"):
            Customer.objects.create(key=key, name="Ada", changed_at=MARCH)
    merge("customer", "2", "1", by="grace", reason="one person")
    kept = operator.get(entity_url("customer", "1")).content.decode()
    assert "is said about this record" in kept
    assert entity_url("customer", "2") in kept
    assert "It stands for" in operator.get(entity_url("customer", "2")).content.decode()
