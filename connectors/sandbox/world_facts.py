"""The shapes of what the simulated company knows, before a vendor's wire format dresses them.

Named tuples: they are built by the hundred thousand, and nothing may change them.
Times are milliseconds since 1970, UTC; money is in minor units (cents).
"""

from __future__ import annotations

from typing import NamedTuple


class VariantFacts(NamedTuple):
    sku: str
    gtin: str
    colour: str
    size: str


class ProductFacts(NamedTuple):
    code: str
    brand: str
    category: str  # the code of a leaf category
    names: dict[str, str]  # by locale; fr_FR is missing for about 4 %
    descriptions: dict[str, str]
    slug: str
    variants: tuple[VariantFacts, ...]
    created_ms: int
    updated_ms: int


class CategoryFacts(NamedTuple):
    code: str
    parent: str | None
    names: dict[str, str]


class CustomerFacts(NamedTuple):
    number: str
    name: str
    first_name: str
    last_name: str
    email: str
    phone: str
    street: str
    city: str
    postcode: str
    country: str  # ISO 3166-1 alpha-2
    stripe_id: str
    account_id: str
    contact_id: str
    created_ms: int
    updated_ms: int


class OrderLineFacts(NamedTuple):
    position: int  # 10, 20, …
    sku: str
    quantity: int
    unit_price_minor: int


class OrderFacts(NamedTuple):
    number: str
    customer_index: int
    sales_org: str
    currency: str
    placed_ms: int
    status: str  # open, completed or cancelled
    lines: tuple[OrderLineFacts, ...]
    total_minor: int
    payment_id: str
    charge_id: str


class LotFacts(NamedTuple):
    id: str
    number: str
    title: str
    sku: str
    opens_ms: int
    closes_ms: int
    currency: str
    start_minor: int
    increment_minor: int
    reserve_minor: int
    created_ms: int
    updated_ms: int


class ReviewFacts(NamedTuple):
    id: str
    product_code: str
    rating: int
    title: str
    body: str
    author: str
    created_ms: int
    updated_ms: int
