"""Derived columns: equal to their truth in the commit that changes a part, whatever the change."""

from __future__ import annotations

import io
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models.functions import Now

from catalog import derived
from catalog.entities import Price, Product
from catalog.merge import Cause
from catalog.notices import ChangeNotice
from catalog.source import source_id
from catalog.stage import Contribution, apply_contributions, payload_hash, withdraw
from tests.direct import written_directly

pytestmark = pytest.mark.django_db

TODAY = datetime.now(UTC).date()
DAY = timedelta(days=1)
BEFORE = datetime(2026, 1, 1, tzinfo=UTC)


def said(entity: str, key: str, version: int, fields: dict[str, Any]) -> Contribution:
    payload = json.dumps({"key": key, **fields}, default=str).encode()
    source = source_id("erp", entity, entity)
    return Contribution(source, key, key, payload, payload_hash(payload), fields, version)


def tell(entity: str, key: str, version: int = 1, **fields: Any) -> None:
    with transaction.atomic():
        apply_contributions([said(entity, key, version, fields)], Cause(), entities=[entity])


def gone(entity: str, *keys: str) -> None:
    with transaction.atomic():
        withdraw(source_id("erp", entity, entity), keys, Cause(), entity=entity)


def price(key: str, amount: str, variant: str = "V-1", version: int = 1, **fields: Any) -> None:
    given = {"variant": variant, "currency": "EUR", "market": "DE", **fields, "amount": amount}
    tell("price", key, version, **given)


def stock(key: str, available: int, variant: str = "V-1", version: int = 1) -> None:
    tell("stock", key, version, variant=variant, warehouse=key, available=available)


def shown(key: str = "P-1") -> tuple[bool, list[str]]:
    """Whether it is in stock, and its lowest amounts; they are what all rows together say."""
    assert derived.wrong(Product) == []
    row = Product.objects.get(pk=key)
    return row.in_stock, [f"{p['market']} {p['amount']}" for p in row.min_price]


@pytest.fixture
def product() -> None:
    tell("product", "P-1", brand="Alpina")
    tell("variant", "V-1", product="P-1")


def test_parts_that_come_change_and_go(product: None) -> None:
    del product
    assert shown() == (False, [])
    stock("AMS", 3)
    price("1", "25.9")
    price("2", "7", market="AT")
    price("3", "20.125")
    assert shown() == (True, ["AT 7.00", "DE 20.125"])
    stock("AMS", 0, version=2)
    price("3", "30", version=2)
    assert shown() == (False, ["AT 7.00", "DE 25.90"])
    gone("price", "1", "2")
    assert shown() == (False, ["DE 30.00"])
    price("1", "1", version=3)
    stock("LYS", 1)
    gone("stock", "AMS")
    assert shown() == (True, ["DE 1.00"])


def test_a_variant_that_moves_is_withdrawn_or_returns_takes_its_parts_along(product: None) -> None:
    del product
    tell("product", "P-2")
    stock("AMS", 3)
    price("1", "5")
    tell("variant", "V-1", 2, product="P-2")
    assert (shown("P-1"), shown("P-2")) == ((False, []), (True, ["DE 5.00"]))
    gone("variant", "V-1")
    assert shown("P-2") == (False, [])
    tell("variant", "V-1", 3, product="P-2")
    assert shown("P-2") == (True, ["DE 5.00"])
    price("1", "5", variant="unknown", version=2)
    assert shown("P-2") == (True, [])


def test_any_order_of_arrival_ends_alike() -> None:
    stock("AMS", 3)
    price("1", "5")
    tell("variant", "V-1", product="P-1")
    tell("product", "P-1")
    assert shown() == (True, ["DE 5.00"])
    gone("product", "P-1")
    price("1", "4", version=2)
    tell("product", "P-1", 2)
    assert shown() == (True, ["DE 4.00"])


def test_a_change_that_shows_is_told_of_and_one_that_does_not_is_not(product: None) -> None:
    del product
    stock("AMS", 3)
    with written_directly():
        Product.objects.update(changed_at=BEFORE)
    ChangeNotice.objects.all().delete()
    stock("AMS", 2, version=2)
    assert list(ChangeNotice.objects.values_list("entity", flat=True)) == ["stock"]
    assert Product.objects.get().changed_at == BEFORE
    stock("AMS", 0, version=3)
    told = ChangeNotice.objects.get(entity="product")
    assert (told.keys, told.kinds) == (["P-1"], ["changed"])
    assert Product.objects.get().changed_at > BEFORE


def test_prices_begin_and_end_by_the_calendar(product: None) -> None:
    del product
    price("1", "5", valid_to=str(TODAY))
    price("2", "9", valid_from=str(TODAY))
    price("3", "7", valid_from=str(TODAY + 9 * DAY))
    assert shown() == (False, ["DE 5.00"])
    assert Product.objects.get().min_price_changes == TODAY + DAY
    # the day after tomorrow, as far as the rows can tell
    with written_directly():
        Price.objects.filter(pk="1").update(valid_to=TODAY - DAY)
        Product.objects.update(min_price_changes=TODAY - DAY, changed_at=BEFORE)
    ChangeNotice.objects.all().delete()
    assert derived.renew_due() == 1
    assert shown() == (False, ["DE 9.00"])
    assert Product.objects.get().min_price_changes == TODAY + 9 * DAY
    assert ChangeNotice.objects.get().keys == ["P-1"]
    assert derived.renew_due() == 0


def test_what_differs_is_found_and_mended(product: None) -> None:
    del product
    stock("AMS", 3)
    with written_directly():
        Product.objects.update(in_stock=False, changed_at=Now())
    told = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("derived", stdout=told)
    assert "product: 1 differ: P-1" in told.getvalue()
    call_command("derived", "--mend", stdout=told)
    assert shown() == (True, [])
    call_command("derived", stdout=told)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("order", ["prices", "moves"])
def test_two_transactions_that_change_two_parts_at_once(product: None, order: str) -> None:
    """The second waits for the first, and sees what it did."""
    del product
    tell("product", "P-2")
    tell("variant", "V-2", product="P-1")
    price("1", "10")
    started = threading.Event()

    def second() -> None:
        try:
            started.wait(10)
            if order == "prices":
                price("2", "3", variant="V-2")
            else:
                tell("variant", "V-1", 2, product="P-2")
        finally:
            connection.close()

    other = threading.Thread(target=second)
    other.start()
    with transaction.atomic():
        key = "1" if order == "prices" else "3"
        version = 2
        price(key, "8", version=version)
        started.set()
        _wait_for_a_waiter()
    other.join(20)
    if order == "prices":
        assert shown() == (False, ["DE 3.00"])
    else:
        assert (shown("P-1"), shown("P-2")) == ((False, []), (False, ["DE 8.00"]))


@pytest.mark.django_db(transaction=True)
def test_a_price_and_its_variant_that_arrive_at_once() -> None:
    tell("product", "P-1")
    started = threading.Event()

    def second() -> None:
        try:
            started.wait(10)
            tell("variant", "V-1", product="P-1")
        finally:
            connection.close()

    other = threading.Thread(target=second)
    other.start()
    with transaction.atomic():
        price("1", "8")
        started.set()
        _wait_for_a_waiter()
    other.join(20)
    assert shown() == (False, ["DE 8.00"])


def _wait_for_a_waiter() -> None:
    """Until another connection waits for a lock of ours."""
    with connection.cursor() as cursor:
        for _ in range(400):
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
                " AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )
            if cursor.fetchone()[0]:
                return
            cursor.execute("SELECT pg_sleep(0.02)")
    raise AssertionError("nobody waits")
