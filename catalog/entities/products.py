"""Products, their variants and the categories they hang in."""

from __future__ import annotations

from django.db import models

from catalog.entities.base import Declaration, Entity, LocalizedField, Reference


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
    category = Reference("catalog.Category", related_name="products")

    declaration = Declaration(
        name="product",
        plural="products",
        key="sku",
        data_class="text",
        parts=("variants", "reviews"),
        labels=("name", "brand"),
        filters=("category", "brand"),
        summaries={"reviews": "rating"},
        switches={"in_stock": "variants.stock.available"},
    )

    class Meta:
        indexes = [
            models.Index(fields=["changed_at", "key"], name="product_changed"),
            models.Index(fields=["slug"], name="product_slug"),
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
