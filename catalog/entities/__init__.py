"""The entities, one module per family."""

from catalog.entities.base import (
    GUARDED_CLASSES,
    INTERNAL,
    PERSONAL,
    Declaration,
    Deprecated,
    Entity,
    Guarded,
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
    "GUARDED_CLASSES",
    "INTERNAL",
    "PERSONAL",
    "Category",
    "Customer",
    "Declaration",
    "Deprecated",
    "Entity",
    "Guarded",
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
