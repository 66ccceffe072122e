"""Our contract without fields that nobody fills: they go, what stands on them goes, the rest stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphql import GraphQLSchema, build_schema

from catalog.entities import entities, value_fields
from hub.contract import outward
from hub.sdk.narrow import narrowed


def contract(*lost: tuple[str, str]) -> tuple[dict[str, Any], GraphQLSchema]:
    made = narrowed(outward.committed(), lost)
    return json.loads(made["openapi.json"]), build_schema(made["schema.graphql"])


def members(document: dict[str, Any], component: str) -> set[str]:
    schema = document["components"]["schemas"][component]
    assert set(schema.get("required", ())) <= set(schema["properties"])
    return set(schema["properties"])


def filters(document: dict[str, Any], schema: GraphQLSchema, plural: str, kind: str) -> set[str]:
    """The filters of a list, by REST; GraphQL must have as many."""
    told = {p["name"] for p in document["paths"][f"/api/v1/{plural}"]["get"]["parameters"]}
    told -= {"limit", "cursor", "locale", "include", "fields", "market", "at", "Headwater-Use"}
    known: Any = schema.type_map[f"{kind}Filter"]
    assert len(known.fields) == len(told)
    return told


def fields(schema: GraphQLSchema, kind: str) -> set[str]:
    found: Any = schema.type_map[kind]
    return set(found.fields)


def test_nothing_lost_changes_nothing() -> None:
    assert narrowed(outward.committed(), ()) == outward.committed()


def test_a_field_goes_wherever_it_is_shown_and_nothing_else_does() -> None:
    before, was = contract()
    after, now = contract(("variant", "group"))
    for component in before["components"]["schemas"]:
        gone = members(before, component) - members(after, component)
        shows = component in {"Variant", "VariantItem", "VariantPart"}
        assert gone == ({"group"} if shows else set()), component
    assert fields(was, "Variant") - fields(now, "Variant") == {"group"}
    assert was.type_map.keys() == now.type_map.keys()


def test_its_filters_go_with_it() -> None:
    document, schema = contract(("variant", "gtin"), ("review", "rating"), ("stock", "available"))
    assert filters(document, schema, "variants", "Variant") == {"product", "changed_since"}
    assert filters(document, schema, "products", "Product") == {
        "brand",
        "category",
        "changed_since",
    }
    assert members(document, "ProductReviews") == {"count", "nodes"}
    assert fields(schema, "ProductReviews") == {"count", "nodes"}


def test_a_reference_takes_along_what_hangs_in_it() -> None:
    document, schema = contract(("variant", "product"), ("category", "parent"))
    assert "variants" not in members(document, "Product") | fields(schema, "Product")
    assert "reviews" in members(document, "Product") & fields(schema, "Product")
    assert "in_stock" not in filters(document, schema, "products", "Product")
    assert "path" not in members(document, "CategoryNode") | fields(schema, "Category")


@pytest.mark.parametrize("name", sorted(entities()))
def test_whatever_is_lost_leaves_a_valid_contract(name: str) -> None:
    lost = [(name, field.name) for field in value_fields(entities()[name])]
    document, schema = contract(*lost)
    key = entities()[name].declaration.key
    kind = "".join(word.capitalize() for word in name.split("_"))
    assert key in members(document, kind) & fields(schema, kind)
    assert not members(document, kind) & {field for _, field in lost}
