"""Entities of an app of their own: one class each, and no edit anywhere else."""

from __future__ import annotations

from django.db import models

from catalog.entities import Declaration, Entity, Money


class Listing(Entity):
    """What a marketplace shows; every member of the upstream's record has its column."""

    number = models.IntegerField(null=True)
    title = models.TextField(null=True)
    description = models.TextField(null=True)
    brand = models.TextField(null=True)
    status = models.TextField(null=True)
    price = Money()
    currency = models.TextField(null=True)
    quantity = models.IntegerField(null=True)
    weight_kg = models.FloatField(null=True)
    ean = models.TextField(null=True)
    url = models.TextField(null=True)
    seller = models.TextField(null=True)
    attributes = models.JSONField(null=True)
    images = models.JSONField(null=True)
    shipping = models.JSONField(null=True)
    updated_at = models.DateTimeField(null=True)

    declaration = Declaration(
        name="listing", plural="listings", key="sku", data_class="text", labels=("title",)
    )


class Item(Entity):
    """A small record that changes often: what an event carries."""

    number = models.IntegerField(null=True)
    quantity = models.IntegerField(null=True)
    price = Money()

    declaration = Declaration(name="item", plural="items", key="id", data_class="text")
