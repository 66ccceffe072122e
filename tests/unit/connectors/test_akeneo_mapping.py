"""What Akeneo's records come to, and which ones are refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.akeneo.streams import CATEGORIES, PRODUCTS, VARIANTS, slug
from tests.vendors import said


def value(data: Any, locale: str | None = None, scope: str | None = None) -> dict[str, Any]:
    return {"locale": locale, "scope": scope, "data": data}


def model(values: Any = None, **members: Any) -> bytes:
    """A product model as `GET /api/rest/v1/product-models` gives it, shortened."""
    record = {
        "_links": {"self": {"href": "https://pim.example/api/rest/v1/product-models/P-000001"}},
        "code": "P-000001",
        "family": "outdoor_gear",
        "parent": None,
        "categories": ["cat_14", "summer_sale"],
        "values": {
            "name": [value("Kuppelzelt, größer", "de_DE"), value("Dome tent", "en_US")],
            "description": [value("For two.", "en_US", "ecommerce")],
            "brand": [value("Morvane")],
            "slug": [value("dome-tent-1")],
            "weight": [value({"amount": "1.2000", "unit": "KILOGRAM"})],
            **(values or {}),
        },
        "created": "2026-01-01T08:00:00+01:00",
        "updated": "2026-02-01T08:00:00+01:00",
        **members,
    }
    left = {k: v for k, v in record["values"].items() if v is not None}
    return json.dumps({**record, "values": left}).encode()


def variant(**members: Any) -> bytes:
    record = {
        "uuid": "0d7b6d2e-9f0c-5b59-8f06-3a3d6f6e2b11",
        "identifier": "P-000001-01",
        "parent": "P-000001",
        "values": {
            "ean": [value("4000047434826")],
            "color": [value("slate")],
            "size": [value("L")],
        },
        "updated": "2026-02-01T07:00:00+00:00",
        **members,
    }
    return json.dumps(record).encode()


def test_a_model_is_a_product_with_its_texts_by_locale() -> None:
    assert said(PRODUCTS, model()) == (
        "P-000001",
        {
            "slug": "dome-tent-1",
            "name": {"de_DE": "Kuppelzelt, größer", "en_US": "Dome tent"},
            "description": {"en_US": "For two."},
            "brand": "Morvane",
            "category": "cat_14",
        },
    )


def test_the_version_is_the_moment_of_change_in_any_offset() -> None:
    record = PRODUCTS.contract.model_validate_json(model())
    assert PRODUCTS.version is not None
    assert PRODUCTS.version.reader()(record) == datetime(2026, 2, 1, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param([value("Dome tent", "en_US")], id="locale absent"),
        pytest.param([value("Dome tent", "en_US"), value(None, "fr_FR")], id="locale null"),
        pytest.param([value("Dome tent", "en_US"), value("", "fr_FR")], id="locale empty"),
    ],
)
def test_a_locale_without_text_is_left_out(texts: list[Any]) -> None:
    assert said(PRODUCTS, model({"name": texts}))[1]["name"] == {"en_US": "Dome tent"}


def test_akeneo_leaves_attributes_without_a_value_out() -> None:
    bare = model({"description": None, "brand": None, "slug": None}, categories=[])
    assert said(PRODUCTS, bare)[1] == {
        "name": {"de_DE": "Kuppelzelt, größer", "en_US": "Dome tent"}
    }
    assert said(VARIANTS, variant(values={}))[1] == {"product": "P-000001"}


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        pytest.param(model({"name": None}), "values.name", id="renamed"),
        pytest.param(model({"name": "Dome tent"}), "values.name", id="not an array"),
        pytest.param(model({"name": [{"locale": "en_US"}]}), "values.name.0.data", id="no data"),
        pytest.param(model(updated=None), "updated", id="no time of change"),
        pytest.param(model(updated="2026-02-01T07:00:00"), "timezone", id="time without offset"),
        pytest.param(model(values=None, code=1), "code", id="retyped"),
        pytest.param(model({"brand": [value({"code": "m"})]}), "not a text", id="brand an object"),
        pytest.param(model({"slug": [value(7)]}), "not a text", id="slug a number"),
    ],
)
def test_a_broken_model_is_refused_with_the_place(raw: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        said(PRODUCTS, raw)


def test_a_product_is_a_variant_of_its_model() -> None:
    assert said(VARIANTS, variant()) == (
        "P-000001-01",
        {"product": "P-000001", "gtin": "4000047434826", "colour": "slate", "size": "L"},
    )
    assert "product" not in said(VARIANTS, variant(parent=None))[1]


def test_a_category_gets_its_slug_from_the_label() -> None:
    raw = {"code": "cat_2", "parent": "master", "labels": {"de_DE": "Höhe & Kälte"}}
    assert said(CATEGORIES, json.dumps(raw).encode()) == (
        "cat_2",
        {"name": {"de_DE": "Höhe & Kälte"}, "slug": "hohe-kalte", "parent": "master"},
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"fr_FR": "Éclairage", "en_US": "Lights  &  Lamps"}, "lights-lamps"),
        ({"ja_JP": "山"}, None),
        ({}, None),
    ],
)
def test_slugs(labels: dict[str, str], expected: str | None) -> None:
    assert slug(labels) == expected
