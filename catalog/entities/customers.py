"""Who buys, what they ordered, and how it was paid."""

from __future__ import annotations

from django.db import models

from catalog.entities.base import (
    PERSONAL,
    Declaration,
    Entity,
    Guarded,
    Money,
    Quantity,
    Reference,
)
from catalog.entities.matching import DIGITS, Matching, MatchRule


class Customer(Entity):
    """A business partner; natural key is the customer number that all systems share."""

    name = models.TextField(null=True)
    first_name = models.TextField(null=True)
    last_name = models.TextField(null=True)
    email = models.TextField(null=True)
    phone = models.TextField(null=True)
    street = models.TextField(null=True)
    city = models.TextField(null=True)
    postcode = models.TextField(null=True)
    country = models.TextField(null=True, help_text="ISO 3166-1 alpha-2.")
    payment_account = models.TextField(null=True, help_text="Id at the payment provider.")

    declaration = Declaration(
        name="customer",
        plural="customers",
        key="number",
        data_class="personal",
        parts=("orders", "payments"),
        labels=("name", "email"),
        filters=("email", "country"),
        guarded={
            **dict.fromkeys(
                ("name", "first_name", "last_name", "email", "phone", "street", "city", "postcode"),
                PERSONAL,
            ),
            "payment_account": Guarded("internal", refused=True),
        },
        matching=Matching(
            rules=(
                MatchRule("the same e-mail address", ("email",), 0.6),
                MatchRule("the same telephone number", ("phone",), 0.35, DIGITS),
                MatchRule("the same first and last name", ("first_name", "last_name"), 0.3),
                MatchRule("the same name", ("name",), 0.3),
                MatchRule("the same address", ("postcode", "street"), 0.35),
            ),
            against=(MatchRule("different countries", ("country",), 0.3, find=False),),
        ),
    )

    class Meta:
        indexes = [models.Index(fields=["email"], name="customer_email")]


class Order(Entity):
    """A sales order."""

    customer = Reference("catalog.Customer", related_name="orders")
    market = models.TextField(null=True, help_text="ISO 3166-1 alpha-2 country of the market.")
    currency = models.TextField(null=True, help_text="ISO 4217 code.")
    total = Money()
    status = models.TextField(null=True, help_text="open, processing, completed or cancelled.")
    placed_at = models.DateTimeField(null=True)

    declaration = Declaration(
        name="order",
        plural="orders",
        key="number",
        data_class="order",
        parts=("lines", "payments"),
        labels=("status", "total", "currency"),
        filters=("customer", "status", "market"),
        path=("key",),
        scopes={"market": "market"},
    )


class OrderLine(Entity):
    """One position of an order; natural key `order/position`."""

    order = Reference("catalog.Order", related_name="lines")
    position = models.IntegerField(null=True)
    variant = Reference("catalog.Variant", related_name="order_lines")
    quantity = Quantity()
    unit_price = Money()

    declaration = Declaration(
        name="order_line",
        plural="order_lines",
        key="id",
        data_class="order",
        labels=("variant", "quantity"),
        filters=("order", "variant"),
        path=("position",),
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "position"], name="order_line_natural_key")
        ]


class Payment(Entity):
    """Money authorised or captured for an order, at the payment provider."""

    order = Reference("catalog.Order", related_name="payments")
    customer = Reference("catalog.Customer", related_name="payments")
    amount = Money()
    captured = Money()
    currency = models.TextField(null=True, help_text="ISO 4217 code.")
    status = models.TextField(null=True, help_text="Status as the payment provider names it.")
    paid_at = models.DateTimeField(null=True)

    declaration = Declaration(
        name="payment",
        plural="payments",
        key="id",
        data_class="order",
        parts=("refunds",),
        labels=("status", "amount", "currency"),
        filters=("order", "customer", "status"),
        path=("key",),
    )
