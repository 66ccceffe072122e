"""REST reads answered in front of Django: the same records and lists as the views give."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.entities import entities
from hub.auth.keys import issue_key
from hub.reads.execute import on_django
from hub.reads.rest import address_of, answered
from tests.asking import ALL
from tests.documents import shop
from tests.documents.compare import differing, pairs

pytestmark = pytest.mark.django_db

ASKED: list[dict[str, str]] = [
    {},
    {"include": "provenance"},
    {"include": "parts"},
    {"locale": "de-DE", "include": "parts,provenance"},
]


class Both:
    """Asks the views, and what stands in front of them."""

    def __init__(self, client: Client) -> None:
        self.client, self.headers = client, {"X-API-Key": issue_key("tests")}

    def same(self, path: str, **query: str) -> Any:
        """What both answer to an address; None where it is left to the views, which refuse it."""
        reference = self.client.get(quote(path), query, headers=self.headers)
        found = compiled(path, **query)
        if found is None:
            assert reference.status_code >= 400, (path, query)
            return None
        assert reference.status_code == 200
        told = differing(pairs(reference.content), pairs(found), path)
        assert not told, (query, told)
        return json.loads(found)


def compiled(path: str, **query: str) -> bytes | None:
    address = address_of(path, urlencode(query))
    return None if address is None else answered(address, on_django, **ALL)


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
    ],
)
def test_filters_narrow_and_refuse_alike(both: Both, plural: str, query: dict[str, str]) -> None:
    both.same(f"/api/v1/{plural}", **query)


def test_a_record_and_a_list_are_one_statement(both: Both) -> None:
    del both
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
