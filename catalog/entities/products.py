"""Products, their variants and the categories they hang in."""

from __future__ import annotations

from django.db import models

from catalog.entities.base import Declaration, Entity, LocalizedField, Reference
from catalog.entities.derived import AnyAbove, Lowest, NextChange


class Category(Entity):
    """A node of the assortment tree."""

    name = LocalizedField()
    slug = models.TextField(null=True)
    parent = Reference("catalog.Category", related_name="children")

    declaration = Declaration(
        name="category",
        plural="categories",
        key="code",
        data_class="text",
        labels=("name",),
        filters=("parent",),
        tree="parent",
    )

    class Meta:
        verbose_name_plural = "categories"


class Product(Entity):
    """What a shop shows on one page; what is sold are its variants."""

    slug = models.TextField(null=True)
    name = LocalizedField()
    description = LocalizedField()
    brand = models.TextField(null=True)
    category = Reference("catalog.Category", related_name="products", db_index=False)
    in_stock = AnyAbove(
        "variants.stock.available", help_text="Whether a warehouse has any variant."
    )
    min_price = Lowest(
        "variants.prices.amount",
        by=("currency", "market"),
        valid=("valid_from", "valid_to"),
        help_text="The lowest price that is valid today, by currency and market.",
    )
    min_price_changes = NextChange("variants.prices.valid_from", to="valid_to")

    declaration = Declaration(
        name="product",
        plural="products",
        key="sku",
        data_class="text",
        field_classes={"in_stock": "stock", "min_price": "price"},
        parts=("variants", "reviews"),
        labels=("name", "brand"),
        filters=("category", "brand", "in_stock"),
        summaries={"reviews": "rating"},
    )

    class Meta:
        indexes = [
            models.Index(fields=["changed_at", "key"], name="product_changed"),
            models.Index(fields=["slug"], name="product_slug"),
            # lists: a page is one range of an index, in the order in which it is shown
            models.Index(fields=["category", "key"], name="product_category"),
            models.Index(fields=["brand", "key"], name="product_brand"),
            models.Index(
                fields=["key"], name="product_in_stock", condition=models.Q(in_stock=True)
            ),
            models.Index(
                fields=["min_price_changes"],
                name="product_min_price_changes",
                condition=models.Q(min_price_changes__isnull=False),
            ),
        ]


class Variant(Entity):
    """One sellable article of a product."""

    product = Reference("catalog.Product", related_name="variants")
    name = LocalizedField()
    gtin = models.TextField(null=True, help_text="GTIN-13 (GS1 General Specifications).")
    colour = models.TextField(null=True)
    size = models.TextField(null=True)
    group = models.TextField(null=True, help_text="Material group of the ERP.")
    unit = models.TextField(null=True, help_text="Base unit of measure, ISO code of the ERP.")

    declaration = Declaration(
        name="variant",
        plural="variants",
        key="sku",
        data_class="text",
        parts=("prices", "stock"),
        labels=("name", "colour", "size"),
        filters=("product", "gtin"),
        path=("key",),
    )

    class Meta:
        indexes = [models.Index(fields=["gtin"], name="variant_gtin")]
