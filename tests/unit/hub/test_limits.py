"""What a document may cost, estimated before it runs."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode

from hub.graphql.documents import checked, chosen, schema
from hub.graphql.limits import LONG, MAX_COST, USUAL_PAGE, cost


def estimated(text: str, **variables: Any) -> int:
    """The cost of a valid document's first operation."""
    document = checked(text)
    assert isinstance(document, DocumentNode), document
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return cost(schema(), document, operation, variables)


def test_a_page_counts_as_often_as_it_is_long() -> None:
    one = estimated("{ products(first: 1) { nodes { sku } } }")
    assert estimated("{ products(first: 100) { nodes { sku } } }") == 100 * one
    assert estimated("{ products { nodes { sku } } }") == USUAL_PAGE * one
    query = "query($n: Int) { products(first: $n) { nodes { sku } } }"
    assert estimated(query, n=7) == 7 * one
    assert estimated(query, n=10**9) == 100 * one


def test_parts_multiply_and_fragments_count_where_they_are_spread() -> None:
    inside = estimated('{ product(sku: "P") { variants { sku } } }')
    assert inside == 1 + LONG * 2
    spread = '{ product(sku: "P") { ...V } } fragment V on Product { variants { sku } }'
    assert estimated(spread) == inside


def test_an_introspection_of_the_whole_schema_is_allowed() -> None:
    from graphql import get_introspection_query

    assert isinstance(checked(get_introspection_query()), DocumentNode)


WIDE = "variants { product { variants { product { variants { prices { amount } } } } } }"


@pytest.mark.parametrize("inside", [WIDE, 'explain(field: "name") { value } provenance { field }'])
def test_what_would_make_too_many_values_is_refused(inside: str) -> None:
    document = checked(f"{{ products(first: 100) {{ nodes {{ {inside} }} }} }}")
    assert isinstance(document, DocumentNode)
    refusal = chosen(document, None, {})
    assert isinstance(refusal, GraphQLError)
    assert (refusal.extensions or {})["code"] == "too_complex"
    assert str(MAX_COST) in refusal.message
