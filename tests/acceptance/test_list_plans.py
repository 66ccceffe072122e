"""A page of a list is a range of an index, read in the order in which it is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection

from catalog.entities import Product
from hub.listing import cursor
from hub.reads.plan import plan_of
from tests import catalogue
from tests.asking import ALL
from tests.direct import written_directly

pytestmark = pytest.mark.django_db

LIST = """query($after: String, $filter: ProductFilter) {
  products(first: 24, after: $after, filter: $filter) {
    nodes { sku name inStock minPrice { currency market amount } } pageInfo { endCursor } } }"""
#: As many products as make PostgreSQL think twice; what hangs on them is not looked at.
MANY = """
INSERT INTO catalog_product (key, brand, category_id, in_stock, provenance, changed_at)
SELECT 'X-' || lpad(n::text, 6, '0'), 'brand-' || n % 50, 'cat_' || n % 400, n % 2 = 0, '{}', now()
FROM generate_series(1, 20000) n"""


def nodes_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for below in plan.get("Plans", ()) for node in nodes_of(below))]


def explained(**variables: Any) -> list[dict[str, Any]]:
    """The nodes of the plan that the connections of the compiled reads would keep."""
    plan, literals = plan_of(LIST, None, variables)
    bound = plan.bind(variables, literals, **ALL)
    values = ", ".join(["%s"] * len(bound.parameters))
    with connection.cursor() as database:
        database.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        database.execute(f"PREPARE listed AS {bound.statement.sql.replace('%', '%%')}")
        database.execute(
            f"EXPLAIN (ANALYZE, FORMAT json) EXECUTE listed({values})", bound.parameters
        )
        told = database.fetchone()[0]
        database.execute("DEALLOCATE listed")
    told = json.loads(told) if isinstance(told, str) else told
    return nodes_of(told[0]["Plan"])


@pytest.mark.parametrize(
    ("narrowed", "index"),
    [
        ({}, "catalog_product_pkey"),
        ({"brand": "brand-7"}, "product_brand"),
        ({"category": "cat_7"}, "product_category"),
        ({"category": "cat_7", "inStock": True}, "product_category"),
        ({"inStock": True}, "product_in_stock"),
    ],
)
def test_a_page_reads_a_few_rows_of_an_index(narrowed: dict[str, Any], index: str) -> None:
    catalogue.fill(1)
    with written_directly(), connection.cursor() as database:
        database.execute(MANY)
        database.execute("ANALYZE catalog_product; ANALYZE catalog_category")
    after = cursor(Product(key="X-000100"))
    nodes = explained(after=after, filter=narrowed)
    used = [n for n in nodes if n.get("Relation Name") == "catalog_product"]
    assert [n.get("Index Name") for n in used] == [index]
    rows = sum(n["Actual Rows"] + n.get("Rows Removed by Filter", 0) for n in used)
    assert rows <= 60
    sorted_rows = [n["Actual Rows"] for n in nodes if "Sort" in n["Node Type"]]
    # One page from each category below the one that was asked for is put in order; nothing else is.
    assert len(sorted_rows) <= ("category" in narrowed)
    assert sum(sorted_rows) <= 25
    joined = {n.get("Relation Name") for n in nodes} - {None, "catalog_product"}
    assert joined <= {"catalog_category"}
