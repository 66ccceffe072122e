"""REST reads answered in front of Django: the same records and lists as the views give."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.entities import entities
from hub import degraded
from hub.auth.keys import issue_key
from hub.auth.rights import EVERYTHING, rights_of
from hub.reads.execute import on_django
from hub.reads.rest import address_of, answered
from tests.asking import ALL, SCOPES
from tests.documents import shop
from tests.documents.compare import differing, pairs

pytestmark = pytest.mark.django_db

ASKED: list[dict[str, str]] = [
    {},
    {"include": "provenance"},
    {"include": "parts"},
    {"locale": "de-DE", "include": "parts,provenance"},
]
#: Members that some record has, alone and below others.
FIELDS = [
    "sku,name", "changed_at,sku,category.code,category.path.name,locales.name", "locales,min_price",
    "variants.sku", "variants,variants.sku", "variants.prices.amount,variants.stock,in_stock",
    "reviews.count", "reviews.nodes.rating", "reviews.average,reviews.nodes,min_price.currency",
    "min_price.amount,min_price.market", "category", "brand",
]  # fmt: skip


class Both:
    """Asks the views, and what stands in front of them, as the holder of a key of these scopes."""

    def __init__(self, client: Client, scopes: Sequence[str] = EVERYTHING) -> None:
        self.client, self.headers = client, {"X-API-Key": issue_key("tests", scopes)}
        self.who = ALL | {"rights": rights_of(tuple(scopes))}

    def same(self, path: str, **query: str) -> Any:
        """What both answer to an address; None where it is left to the views, which refuse it."""
        reference = self.client.get(quote(path), query, headers=self.headers)
        found = compiled(path, self.who, **query)
        if found is None:
            assert reference.status_code >= 400, (path, query)
            return None
        assert reference.status_code == 200
        marks = degraded.headers_of(found).get(degraded.HEADER)
        assert marks == reference.headers.get(degraded.HEADER), (path, query)
        told = differing(pairs(reference.content), pairs(found), path)
        assert not told, (query, told)
        return json.loads(found)


def compiled(path: str, who: dict[str, Any] = ALL, **query: str) -> bytes | None:
    address = address_of(path, urlencode(query))
    return None if address is None else answered(address, on_django, **who)


@pytest.fixture
def both(client: Client) -> Both:
    shop.open_shop()
    return Both(client)


def test_every_record_is_the_same(both: Both) -> None:
    for cls in entities().values():
        keys = [*cls._default_manager.order_by("pk").values_list("pk", flat=True)[:20], "nope"]
        for key, query in zip(keys, itertools.cycle(ASKED), strict=False):
            both.same(f"/api/v1/{cls.declaration.plural}/{key}", **query)


def test_every_list_is_the_same_page_by_page(both: Both) -> None:
    for cls in entities().values():
        for query in ASKED:
            following: dict[str, str] = {}
            while True:
                page = both.same(
                    f"/api/v1/{cls.declaration.plural}", limit="7", **query, **following
                )
                if page["next"] is None:
                    break
                following = {"cursor": page["next"]}


@pytest.mark.parametrize(
    ("plural", "query"),
    [
        ("products", {"brand": "Alpina"}),
        ("products", {"category": "cat_1", "in_stock": "true"}),
        ("products", {"in_stock": "0", "changed_since": "2026-01-01T00:00:00+02:00"}),
        ("products", {"changed_since": "2030-01-01T00:00:00Z"}),
        ("reviews", {"rating": "4"}),
        ("orders", {"customer": "10000001", "status": "completed"}),
        ("products", {"changed_since": "soon"}),
        ("products", {"in_stock": "perhaps"}),
        ("reviews", {"rating": "many"}),
        ("products", {"limit": "0"}),
        ("products", {"limit": "0000000005"}),
        ("products", {"cursor": "xx"}),
        ("products", {"locale": "xx"}),
        ("products", {"include": "nothing"}),
        ("products", {"unknown": "1"}),
        ("products", {"brand": "\x00"}),
        *(("products", {"fields": fields}) for fields in FIELDS),
        ("products", {"fields": "sku,variants.sku", "include": "provenance", "category": "cat_1"}),
        ("products", {"fields": ""}),
        ("products", {"fields": "sku,"}),
        ("products", {"fields": "sku.more"}),
        ("products", {"fields": "variants.nothing"}),
        ("categories", {"fields": "code,path.slug"}),
        ("customers", {"fields": "orders.lines.sku"}),
        ("customers", {"fields": "orders.lines.quantity,name"}),
    ],
)
def test_filters_narrow_and_refuse_alike(both: Both, plural: str, query: dict[str, str]) -> None:
    both.same(f"/api/v1/{plural}", **query)


def test_chosen_fields_alone_are_shown_and_read(both: Both) -> None:
    shown = both.same("/api/v1/products/P-1", fields="variants.sku,brand,category.name")
    assert list(shown) == ["brand", "category", "variants"]
    assert set(shown["category"]) == {"name"}
    assert shown["variants"] == [{"sku": "P-1-01"}]
    for fields in FIELDS:
        both.same("/api/v1/products/P-2", fields=fields)
        both.same("/api/v1/products/P-2", fields=fields, include="provenance")
    with CaptureQueriesContext(connection) as seen:
        compiled("/api/v1/products/P-1", fields="sku,variants.sku")
    assert "catalog_price" not in seen[0]["sql"]
    assert "description" not in seen[0]["sql"]


@pytest.mark.parametrize("scopes", SCOPES[1:])
def test_all_readers_are_shown_the_same_and_refused_alike(
    client: Client, scopes: tuple[str, ...]
) -> None:
    shop.open_shop()
    both = Both(client, scopes)
    for plural, key in (("products", "P-1"), ("customers", "10000001"), ("reviews", "")):
        for query in (*ASKED, {"market": "DE", "include": "parts,provenance"}):
            both.same(f"/api/v1/{plural}", **query)
            if key:
                both.same(f"/api/v1/{plural}/{key}", **query)
    for fields in FIELDS:
        both.same("/api/v1/products", fields=fields)
        both.same("/api/v1/products/P-1", fields=fields, include="provenance", market="us")
    both.same("/api/v1/products", in_stock="true")
    both.same("/api/v1/customers", fields="number,payment_account")


def test_what_is_derived_is_hidden_with_what_it_is_derived_from(client: Client) -> None:
    shop.open_shop()
    both = Both(client, ["read:product", "read:category", "read:stock", "trace:*"])
    chosen = "sku,in_stock,min_price"
    record = both.same("/api/v1/products/P-1", fields=chosen, include="provenance")
    assert (record["in_stock"], record["min_price"]) == (True, None)
    traced = {entry["field"] for entry in record["provenance"]}
    assert ("in_stock" in traced, "min_price" in traced) == (True, False)
    assert not [path for path in traced if ".prices." in path]
    told = both.client.get("/api/v1/products/P-1/explain/min_price", headers=both.headers).json()
    assert (told["value"], told["computed_from"]) == (None, [])
    # What is chosen decides which scopes it takes.
    assert both.same("/api/v1/products/P-1", fields="sku,variants.sku") is None
    assert both.same("/api/v1/products", fields="sku,variants.prices") is None
    assert both.same("/api/v1/products", fields="sku,reviews.average")["items"][0] == {
        "sku": "P-1",
        "reviews": {"average": None},
    }
    blind = Both(client, ["read:product", "read:category"])
    assert blind.same("/api/v1/products", in_stock="true") is None
    assert blind.same("/api/v1/products")["items"][0]["in_stock"] is None


def test_an_unknown_field_is_named_with_those_that_there_are(both: Both) -> None:
    answer = both.client.get(
        "/api/v1/products/P-1", {"fields": "sku,category.colour"}, headers=both.headers
    )
    assert answer.status_code == 400
    told = answer.json()["errors"][0]
    assert told["parameter"] == "fields"
    assert "'category.colour'; known are code, name, slug, path" in told["detail"]


def test_a_record_and_a_list_are_one_statement(both: Both) -> None:
    del both
    assert compiled("/api/v1/products/P-1")  # what is known of outages is looked up once a second
    with CaptureQueriesContext(connection) as seen:
        assert compiled("/api/v1/products/P-1", include="provenance")
        assert compiled("/api/v1/products", include="parts", category="cat_1")
    assert len(seen) == 2


def test_other_addresses_are_left_to_the_views() -> None:
    for path in (
        "/api/v1/", "/api/v1/openapi.json", "/api/v1/docs", "/api/v1/products/",
        "/api/v1/products/P-1/history", "/api/v1/products/P-1/explain/name", "/api/v1/nothing/1",
    ):  # fmt: skip
        assert address_of(path, "") is None
    assert address_of("/api/v1/products", f"brand={'x' * 3000}") is None
