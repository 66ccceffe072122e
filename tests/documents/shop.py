"""The shop of `tests.catalogue`, and rows with every oddity that a mirrored catalogue has.

Written past the merge, which would not let some of them arise in a test of two seconds.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db.models import F
from django.db.models.functions import Now

from catalog import derived
from catalog.entities import (
    Category,
    Customer,
    Entity,
    Order,
    OrderLine,
    Payment,
    Price,
    Product,
    Review,
    Stock,
    Variant,
    entities,
)
from catalog.source import SourceRecord
from observability import degradation, incidents
from observability.freshness import StreamFreshness
from tests import catalogue
from tests.direct import written_directly

CHANGED = datetime(2026, 2, 1, 12, 30, 15, 120_000, tzinfo=UTC)
PRODUCTS = 9


def open_shop() -> None:
    """Fill the empty database."""
    catalogue.fill(PRODUCTS)
    with written_directly():
        _odd_texts()
        _odd_numbers()
        _odd_references()
        _buried()
        _old_sources()
    for cls in entities().values():
        derived.renew(cls, derived.wrong(cls))
    _down()


def keys() -> dict[str, list[str]]:
    """Keys by GraphQL type name, of buried records too."""
    return {
        "".join(word.capitalize() for word in name.split("_")): [
            *cls._default_manager.values_list("pk", flat=True)
        ]
        for name, cls in entities().items()
    }


def _like(row: Entity, **values: object) -> None:
    """A copy of a row under another key."""
    for name, value in values.items():
        setattr(row, name, value)
    row._state.adding = True
    row.save(force_insert=True)


def _odd_texts() -> None:
    Product.objects.filter(pk="P-2").update(
        name={"en_US": "", "de_DE": None, "fr_FR": 'Tente "légère"\n\\ \u2028 😀'},
        description={},
        brand="\u0001\t<b>'%s %(x)s $1 {path}",
        changed_at=CHANGED,
    )
    Product.objects.filter(pk="P-3").update(name=None, slug="", brand=None)
    Product.objects.filter(pk="P-4").update(name={"it_IT": "Tenda"})
    _like(Product.objects.get(pk="P-1"), key="P-ünïcode/🏕 'x'")
    _like(Product.objects.get(pk="P-1"), key="P-" + "long" * 40)


def _odd_numbers() -> None:
    amounts = ["0", "0.5", "7", "12.3456", "1234567.1", "99999999999999.9999", "100", "0.01"]
    for place, price in enumerate(Price.objects.order_by("pk")[: len(amounts)]):
        Price.objects.filter(pk=price.pk).update(amount=Decimal(amounts[place]))
    first = Price.objects.order_by("pk").first()
    assert first is not None
    _like(first, key=f"{first.pk}/later", valid_from=None, valid_to=date(2026, 12, 31))
    for place, stock in enumerate(Stock.objects.order_by("pk")[:4]):
        Stock.objects.filter(pk=stock.pk).update(
            on_hand=Decimal(["0.001", "10", "-3.5", "2.250"][place]), reserved=None
        )
    review = Review.objects.order_by("pk").first()
    assert review is not None
    # 33 / 8 = 4.125: where rounding half up, half to even and in binary part ways
    for place, rating in enumerate((5, 4, 4, 4, 4, 4, 4, 4)):
        _like(review, key=f"tie-{place}", product_id="P-2", rating=rating)
    for place, some in enumerate((1, None, None)):
        _like(review, key=f"some-{place}", product_id="P-3", rating=some, written_at=CHANGED)
    _like(review, key="none", product_id="P-4", rating=None, body=None)


def _odd_references() -> None:
    Product.objects.filter(pk="P-5").update(category_id="not announced")
    Product.objects.filter(pk="P-6").update(category_id=None)
    Variant.objects.filter(pk="P-6-02").update(product_id="P-7")
    OrderLine.objects.update(variant_id="P-9-01")
    category = Category.objects.get(pk="cat_3")
    for key, parent in (("ring_1", "ring_3"), ("ring_2", "ring_1"), ("ring_3", "ring_2"),
                        ("self", "self"), ("lost", "never came"), ("deep", "cat_3")):  # fmt: skip
        _like(category, key=key, parent_id=parent)
    Product.objects.filter(pk="P-7").update(category_id="ring_2")
    Product.objects.filter(pk="P-8").update(category_id="self")
    customer = Customer.objects.get(pk="10000001")
    _like(customer, key="10000002", email="ada@example.test", country="FR")
    order = Order.objects.get()
    _like(order, key="0000000002", customer_id="10000002", placed_at=None, total=None)
    _like(order, key="0000000003", customer_id=None)
    line = OrderLine.objects.get()
    _like(line, key="0000000002/10", order_id="0000000002", quantity=Decimal("0.125"))
    _like(line, key="0000000002/None", order_id="0000000002", position=None)
    payment = Payment.objects.get()
    _like(payment, key="pi_2", order_id="0000000002", customer_id="10000002")


def _buried() -> None:
    buried = {"deleted_at": Now()}
    Product.objects.filter(pk="P-9").update(**buried)
    Variant.objects.filter(pk__in=["P-1-02", "P-9-01"]).update(**buried)
    Category.objects.filter(pk="cat_2").update(**buried)
    Stock.objects.filter(variant_id="P-2-01", warehouse="LYS").update(**buried)
    Review.objects.filter(pk="tie-7").update(**buried)
    Price.objects.filter(variant_id="P-4-01").update(**buried)


def _down() -> None:
    """Two systems that are down, one of which says nothing that an address may show."""
    cause = 'it said "no" \\ 😀'
    incidents.find(incidents.Incident.Kind.SYSTEM_DOWN, "sap", "sap is down", cause=cause)
    incidents.find(incidents.Incident.Kind.SYSTEM_DOWN, "nobody", "nobody is down")
    degradation.forget()


def _old_sources() -> None:
    """Streams that fell behind, never began or are unknown, and records that are gone."""
    hours = timedelta(hours=1)
    StreamFreshness.objects.filter(system="sap").update(watermark=Now() - 2 * hours)
    StreamFreshness.objects.filter(system="wms").update(watermark=None)
    StreamFreshness.objects.filter(system="salesforce").delete()
    SourceRecord.objects.filter(source__system="sap").update(observed_at=F("observed_at") - hours)
    SourceRecord.objects.filter(source__system="akeneo", record_key="P-5").delete()
    SourceRecord.objects.filter(source__system="akeneo", record_key="P-4").update(
        observed_at=CHANGED, event_id=12, run_id=None, correlation_id=""
    )
    Product.objects.filter(pk="P-8").update(provenance={})
