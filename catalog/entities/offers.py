"""What a variant costs, how many there are, and what customers say about its product."""

from __future__ import annotations

from django.db import models

from catalog.entities.base import (
    PERSONAL,
    Declaration,
    Entity,
    Money,
    Quantity,
    Reference,
)


class Price(Entity):
    """One price of a variant in a market; natural key `sku/market/currency/valid_from`."""

    variant = Reference("catalog.Variant", related_name="prices")
    market = models.TextField(null=True, help_text="ISO 3166-1 alpha-2 country of the market.")
    currency = models.TextField(null=True, help_text="ISO 4217 code.")
    amount = Money()
    valid_from = models.DateField(null=True)
    valid_to = models.DateField(null=True, help_text="Last day, inclusive; empty: open-ended.")

    declaration = Declaration(
        name="price",
        plural="prices",
        key="id",
        data_class="price",
        labels=("market", "currency", "amount"),
        filters=("variant", "market", "currency"),
        path=("market", "currency", "valid_from"),
        market="market",
        scopes={"market": "market"},
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["variant", "market", "currency", "valid_from"], name="price_natural_key"
            ),
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="price_not_negative"),
        ]


class Stock(Entity):
    """How many of a variant a warehouse holds; natural key `sku/warehouse`."""

    variant = Reference("catalog.Variant", related_name="stock")
    warehouse = models.TextField(null=True)
    on_hand = Quantity()
    reserved = Quantity()
    available = Quantity()

    declaration = Declaration(
        name="stock",
        plural="stocks",
        key="id",
        data_class="stock",
        labels=("warehouse", "available"),
        filters=("variant", "warehouse"),
        path=("warehouse",),
    )

    class Meta:
        verbose_name_plural = "stock"
        constraints = [
            models.UniqueConstraint(fields=["variant", "warehouse"], name="stock_natural_key")
        ]


class Review(Entity):
    """What one customer wrote about a product."""

    product = Reference("catalog.Product", related_name="reviews")
    rating = models.SmallIntegerField(null=True, help_text="1 to 5.")
    title = models.TextField(null=True)
    body = models.TextField(null=True)
    author = models.TextField(null=True)
    written_at = models.DateTimeField(null=True)

    declaration = Declaration(
        name="review",
        plural="reviews",
        key="id",
        data_class="text",
        labels=("title", "rating"),
        filters=("product", "rating"),
        path=("key",),
        guarded={"author": PERSONAL},
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(rating__gte=1, rating__lte=5), name="review_rating_1_to_5"
            )
        ]
