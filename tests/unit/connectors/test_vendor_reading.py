"""Akeneo, Salesforce and Stripe over real HTTP: every record once, and what each fault comes to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta, timezone
from typing import Any

import pytest
import requests

from connectors.runtime.connector import connector_class
from connectors.runtime.declare import Ask
from connectors.sandbox.stripe_past import Past
from connectors.sandbox.world import LOTS, World
from observability.errors import (
    AuthExpiredError,
    GarbledError,
    HubError,
    RateLimitedError,
    RetryableError,
)
from tests.sandboxes import running, set_fault
from tests.vendors import everything, opened, said

PRODUCTS = 1200
CUSTOMERS = PRODUCTS // 4
PAST = Past(World(PRODUCTS))
REFUNDS, PAYOUTS = len(PAST.returned), len(PAST.days)
#: Collection in the sandbox and number of records, by stream. The root category is one more.
STREAMS = {
    ("akeneo", "categories"): ("categories", PRODUCTS // 20 + 1),
    ("akeneo", "products"): ("product_models", PRODUCTS),
    ("akeneo", "variants"): ("products", 2 * PRODUCTS),
    ("salesforce", "accounts"): ("Account", CUSTOMERS),
    ("salesforce", "contacts"): ("Contact", CUSTOMERS),
    ("salesforce", "reviews"): ("Review__c", 2 * PRODUCTS),
    ("salesforce", "lots"): ("Auction_Lot__c", LOTS),
    ("stripe", "payments"): ("payment_intents", PRODUCTS // 2),
    ("stripe", "refunds"): ("refunds", REFUNDS),
    ("stripe", "payouts"): ("payouts", PAYOUTS),
    ("stripe", "accounts"): ("customers", CUSTOMERS),
}
#: A field to rename in each stream: in a text, a number, and one that is nested.
FIELDS = [
    ("akeneo", "products", "values.name"),
    ("akeneo", "variants", "parent"),
    ("salesforce", "accounts", "BillingCity"),
    ("salesforce", "reviews", "Rating__c"),
    ("stripe", "payments", "amount"),
    ("stripe", "refunds", "amount"),
    ("stripe", "payouts", "arrival_date"),
    ("stripe", "accounts", "metadata"),
]
SYSTEMS = [("akeneo", "products"), ("salesforce", "reviews"), ("stripe", "payments")]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with running(PRODUCTS) as server:
        yield server.url


@pytest.fixture
def url(sandbox: str) -> Iterator[str]:
    yield sandbox
    for system in ("akeneo", "salesforce", "stripe"):
        requests.delete(f"{sandbox}/_control/faults/{system}", timeout=5)


def patch(url: str, system: str, stream: str, key: str, change: dict[str, Any]) -> None:
    target = f"{url}/_control/{system}/{STREAMS[system, stream][0]}/{key}"
    requests.post(target, json=change, timeout=5).raise_for_status()


@pytest.mark.parametrize(("system", "stream"), STREAMS)
def test_a_full_read_yields_every_record_once(url: str, system: str, stream: str) -> None:
    connector = opened(system, url)
    spec = connector.stream(stream)
    found = [said(spec, raw)[0] for raw in everything(connector, stream)]
    assert len(found) == len(set(found)) == STREAMS[system, stream][1]
    assert None not in found


@pytest.mark.parametrize(("system", "stream"), STREAMS)
def test_one_record_comes_as_in_the_page(url: str, system: str, stream: str) -> None:
    connector = opened(system, url)
    spec = connector.stream(stream)
    (member,) = spec.record_key
    page = connector.page(spec, Ask())
    raw = bytes(page.records[1])
    alone = connector.record(spec, json.loads(raw)[member])
    assert alone is not None
    assert said(spec, alone) == said(spec, raw)


@pytest.mark.parametrize(
    ("system", "stream", "key"),
    [
        ("akeneo", "products", "P-9/9 é"),
        ("salesforce", "reviews", "it's \\ not there"),
        ("stripe", "payments", "pi_nope"),
    ],
)
def test_a_record_that_is_not_there_is_none(url: str, system: str, stream: str, key: str) -> None:
    connector = opened(system, url)
    assert connector.record(connector.stream(stream), key) is None


@pytest.mark.parametrize(
    ("which", "key", "change", "field"),
    [
        (
            ("akeneo", "products"),
            "P-000003",
            {"values": {"brand": [{"data": "Neu", "locale": None, "scope": None}]}},
            ("brand", "Neu"),
        ),
        (
            ("salesforce", "reviews"),
            None,
            {"Title__c": "Ändert alles"},
            ("title", "Ändert alles"),
        ),
    ],
)
def test_changes_since_a_moment_are_read_with_what_is_as_old(
    url: str, which: tuple[str, str], key: str | None, change: dict[str, Any], field: Any
) -> None:
    system, stream = which
    connector = opened(system, url)
    spec = connector.stream(stream)
    assert spec.version is not None
    version = spec.version.reader()
    before = [spec.contract.model_validate_json(raw) for raw in everything(connector, stream)]
    newest = max(version(record) for record in before)
    as_old = {spec.entity_key(record) for record in before if version(record) == newest}
    key = key or spec.entity_key(before[0])
    assert key is not None
    patch(url, system, stream, key, change)
    # Another offset: what counts is the moment.
    since = newest.astimezone(timezone(timedelta(hours=5, minutes=30)))
    found = dict(said(spec, raw) for raw in everything(connector, stream, since))
    assert as_old <= found.keys()
    assert key in found
    assert found[key][field[0]] == field[1]
    assert len(found) < len(before)
    later = newest + timedelta(days=4000)
    assert everything(connector, stream, later) == []


def test_stripe_s_payments_are_read_in_full_because_they_change_without_a_date(url: str) -> None:
    connector = opened("stripe", url)
    spec = connector.stream("payments")
    assert not spec.incremental
    oldest = json.loads(everything(connector, "payments")[-1])["id"]
    patch(url, "stripe", "payments", oldest, {"status": "processing"})
    found = dict(said(spec, raw) for raw in everything(connector, "payments"))
    assert found[oldest]["status"] == "processing"


def test_salesforce_announces_what_was_deleted(url: str) -> None:
    connector = opened("salesforce", url)
    spec = connector.stream("reviews")
    assert spec.deleted is not None
    key = json.loads(everything(connector, "reviews")[5])["Id"]
    requests.delete(f"{url}/_control/salesforce/Review__c/{key}", timeout=5).raise_for_status()
    alone = connector.record(spec, key)
    assert alone is not None
    assert spec.deleted(spec.contract.model_validate_json(alone))


def test_a_deleted_stripe_customer_is_gone(url: str) -> None:
    key = ("sk_test_headwater", "")
    made = requests.post(f"{url}/v1/customers", auth=key, data={"name": "A"}, timeout=5).json()
    requests.delete(f"{url}/v1/customers/{made['id']}", auth=key, timeout=5).raise_for_status()
    left = requests.get(f"{url}/v1/customers/{made['id']}", auth=key, timeout=5)
    assert left.json()["deleted"] is True
    connector = opened("stripe", url)
    assert connector.record(connector.stream("accounts"), made["id"]) is None


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("system", "stream"), SYSTEMS[:2])
def test_a_token_that_is_refused_in_mid_run_is_renewed(url: str, system: str, stream: str) -> None:
    set_fault(url, system, kind="unauthorized", after=1, count=1)
    found = everything(opened(system, url), stream)
    assert len(found) >= STREAMS[system, stream][1]


def test_a_query_goes_on_where_its_locator_was_lost(url: str) -> None:
    """A run that is resumed after a maintenance window has a locator that nobody knows."""
    connector = opened("salesforce", url)
    spec = connector.stream("reviews")
    expected = set(everything(connector, "reviews"))
    first = connector.page(spec, Ask())
    assert first.next
    assert first.total == len(expected)
    set_fault(url, "salesforce", kind="unauthorized", count=1)  # takes the locators with it
    resumed = opened("salesforce", url)
    found, totals = [*map(bytes, first.records)], set()
    cursor: str | None = first.next
    while cursor:
        page = resumed.page(spec, Ask(cursor=cursor))
        found += map(bytes, page.records)
        totals.add(page.total)
        cursor = page.next
    assert set(found) == expected
    assert totals == {None}  # what is left is not the whole


@pytest.mark.parametrize(
    ("system", "wrong"),
    [
        ("akeneo", {"password": "guessed"}),
        ("akeneo", {"client_secret": "guessed"}),
        ("salesforce", {"client_secret": "guessed"}),
        ("stripe", {"api_key": "sk_test_guessed"}),
    ],
)
def test_wrong_credentials_pause_the_stream_and_are_not_told(
    url: str, system: str, wrong: dict[str, Any]
) -> None:
    connector = opened(system, url, **wrong)
    with pytest.raises(AuthExpiredError) as refused:
        connector.page(connector.streams[0], Ask())
    assert refused.value.status in {400, 401, 422}
    assert "sandbox-" not in str(refused.value.details())
    assert "akeneo-secret" not in str(refused.value.details())


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "down"}, RetryableError),
        ({"kind": "server_error"}, RetryableError),
        ({"kind": "rate_limited", "retry_after": 30}, RateLimitedError),
        ({"kind": "truncated"}, GarbledError),
        ({"kind": "garbage"}, GarbledError),
    ],
)
@pytest.mark.parametrize(("system", "stream"), SYSTEMS)
def test_faults_are_the_documented_errors(
    url: str, system: str, stream: str, fault: dict[str, Any], error: type[HubError]
) -> None:
    connector = opened(system, url, retries=0)
    spec = connector.stream(stream)
    first = connector.page(spec, Ask())
    assert first.next
    set_fault(url, system, **fault)
    with pytest.raises(error) as met:
        connector.page(spec, Ask(cursor=first.next))
    assert met.value.connection == system


@pytest.mark.parametrize(("system", "stream"), SYSTEMS)
def test_overlapping_pages_lose_nothing(url: str, system: str, stream: str) -> None:
    connector = opened(system, url)
    expected = set(everything(connector, stream))
    set_fault(url, system, kind="overlapping_pages")
    found = everything(connector, stream)
    assert set(found) == expected


@pytest.mark.parametrize(("system", "stream"), SYSTEMS)
def test_a_cursor_that_stands_still_shows(url: str, system: str, stream: str) -> None:
    connector = opened(system, url)
    spec = connector.stream(stream)
    set_fault(url, system, kind="stuck_cursor")
    cursors: list[str | None] = [None]
    for _ in range(4):
        page = connector.page(spec, Ask(cursor=cursors[-1]))
        assert page.next is not None
        cursors.append(page.next)
    # The pull ends the run when a page is followed by itself, or brings only what came before.
    assert len(set(cursors)) < len(cursors)


@pytest.mark.parametrize(("system", "stream", "field"), FIELDS)
@pytest.mark.parametrize("kind", ["renamed_field", "retyped_field"])
def test_a_field_that_changed_its_name_or_type_breaks_the_contract(
    url: str, system: str, stream: str, field: str, kind: str
) -> None:
    connector = opened(system, url)
    spec = connector.stream(stream)
    set_fault(url, system, kind=kind, field=field)
    records = connector.page(spec, Ask()).records
    assert records
    for raw in records:
        with pytest.raises(ValueError, match=field.rpartition(".")[2]):
            said(spec, bytes(raw))


def test_links_to_another_host_are_asked_of_the_connection(url: str) -> None:
    """Behind a proxy a PIM links to its own name, which may be nobody's or somebody else's."""
    connector = opened("akeneo", url)
    page = connector.page(connector.stream("products"), Ask())
    assert page.next is not None
    assert page.next.startswith("api/rest/v1/product-models?")


def test_settings_hide_what_is_secret() -> None:
    secret = {slug: connector_class(slug).Settings.secret_names() for slug, _ in SYSTEMS}
    assert secret == {
        "akeneo": {"client_secret", "password", "webhook_secret"},
        "salesforce": {"client_secret", "webhook_secret"},
        "stripe": {"api_key", "webhook_secret"},
    }
