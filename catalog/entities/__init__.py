"""The entities, one module per family."""

from catalog.entities.base import (
    Declaration,
    Deprecated,
    Entity,
    LocalizedField,
    Money,
    Quantity,
    Reference,
    entities,
    entity,
    related,
    spelled,
    value_fields,
)
from catalog.entities.customers import Customer, Order, OrderLine, Payment
from catalog.entities.offers import Price, Review, Stock
from catalog.entities.products import Category, Product, Variant

__all__ = [
    "Category",
    "Customer",
    "Declaration",
    "Deprecated",
    "Entity",
    "LocalizedField",
    "Money",
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
    "entities",
    "entity",
    "related",
    "spelled",
    "value_fields",
]
