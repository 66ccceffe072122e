"""The database refuses whoever writes an entity and is not the merge."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection, transaction

from catalog import guard
from catalog.entities import Price, Product, entities
from tests import catalogue
from tests.direct import written_directly

pytestmark = pytest.mark.django_db


def raw(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


WRITERS: dict[str, Callable[[], object]] = {
    "update": lambda: Product.objects.update(brand="mine"),
    "a row": lambda: Product.objects.get(pk="P-1").save(),
    "new": lambda: Product.objects.create(key="P-9", changed_at="2026-01-01T00:00:00Z"),
    "delete": lambda: Price.objects.filter(pk__isnull=False).delete(),
    "raw": lambda: raw("UPDATE catalog_product SET brand = 'mine'"),
    "nothing hit": lambda: raw("DELETE FROM catalog_product WHERE key = 'nobody'"),
    "copied": lambda: raw("INSERT INTO catalog_product SELECT * FROM catalog_product"),
    "by name": lambda: raw(
        "WITH x AS (UPDATE catalog_variant SET colour = 'red' RETURNING 1) SELECT * FROM x"
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_whoever_writes_past_the_merge_is_refused(writer: str) -> None:
    catalogue.fill(1)
    before = list(Product.objects.values())
    said = "entities are written by the merge alone"
    with pytest.raises(DatabaseError, match=said) as refused, transaction.atomic():
        WRITERS[writer]()
    assert "apply_contributions" in str(refused.value)
    assert list(Product.objects.values()) == before


def test_the_merge_takes_its_word_back_in_the_same_transaction() -> None:
    with transaction.atomic():
        catalogue.fill(1)
        with pytest.raises(DatabaseError, match="refused"), transaction.atomic():
            Product.objects.update(brand="mine")


def test_a_merge_that_fails_leaves_no_door_open() -> None:
    catalogue.fill(1)
    with transaction.atomic():
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            guard.written(cursor, "SELECT 1 / 0", {})
        with pytest.raises(DatabaseError, match="refused"), transaction.atomic():
            Product.objects.update(brand="mine")


def test_every_entity_table_has_the_trigger_and_gets_it_back() -> None:
    assert guard.protected()
    raw(f"DROP TRIGGER {guard.TRIGGER} ON catalog_review")
    assert not guard.protected()
    guard.protect()
    guard.protect()
    assert guard.protected()
    assert {cls._meta.db_table for cls in entities().values()} >= {"catalog_price"}


def test_a_test_that_means_it_may() -> None:
    catalogue.fill(1)
    with written_directly():
        Product.objects.update(brand="mine")
    assert Product.objects.get().brand == "mine"
