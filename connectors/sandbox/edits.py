"""Changes in the words of the business, for the control page: a price, a stock level, a text."""

from __future__ import annotations

import time
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.sandbox import stripe_payouts
from connectors.sandbox.sap_documents import price_number
from connectors.sandbox.store import Document, Store
from connectors.sandbox.world import World

MOST_TOUCHED = 100_000


class BadEdit(ValueError):
    """An edit that cannot be made; the message names the member."""


def _text(given: Any, name: str) -> str:
    value = given.get(name) if isinstance(given, dict) else None
    if not isinstance(value, str | int | float) or value == "":
        raise BadEdit(f"{name} is missing")
    return str(value)


def price(store: Store, world: World, given: Any) -> Document:
    """`{"sku", "sales_org", "amount"}`: the ERP's list price in major units."""
    sku, org = _text(given, "sku"), str(given.get("sales_org") or "1010")
    number = price_number(world, sku, org)
    if number is None:
        raise BadEdit(f"no price for sku {sku!r} in sales_org {org!r} (1010 or 1710)")
    try:
        amount = Decimal(_text(given, "amount"))
    except InvalidOperation as error:
        raise BadEdit("amount must be a number") from error
    if not amount.is_finite() or amount < 0:
        raise BadEdit("amount must be a number from 0")
    patch = {"to_SlsPrcgConditionRecord": {"ConditionRateValue": f"{amount:.2f}"}}
    return store.patch("sap", "A_SlsPrcgCndnRecdValidity", number, patch) or {}


def stock(store: Store, _world: World, given: Any) -> Document:
    """`{"sku", "warehouse", "on_hand"}`: the warehouse's count."""
    sku, warehouse = _text(given, "sku"), str(given.get("warehouse") or "AMS")
    on_hand = int(_text(given, "on_hand"))
    level = store.patch("wms", "stock", f"{warehouse}/{sku}", {"on_hand": on_hand})
    if level is None:
        raise BadEdit(f"no stock of sku {sku!r} in warehouse {warehouse!r} (AMS or LYS)")
    return level


def product_text(store: Store, _world: World, given: Any) -> Document:
    """`{"code", "attribute", "locale", "text"}`: a text of the PIM."""
    code, attribute = _text(given, "code"), str(given.get("attribute") or "name")
    locale = str(given.get("locale") or "en_US")
    model = store.get("akeneo", "product_models", code)
    if model is None:
        raise BadEdit(f"no product with code {code!r}")
    others = [v for v in model["values"].get(attribute, []) if v["locale"] != locale]
    value = {"data": _text(given, "text"), "locale": locale, "scope": None}
    patch = {"values": {attribute: [*others, value]}}
    return store.patch("akeneo", "product_models", code, patch) or {}


def payouts(store: Store, _world: World, _given: Any) -> Document:
    """`{}`: pay out at once what was captured and refunded at Stripe, without waiting for tonight."""
    made = stripe_payouts.pay_out(store, int(time.time()) + 1)
    return {"payouts": [payout["id"] for payout in made]}


def touch(store: Store, _world: World, given: Any) -> Document:
    """`{"system", "collection", "count"}`: stamp so many records as changed."""
    system, name = _text(given, "system"), _text(given, "collection")
    count = int(given.get("count") or 1)
    if not 1 <= count <= MOST_TOUCHED:
        raise BadEdit(f"count must be from 1 to {MOST_TOUCHED}")
    collection = next((c for c in store.collections(system) if c.name == name), None)
    if collection is None:
        raise BadEdit(f"{system} has no collection {name!r}")
    keys = [collection.key(i) for i in range(min(count, collection.size))]
    touched = sum(store.patch(system, name, key, {}) is not None for key in keys)
    return {"touched": touched}
