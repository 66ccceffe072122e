"""Documents that differ in their literals alone share a plan; everything else has its own."""

from __future__ import annotations

from typing import Any

import pytest

from hub.reads.document import shape
from hub.reads.plan import Plan, plan_of
from hub.reads.reasons import LeftToGrapheneError
from tests.asking import ALL

PRODUCT = '{ product(sku: "%s", locale: "%s") { sku } }'


def plan(text: str, **variables: Any) -> Plan:
    return plan_of(text, None, variables)[0]


def test_texts_and_numbers_are_lifted() -> None:
    first, second = shape(PRODUCT % ("a", "de")), shape(PRODUCT % ("b\\n\\u00fc", "en"))
    assert first is not None
    assert second is not None
    assert first.text == second.text
    assert list(second.literals.values()) == ["b\nü", "en"]
    assert plan(PRODUCT % ("a", "de")) is plan(PRODUCT % ("b", "en"))
    page = "{ products(first: %d) { nodes { sku } } }"
    assert plan(page % 3) is plan(page % 50)


def test_equal_literals_are_another_shape_than_different_ones() -> None:
    twice = '{ product(sku: "%s") { sku } product(sku: "%s") { slug } }'
    assert plan(twice % ("a", "a")) is plan(twice % ("b", "b"))
    # Two fields of one name with different arguments cannot be merged.
    with pytest.raises(LeftToGrapheneError):
        plan(twice % ("a", "b"))


@pytest.mark.parametrize(
    "text",
    [
        '{ product(sku: """a""") { sku } }',
        '{ product(sku: "a") { sku } } # "b"',
        "{ a1: product(sku: $v) { sku } }",
        "{ products(first: 1.5) { nodes { sku } } }",
        "{ products(first: 007) { nodes { sku } } }",
        "{ products(first: 12345678901) { nodes { sku } } }",
        '{ product(sku: "\\x") { sku } }',
    ],
)
def test_what_is_not_plainly_a_literal_stays(text: str) -> None:
    assert shape(text) is None


def test_a_literal_that_decides_whether_a_document_is_valid_stays() -> None:
    since = '{ products(filter: {changedSince: "%s"}) { nodes { sku } } }'
    one, other = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    assert plan(since % one) is not plan(since % other)
    with pytest.raises(LeftToGrapheneError):
        plan(since % "soon")
    default = 'query($sku: String = "%s") { product(sku: $sku) { sku } }'
    assert plan(default % "a") is not plan(default % "b")


def test_a_page_that_is_too_long_is_refused_though_its_shape_is_known() -> None:
    inside = "variants { product { variants { product { variants { prices { amount } } } } } }"
    text = f"query($first: Int) {{ products(first: $first) {{ nodes {{ {inside} }} }} }}"
    known = plan(text, first=1)
    known.bind({"first": 1}, {}, **ALL)
    with pytest.raises(LeftToGrapheneError):
        known.bind({"first": 100}, {}, **ALL)


def test_values_that_need_coercion_take_the_general_way() -> None:
    text = "query($n: Int, $on: Boolean!) { products(first: $n) { nodes { sku @skip(if: $on) } } }"
    known = plan(text, n=1, on=True)
    assert known.bind({"n": 3.0, "on": False}, {}, **ALL).parameters == ["3"]
    assert known.bind({"on": False}, {}, **ALL).parameters == ["20"]
    for wrong in ({}, {"n": "3", "on": True}, {"n": 2**31, "on": True}, {"n": 1, "on": None}):
        with pytest.raises(LeftToGrapheneError):
            known.bind(wrong, {}, **ALL)
