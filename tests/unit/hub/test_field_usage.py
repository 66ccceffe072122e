"""What an operation reads, who read it, and when its removal is safe."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from graphql import DocumentNode

from catalog.entities import Deprecated, Product
from hub.auth.keys import issue_key, prefix_of
from hub.auth.models import ApiKey
from hub.graphql.documents import checked
from hub.usage import counting
from hub.usage.models import FieldUsage, ObservedOperation, OperationUsage
from hub.usage.uses import fields_of, of_document, of_rest
from observability import retention

TODAY = datetime.now(UTC).date()
BRAND = "query Brands { products { nodes { brand } } }"


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """Nothing that other tests have asked for, in this process or of a server that has ended."""
    del db
    monkeypatch.setattr(counting, "_counted", {})
    for kept in (FieldUsage, OperationUsage, ObservedOperation):
        kept.objects.all().delete()


def document(text: str) -> DocumentNode:
    found = checked(text)
    assert isinstance(found, DocumentNode)
    return found


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('{ product(sku: "P-1") { slug } }', {"product.sku", "product.slug"}),
        ("{ products { edges { node { b: brand } } } }", {"product.brand"}),
        ("{ products { nodes { ...on Product { brand @skip(if: true) } } } }", {"product.brand"}),
        (
            "{ products { nodes { category { path { code } } } } }",
            {"product.category", "category.path", "category.code"},
        ),
        (
            "{ products { nodes { reviews { average } } } }",
            {"product.reviews", "review.rating"},
        ),
        (
            "{ variants(filter: {changedSince: null, gtin: null}) { nodes { stock { onHand } } } }",
            {"variant.changed_at", "variant.gtin", "variant.stock", "stock.on_hand"},
        ),
        (
            'query($f: StockFilter = {warehouse: "AMS"}) { stocks(filter: $f) { pageInfo { endCursor } } }',
            {"stock.warehouse"},
        ),
        ("{ __typename }", set()),
    ],
)
def test_what_a_document_reads(text: str, fields: set[str]) -> None:
    assert {".".join(field) for field in fields_of(document(text))} == fields


def told(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("api_contract", "usage", *arguments, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def read(key: str, times: int) -> None:
    uses = of_document(document(BRAND), None)
    for _ in range(times):
        counting.count(prefix_of(key), uses, "database", 1.0)
    counting.pass_on()


@pytest.mark.django_db
def test_who_reads_a_field_of_the_last_30_days(client: Client) -> None:
    shop, blog = issue_key("shop"), issue_key("blog")
    assert told("product.brand")[1].endswith("nobody in 30 days (and nothing was counted yet)\n")
    read(shop, 2)
    read(shop, 1)
    read(blog, 1)
    FieldUsage.objects.filter(key=prefix_of(blog)).update(day=TODAY - timedelta(40))
    OperationUsage.objects.filter(key=prefix_of(blog)).update(day=TODAY - timedelta(40))
    (row,) = json.loads(told("product.brand", "--json")[1])
    assert [(key["name"], key["requests"]) for key in row["keys"]] == [("shop", 3)]
    assert told("product.slug")[1].count("nobody in 30 days") == 1
    # In the admin, on the page of the key and on the page of all.
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    pk = ApiKey.objects.get(name="shop").pk
    page = client.get(reverse("admin:hub_apikey_change", args=[pk])).content.decode()
    assert "product.brand" in page
    listed = client.get(reverse("admin:hub_fieldusage_changelist"), {"q": "brand"})
    assert "product.brand" in listed.content.decode()


@pytest.mark.django_db
def test_a_removal_is_safe_when_nobody_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told() == (0, "no field is deprecated\n")
    for sunset, code in ((date(2026, 1, 1), 1), (date(2999, 1, 1), 0)):
        marks = {"brand": Deprecated(date(2025, 1, 1), sunset, "Read `name`.")}
        declared = replace(Product.declaration, deprecated=marks)
        monkeypatch.setattr(Product, "declaration", declared)
        read(issue_key("shop"), 1)
        assert told()[0] == code
        assert f"goes on {sunset}" in told()[1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "said"), [("product.brnd", "it has"), ("produkt.brand", "declared are")]
)
def test_an_unknown_field_is_named(field: str, said: str) -> None:
    with pytest.raises(CommandError, match=said) as raised:
        told(field)
    assert raised.value.returncode == 2


@pytest.mark.django_db
def test_what_is_old_goes_and_what_clients_invent_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = issue_key("shop")
    read(key, 1)
    FieldUsage.objects.update(day=TODAY - timedelta(93))
    counting.count(
        prefix_of(key), of_rest(Product, many=True, parts=False, provenance=False), "database", 1.0
    )
    monkeypatch.setattr(counting, "MOST_OPERATIONS", 1)
    counting.pass_on()
    # Counted by field, though its name is not kept.
    assert FieldUsage.objects.get(entity="product", field="slug").requests == 1
    assert [operation.name for operation in ObservedOperation.objects.all()] == [
        "GraphQL (unnamed)"
    ]
    assert retention.prune() == 1
    assert {row.day for row in FieldUsage.objects.all()} == {TODAY}


@pytest.mark.django_db(transaction=True)
def test_numbers_wait_for_a_database_that_refuses() -> None:
    key = issue_key("shop")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE hub_fieldusage RENAME TO elsewhere")
        try:
            read(key, 2)
        finally:
            cursor.execute("ALTER TABLE elsewhere RENAME TO hub_fieldusage")
    assert not FieldUsage.objects.exists()
    read(key, 1)
    assert FieldUsage.objects.get(field="brand").requests == 3


def test_a_long_document_that_waits_to_be_counted_is_not_held_parsed() -> None:
    """It comes anew with each request, and its nodes take a hundred times its length."""
    parsed = document("{ products { nodes { slug } } }" + " " * 9_000)
    waiting = of_document(parsed, None)
    assert parsed not in vars(waiting.operation).values()
    assert "slug" in waiting.operation.text
