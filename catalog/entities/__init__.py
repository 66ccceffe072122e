"""The entities, one module per family."""

from catalog.entities.base import (
    Declaration,
    Deprecated,
    Entity,
    LocalizedField,
    Money,
    Quantity,
    Reference,
    derived_fields,
    entities,
    entity,
    related,
    spelled,
    value_fields,
)
from catalog.entities.customers import Customer, Order, OrderLine, Payment
from catalog.entities.derived import AnyAbove, Derived, Lowest, NextChange
from catalog.entities.offers import Price, Review, Stock
from catalog.entities.products import Category, Product, Variant

__all__ = [
    "AnyAbove",
    "Category",
    "Customer",
    "Declaration",
    "Deprecated",
    "Derived",
    "Entity",
    "LocalizedField",
    "Lowest",
    "Money",
    "NextChange",
    "Order",
    "OrderLine",
    "Payment",
    "Price",
    "Product",
    "Quantity",
    "Reference",
    "Review",
    "Stock",
    "Variant",
    "derived_fields",
    "entities",
    "entity",
    "related",
    "spelled",
    "value_fields",
]
