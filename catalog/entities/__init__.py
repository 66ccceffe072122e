"""The entities, one module per family."""

from catalog.entities.base import (
    Declaration,
    Entity,
    LocalizedField,
    Reference,
    entities,
    entity,
    value_fields,
)
from catalog.entities.customers import Customer, Order, OrderLine, Payment
from catalog.entities.offers import Price, Review, Stock
from catalog.entities.products import Category, Product, Variant

__all__ = [
    "Category",
    "Customer",
    "Declaration",
    "Entity",
    "LocalizedField",
    "Order",
    "OrderLine",
    "Payment",
    "Price",
    "Product",
    "Reference",
    "Review",
    "Stock",
    "Variant",
    "entities",
    "entity",
    "value_fields",
]
