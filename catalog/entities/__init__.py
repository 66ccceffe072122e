"""The entities, one module per family."""

from catalog.entities.auctions import Bid, Lot
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
    behind,
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
from catalog.entities.payments import Payout, PayoutLine, Refund
from catalog.entities.products import Category, Product, Variant

__all__ = [
    "GUARDED_CLASSES",
    "INTERNAL",
    "PERSONAL",
    "AnyAbove",
    "Bid",
    "Category",
    "Customer",
    "Declaration",
    "Deprecated",
    "Derived",
    "Entity",
    "Guarded",
    "LocalizedField",
    "Lot",
    "Lowest",
    "Money",
    "NextChange",
    "Order",
    "OrderLine",
    "Payment",
    "Payout",
    "PayoutLine",
    "Price",
    "Product",
    "Quantity",
    "Reference",
    "Refund",
    "Review",
    "Stock",
    "Variant",
    "behind",
    "derived_fields",
    "entities",
    "entity",
    "related",
    "spelled",
    "value_fields",
]
