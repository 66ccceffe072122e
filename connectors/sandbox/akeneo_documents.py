"""The simulated PIM's content: product models with their variants, categories, and its structure.

A product model carries the texts, its variants (in Akeneo: products with a `parent`) what differs:
ean, color, size. Shapes: Akeneo REST API reference, "Product", "Product model", "Category".
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.world import World

Record = dict[str, Any]

FAMILY = "outdoor_gear"
FAMILY_VARIANT = "outdoor_gear_color_size"
ROOT_CATEGORY = "master"
LOCALES = ("en_US", "de_DE", "fr_FR")
CHANNEL = "ecommerce"

# code → (type, localizable, label)
ATTRIBUTES = {
    "sku": ("pim_catalog_identifier", False, "SKU"),
    "name": ("pim_catalog_text", True, "Name"),
    "description": ("pim_catalog_textarea", True, "Description"),
    "brand": ("pim_catalog_text", False, "Brand"),
    "slug": ("pim_catalog_text", False, "URL slug"),
    "ean": ("pim_catalog_text", False, "EAN"),
    "color": ("pim_catalog_simpleselect", False, "Color"),
    "size": ("pim_catalog_simpleselect", False, "Size"),
}
VARIANT_ATTRIBUTES = ("sku", "ean", "color", "size")


def moment(at_ms: int) -> str:
    """Akeneo keeps whole seconds: `2026-01-31T10:00:00+00:00`."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).isoformat()


def value(data: Any, locale: str | None = None) -> Record:
    return {"locale": locale, "scope": None, "data": data}


def product(world: World, variant: int) -> Record:
    owner, number = world.variant(variant)
    facts = world.product(owner)
    own = facts.variants[number]
    return new_product(
        own.sku,
        moment(facts.created_ms),
        moment(facts.updated_ms),
        categories=[facts.category],
        family=FAMILY,
        parent=facts.code,
        values={
            "ean": [value(own.gtin)],
            "color": [value(own.colour)],
            "size": [value(own.size)],
        },
    )


def new_product(identifier: str, created: str, updated: str, **known: Any) -> Record:
    return {
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, f"akeneo:{identifier}")),
        "identifier": identifier,
        "enabled": True,
        "family": None,
        "categories": [],
        "groups": [],
        "parent": None,
        "values": {},
        "created": created,
        "updated": updated,
        "associations": _NO_ASSOCIATIONS,
        "quantified_associations": {},
        **known,
    }


def product_model(world: World, index: int) -> Record:
    facts = world.product(index)
    return new_product_model(
        facts.code,
        moment(facts.created_ms),
        moment(facts.updated_ms),
        categories=[facts.category],
        values={
            "name": [value(text, locale) for locale, text in facts.names.items()],
            "description": [value(text, locale) for locale, text in facts.descriptions.items()],
            "brand": [value(facts.brand)],
            "slug": [value(facts.slug)],
        },
    )


def new_product_model(code: str, created: str, updated: str, **known: Any) -> Record:
    return {
        "code": code,
        "family": FAMILY,
        "family_variant": FAMILY_VARIANT,
        "parent": None,
        "categories": [],
        "values": {},
        "created": created,
        "updated": updated,
        "associations": _NO_ASSOCIATIONS,
        "quantified_associations": {},
        **known,
    }


def category(world: World, index: int) -> Record:
    facts = world.category(index)
    return {
        "code": facts.code,
        "parent": facts.parent or ROOT_CATEGORY,
        "updated": moment(world.product(0).created_ms),
        "position": index + 1,
        "labels": dict(facts.names),
    }


def root_category(world: World) -> Record:
    return {
        "code": ROOT_CATEGORY,
        "parent": None,
        "updated": moment(world.product(0).created_ms),
        "position": 1,
        "labels": {"en_US": "Master catalog", "de_DE": "Hauptkatalog", "fr_FR": "Catalogue"},
    }


def families() -> list[Record]:
    return [
        {
            "code": FAMILY,
            "attributes": list(ATTRIBUTES),
            "attribute_as_label": "name",
            "attribute_as_image": None,
            "attribute_requirements": {CHANNEL: ["sku", "name"]},
            "labels": {"en_US": "Outdoor gear", "de_DE": "Outdoor-Ausrüstung"},
        }
    ]


def attributes() -> list[Record]:
    return [
        {
            "code": code,
            "type": kind,
            "group": "general",
            "localizable": localizable,
            "scopable": False,
            "unique": code == "sku",
            "useable_as_grid_filter": True,
            "sort_order": position,
            "labels": {"en_US": label},
        }
        for position, (code, (kind, localizable, label)) in enumerate(ATTRIBUTES.items())
    ]


def locales() -> list[Record]:
    return [{"code": code, "enabled": True} for code in LOCALES]


def channels() -> list[Record]:
    return [
        {
            "code": CHANNEL,
            "category_tree": ROOT_CATEGORY,
            "conversion_units": {},
            "currencies": ["EUR", "USD"],
            "labels": {"en_US": "Ecommerce"},
            "locales": list(LOCALES),
        }
    ]


_NO_ASSOCIATIONS: Record = {
    kind: {"products": [], "product_models": [], "groups": []}
    for kind in ("PACK", "SUBSTITUTION", "UPSELL", "X_SELL")
}
