"""Usage by key, counted by two web processes over real HTTP, through stops and crashes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from django.db.models import Sum

from hub.auth.keys import issue_key, prefix_of
from hub.usage.counting import SECONDS
from hub.usage.models import FieldUsage, ObservedOperation, OperationUsage
from tests import catalogue
from tests.processes import children, until
from tests.web import Web, serving

pytestmark = pytest.mark.django_db(transaction=True)

QUERY = "query Card($sku: String!) { product(sku: $sku) { brand } }"
#: What a process may have to be waited for: it passes its numbers on this often.
PATIENCE = SECONDS * 2


@pytest.fixture(autouse=True)
def nothing_counted(transactional_db: None) -> None:
    """A server of other tests has passed its numbers on at its end."""
    del transactional_db
    for kept in (FieldUsage, OperationUsage, ObservedOperation):
        kept.objects.all().delete()


def ask(web: Web, key: str, query: str = QUERY, sku: str = "P-1") -> None:
    body = json.dumps({"query": query, "variables": {"sku": sku}}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    assert web.post("/graphql", body, headers).status == 200


def get(web: Web, key: str, path: str) -> None:
    assert web.request("GET", path, headers={"X-API-Key": key}).status == 200


def read(key: str, field: str) -> int:
    entity, name = field.split(".")
    rows = FieldUsage.objects.filter(key=prefix_of(key), entity=entity, field=name)
    return int(rows.aggregate(n=Sum("requests"))["n"] or 0)


def test_two_processes_count_each_request_once(tmp_path: Path) -> None:
    catalogue.fill(1)
    shop, app = issue_key("shop"), issue_key("app")
    explained = '{ product(sku: "P-1") { slug explain(field: "slug") { value } } }'
    with serving(tmp_path / "web.log") as web:
        for _ in range(20):
            ask(web, shop)
        for _ in range(3):
            ask(web, app, explained)  # not compiled: Graphene's
        for _ in range(4):
            get(web, app, "/api/v1/prices?market=DE")
        get(web, app, "/api/v1/variants?limit=1")
        until("numbers of both processes", lambda: read(shop, "product.brand") == 20, PATIENCE)
        for _ in range(5):
            ask(web, shop)
    # What was not passed on yet, a process passes on at its end.
    assert read(shop, "product.brand") == 25
    assert read(shop, "product.slug") == 0
    assert read(app, "product.slug") == 3
    assert read(app, "price.amount") == 4
    assert read(app, "variant.gtin") == 1
    assert read(app, "product.brand") == 0
    card = ObservedOperation.objects.get(name="GraphQL Card")
    assert card.reads == ["product.brand", "product.sku"]
    runs = OperationUsage.objects.filter(operation=card)
    assert [(run.key, run.requests) for run in runs] == [(prefix_of(shop), 25)]


def test_a_crash_loses_what_was_not_passed_on_and_no_more(tmp_path: Path) -> None:
    catalogue.fill(1)
    key = issue_key("shop")
    with serving(tmp_path / "web.log") as web:
        for _ in range(10):
            ask(web, key)
        until("numbers", lambda: read(key, "product.brand") == 10, PATIENCE)
        for _ in range(5):
            ask(web, key)
        workers = children(web.pid)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
    assert len(workers) >= 2
    assert 10 <= read(key, "product.brand") <= 15
    before = read(key, "product.brand")
    with serving(tmp_path / "again.log") as web:
        ask(web, key)
    assert read(key, "product.brand") == before + 1


def test_values_are_not_kept(tmp_path: Path) -> None:
    catalogue.fill(1)
    key = issue_key("shop")
    with serving(tmp_path / "web.log") as web:
        ask(web, key, '{ customers(filter: {email: "ada@example.com"}) { nodes { number } } }')
        ask(web, key, '{ customers(filter: {email: "bob@example.com"}) { nodes { number } } }')
    (operation,) = ObservedOperation.objects.all()
    assert "@" not in operation.text
    assert "customer.email" in operation.reads
    assert read(key, "customer.email") == 2
