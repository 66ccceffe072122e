"""Random valid documents over every root field: answered as the schema says, or refused with a
code, never broken (hypothesis-graphql, which schemathesis asks GraphQL with).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from graphql import (
    GraphQLNonNull,
    GraphQLObjectType,
    build_schema,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    parse,
)
from graphql.execution.collect_fields import collect_fields, collect_sub_fields
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes, queries
from pytest_django import DjangoDbBlocker

from hub.auth.keys import issue_key
from hub.graphql.schema import build
from tests import catalogue

pytestmark = pytest.mark.django_db

EXAMPLES = 200
SCALARS = {
    "DateTime": st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "soon"]).map(
        nodes.String
    ),
    "Decimal": st.sampled_from(["1.5", "many"]).map(nodes.String),
    "JSON": st.just(nodes.Null),
}
SDL = str(build())
SCHEMA = build_schema(SDL)
assert SCHEMA.query_type is not None
QUERY: GraphQLObjectType = SCHEMA.query_type


@pytest.fixture(scope="module")
def ask(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Any]:
    """Posts a document; one shop for all, since all only read."""
    del django_db_setup
    with django_db_blocker.unblock(), transaction.atomic():
        catalogue.fill(3)
        client, headers = Client(), {"X-API-Key": issue_key("hypothesis")}
        yield lambda document: client.post(
            "/graphql", {"query": document}, content_type="application/json", headers=headers
        )
        transaction.set_rollback(True)


@pytest.mark.parametrize("root", QUERY.fields)
def test_no_valid_document_breaks_the_server(root: str, ask: Any) -> None:
    @given(queries(SDL, fields=(root,), custom_scalars=SCALARS))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def examine(document: str) -> None:
        answer = ask(document)
        assert answer.status_code < 500, (document, answer.content)
        body = answer.json()
        codes = [error["extensions"]["code"] for error in body.get("errors", ())]
        assert "internal" not in codes
        assert "data" in body or codes
        if body.get("data") is not None:
            violated = list(violations(document, body["data"]))
            assert not violated, (document, violated)

    examine()


def violations(document: str, data: Any) -> Iterator[str]:
    """Where an answer is not what the schema promises: members, lists, nulls, kinds of values."""
    operation: Any = parse(document).definitions[0]
    selected = collect_fields(SCHEMA, {}, {}, QUERY, operation.selection_set)
    yield from _of_object(QUERY, selected, data, "")


def _of_object(kind: GraphQLObjectType, selected: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict) or list(value) != list(selected):
        yield f"{path}: {value!r} instead of {list(selected)}"
        return
    for name, fields in selected.items():
        called = fields[0].name.value
        if called == "__typename":
            if value[name] != kind.name:
                yield f"{path}.{name}: {value[name]!r}"
            continue
        yield from _of(kind.fields[called].type, fields, value[name], f"{path}.{name}")


def _of(kind: Any, fields: Any, value: Any, path: str) -> Iterator[str]:
    nullable: Any = get_nullable_type(kind)
    if value is None:
        if isinstance(kind, GraphQLNonNull):
            yield f"{path}: null"
    elif is_list_type(nullable):
        if not isinstance(value, list):
            yield f"{path}: no list"
            return
        for place, item in enumerate(value):
            yield from _of(nullable.of_type, fields, item, f"{path}[{place}]")
    elif is_leaf_type(nullable):
        if not isinstance(value, PRINTED.get(nullable.name, object)):
            yield f"{path}: {value!r} is no {nullable}"
    else:
        inside = collect_sub_fields(SCHEMA, {}, {}, nullable, fields)
        yield from _of_object(nullable, inside, value, path)


PRINTED: dict[str, Any] = {
    "String": str, "Int": int, "Float": (int, float), "Boolean": bool, "DateTime": str,
    "Date": str, "Decimal": str,
}  # fmt: skip
