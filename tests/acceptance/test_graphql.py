"""GraphQL as a frontend developer meets it: one query over five systems, and clear refusals."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.entities import entities
from hub.auth.keys import issue_key
from hub.graphql.views import EXAMPLE
from tests import catalogue

pytestmark = pytest.mark.django_db

#: A product with everything, each table once: key, product, category and its way up, variants,
#: prices, stock, reviews, and three for provenance.
STATEMENTS = 12


class Asking:
    """Posts queries with an API key."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.key = issue_key("tests")
        self.statements = 0

    def post(self, body: Any, content_type: str = "application/json", **headers: str) -> Any:
        """The response to a body."""
        headers = headers or {"Authorization": f"Bearer {self.key}"}
        with CaptureQueriesContext(connection) as seen:
            answer = self.client.post("/graphql", body, content_type=content_type, headers=headers)
        self.statements = len(seen)
        return answer

    def __call__(self, query: str, **variables: Any) -> Any:
        """The answer to a query that is expected to run."""
        response = self.post({"query": query, "variables": variables})
        assert response.status_code == 200, response.content
        return response.json()

    def refused(self, query: str, **variables: Any) -> str:
        """The code of the refusal of a query."""
        response = self.post({"query": query, "variables": variables})
        assert 400 <= response.status_code < 500, response.content
        return str(response.json()["errors"][0]["extensions"]["code"])


@pytest.fixture
def ask(client: Client) -> Asking:
    return Asking(client)


@pytest.fixture
def shop() -> None:
    catalogue.fill(7)


@pytest.mark.usefixtures("shop")
def test_one_query_answers_from_every_system_with_a_source_for_each_field(ask: Asking) -> None:
    product = ask(EXAMPLE, sku="P-1", locale="de-DE")["data"]["product"]
    assert product["name"] == "Zelt 1"
    assert product["description"] == "Stands in every wind."
    assert [step["name"] for step in product["category"]["path"]] == ["Draußen", "Zelten", "Zelte"]
    first = product["variants"][0]
    assert first["prices"][0] == {"currency": "EUR", "market": "DE", "amount": "129.90"}
    assert first["stock"][0] == {"warehouse": "AMS", "available": "12"}
    assert product["reviews"] == {"count": 2, "average": 4.5}
    sources = {p["field"]: (p["system"], p["record"]) for p in product["provenance"]}
    expected = {
        "name": ("akeneo", "P-1"),
        "category.name": ("akeneo", "cat_3"),
        "variants.P-1-01.prices.DE-EUR-2026-01-01.amount": ("sap", "P-1-01-1010"),
        "variants.P-1-01.stock.AMS.available": ("wms", "AMS/P-1-01"),
        "variants.P-1-01.gtin": ("sap", "P-1-01"),
    }
    assert expected.items() <= sources.items()
    assert sources["reviews.average"][0] == sources["reviews.count"][0] == "salesforce"
    assert sources["category.path"][0] == "akeneo"
    told = product["provenance"][0]
    assert told["run"]
    assert told["stale"] is False
    assert 0 <= told["ageSeconds"] < 300


@pytest.mark.usefixtures("shop")
def test_statements_do_not_grow_with_rows(ask: Asking) -> None:
    inside = EXAMPLE[EXAMPLE.index("sku slug") : EXAMPLE.rindex("}\n}")]
    ask("{ __typename }")  # the key's last use is written once a minute
    counted = []
    for first in (1, 7):
        answer = ask(f"{{ products(first: {first}) {{ nodes {{ {inside} }} }} }}")
        assert len(answer["data"]["products"]["nodes"]) == first
        counted.append(ask.statements)
    assert counted[0] == counted[1] <= STATEMENTS


@pytest.mark.usefixtures("shop")
def test_each_root_field_has_its_own_locale_and_says_which_it_gave(ask: Asking) -> None:
    data = ask(
        """{ german: product(sku: "P-1", locale: "de_DE") { name }
             usual: product(sku: "P-1") { name }
             french: product(sku: "P-1", locale: "fr-FR") { name locales { field locale } } }"""
    )["data"]
    assert (data["german"]["name"], data["usual"]["name"]) == ("Zelt 1", "Tent 1")
    assert data["french"]["name"] == "Tent 1"
    assert {"field": "name", "locale": "en_US"} in data["french"]["locales"]


@pytest.mark.usefixtures("shop")
def test_lists_are_paged_and_narrowed(ask: Asking) -> None:
    query = """query($after: String, $filter: ProductFilter) {
      products(first: 3, after: $after, filter: $filter) {
        edges { cursor node { sku } } pageInfo { hasNextPage endCursor } } }"""

    def pages(**narrowed: Any) -> list[str]:
        found, after = [], None
        while True:
            page = ask(query, after=after, filter=narrowed)["data"]["products"]
            found += [edge["node"]["sku"] for edge in page["edges"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return found

    everything = [f"P-{n}" for n in range(1, 8)]
    assert pages() == everything
    assert pages(inStock=True) == ["P-1", "P-2", "P-4", "P-5", "P-7"]
    assert pages(inStock=False) == ["P-3", "P-6"]
    assert pages(category="cat_4") == ["P-5"]
    assert pages(category="cat_1") == everything
    assert pages(brand="Borea") == ["P-2", "P-4", "P-6"]
    assert pages(changedSince=(datetime.now(UTC) + timedelta(hours=1)).isoformat()) == []
    assert pages(changedSince=(datetime.now(UTC) - timedelta(hours=1)).isoformat()) == everything


@pytest.mark.usefixtures("shop")
def test_a_customer_comes_with_orders_and_payments(ask: Asking) -> None:
    data = ask(
        """{ customer(number: "10000001") { name paymentAccount
             orders { number total lines { variant { sku } quantity unitPrice } }
             payments { id amount status } } }"""
    )["data"]["customer"]
    assert data["name"] == "Ada Lovelace"
    assert data["paymentAccount"] == "cus_1"
    assert data["orders"][0]["lines"] == [
        {"variant": {"sku": "P-1-01"}, "quantity": "2", "unitPrice": "129.90"}
    ]
    assert data["payments"] == [{"id": "pi_1", "amount": "259.80", "status": "succeeded"}]


@pytest.mark.usefixtures("shop")
def test_explain_names_winner_rule_raw_value_and_losers(ask: Asking) -> None:
    query = """query($field: String!) { product(sku: "P-1") { explain(field: $field) {
      value rule { owner } winner { system record raw { path value } }
      losing { system value allowed } computedFrom { system record } } } }"""

    def explain(field: str) -> Any:
        return ask(query, field=field)["data"]["product"]["explain"]

    gtin = explain("variants.P-1-01.gtin")
    assert gtin["winner"] == {
        "system": "sap",
        "record": "P-1-01",
        "raw": [{"path": "ProductStandardID", "value": "4006381333931"}],
    }
    assert gtin["rule"] == {"owner": "sap"}
    assert gtin["losing"] == [{"system": "akeneo", "value": "0000000000000", "allowed": True}]
    average = explain("reviews.average")
    assert average["value"] == 4.5
    assert {c["record"] for c in average["computedFrom"]} == {
        "a01000000000001AAA",
        "a01000000000002AAA",
    }
    assert explain("category.slug")["winner"]["record"] == "cat_3"


def test_every_declared_entity_is_served_by_its_key_and_as_a_list(ask: Asking) -> None:
    sdl = ask.client.get("/graphql/schema").content.decode()
    for cls in entities().values():
        name = "".join(word.capitalize() for word in cls.declaration.name.split("_"))
        assert f"type {name} {{" in sdl
        assert f"type {name}Connection {{" in sdl
        assert f"input {name}Filter {{" in sdl


def test_what_is_not_there_is_null_with_a_code(ask: Asking) -> None:
    answer = ask('{ product(sku: "nope") { name } }')
    assert answer["data"] == {"product": None}
    error = answer["errors"][0]
    assert error["path"] == ["product"]
    assert error["extensions"]["code"] == "not_found"
    assert error["extensions"]["correlationId"]


@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ('{ products(after: "xx") { nodes { sku } } }', "bad_input", "after"),
        ("{ products(first: 0) { nodes { sku } } }", "bad_input", "first"),
        ("{ products(first: 101) { nodes { sku } } }", "bad_input", "first"),
        ('{ product(sku: "P-1", locale: "xx_XX") { sku } }', "bad_input", "locale"),
    ],
)
def test_bad_input_is_a_400_that_names_it(
    ask: Asking, query: str, code: str, parameter: str
) -> None:
    response = ask.post({"query": query})
    assert response.status_code == 400
    extensions = response.json()["errors"][0]["extensions"]
    assert (extensions["code"], extensions["parameter"]) == (code, parameter)


SPREAD = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(30))
HOSTILE = {
    "aliases": "{" + " ".join(f"a{i}: __typename" for i in range(1000)) + "}",
    "many aliases": "{" + " ".join(f"a{i}: products {{ nodes {{ sku }} }}" for i in range(1000)) + "}",
    "depth": '{ product(sku: "P-1") { category ' + "{ parent " * 50 + "{ code }" + "}" * 52,
    "open braces": "{" * 3000,
    "open lists": "{ product(sku: " + "[" * 2000 + ") { sku } }",
    "cycle": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    "unknown fragment": '{ ...X product(sku: "P-1") { ...Y } }',
    "fragment bomb": "{ ...F0 } " + SPREAD + ' fragment F30 on Query { product(sku: "P") { sku } }',
    "repeated field": '{ product(sku: "P-1") {' + "sku " * 3900 + "} }",
    "directives": '{ product(sku: "P-1") { sku ' + "@include(if: true) " * 500 + "} }",
    "introspection": "{ __schema { types " + "{ fields { type " * 6 + "{ name }" + "}}" * 6 + "}}",
    "amplified": "{ customers(first: 100) { nodes " + "{ orders { customer " * 5 + "{ name }"
    + "}}" * 5 + "}}",
    "empty": "",
    "mutation": "mutation { x }",
    "subscription": "subscription { x }",
    "surrogate": '{ product(sku: "\ud800") { sku } }',
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_refused_before_it_runs(ask: Asking, name: str) -> None:
    response = ask.post(json.dumps({"query": HOSTILE[name]}))
    assert response.status_code == 400
    body = response.json()
    assert "data" not in body
    assert all(error["extensions"]["code"] for error in body["errors"])
    assert ask.statements <= 2  # the key, and its last use


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b'[{"query": "{ __typename }"}]', "application/json", 400, "batch_not_supported"),
        (b"{{", "application/json", 400, "request"),
        (b"[" * 100_000, "application/json", 400, "request"),
        (b"\xff\xfe", "application/json", 400, "request"),
        (b'{"query": null}', "application/json", 400, "request"),
        (b'{"query": "{ __typename }", "variables": []}', "application/json", 400, "request"),
        (b'{"query": "' + b"a" * 10_000_000 + b'"}', "application/json", 413, "too_large"),
        (b"query={__typename}", "text/plain", 415, "unsupported_media_type"),
    ],
)
def test_a_malformed_request_is_a_problem_with_a_code(
    ask: Asking, body: bytes, content_type: str, status: int, code: str
) -> None:
    response = ask.post(body, content_type)
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    assert response.json()["code"] == code


def test_strings_that_no_database_holds_find_nothing(ask: Asking) -> None:
    for text in ("\x00", "\ud800"):
        body = {
            "query": "query($s: String!) { product(sku: $s) { sku } }",
            "variables": {"s": text},
        }
        response = ask.post(json.dumps(body))
        assert response.status_code == 200
        assert response.json()["errors"][0]["extensions"]["code"] == "not_found"


def test_without_a_valid_key_nothing_is_answered(ask: Asking) -> None:
    body = {"query": "{ __typename }"}
    for headers in ({"Authorization": "Bearer hw_nope"}, {"X-API-Key": "hw_nope"}, {"X-None": ""}):
        response = ask.post(body, **headers)
        assert response.status_code == 401
        assert response["WWW-Authenticate"].startswith("Bearer")
        assert response.json()["code"] == "unauthorized"
    assert ask.post(body, **{"X-API-Key": ask.key}).status_code == 200


def test_a_person_in_the_admin_may_ask_but_not_from_another_site(client: Client) -> None:
    client.force_login(User.objects.create_user("sam", is_staff=True))
    body = {"query": "{ __typename }"}
    answers = [
        client.post("/graphql", body, content_type="application/json", headers=headers).status_code
        for headers in ({}, {"Origin": "http://testserver"}, {"Origin": "https://elsewhere.test"})
    ]
    assert answers == [200, 200, 401]


def test_graphiql_needs_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/graphql").content.decode()
    assert "graphiql.min.js" in page
    assert "product(sku: $sku, locale: $locale)" in page
    assert "https://" not in page
