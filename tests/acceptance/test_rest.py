"""REST as a frontend developer meets it: records with their parts, lists, and clear refusals."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.entities import entities
from catalog.overrides import Decision, override
from hub.auth.keys import issue_key
from tests import catalogue
from tests.web import Inside

pytestmark = pytest.mark.django_db


class Reading:
    """Reads with an API key."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.key = issue_key("tests")
        self.statements = 0

    def raw(self, address: str, **headers: str) -> Any:
        """The response at an address below /api/v1/."""
        headers = headers or {"Authorization": f"Bearer {self.key}"}
        with CaptureQueriesContext(connection) as seen:
            answer = self.client.get(f"/api/v1/{address}", headers=headers)
        self.statements = len(seen)
        return answer

    def __call__(self, address: str) -> Any:
        """What is found there."""
        answer = self.raw(address)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def refused(self, address: str, status: int) -> dict[str, Any]:
        """The problem that is answered."""
        answer = self.raw(address)
        assert answer.status_code == status, answer.content
        assert answer["Content-Type"] == "application/problem+json"
        problem: dict[str, Any] = answer.json()
        assert problem["status"] == status
        assert problem["correlation_id"] == answer["X-Correlation-ID"]
        return problem


@pytest.fixture
def read(client: Client) -> Reading:
    return Reading(client)


@pytest.fixture
def shop() -> None:
    catalogue.fill(7)


@pytest.mark.usefixtures("shop")
def test_a_product_comes_whole_with_the_source_of_each_field(read: Reading) -> None:
    product = read("products/P-1?locale=de-DE&include=provenance")
    assert product["name"] == "Zelt 1"
    assert product["locales"] == {"name": "de_DE", "description": "en_US"}
    assert [step["name"] for step in product["category"]["path"]] == ["Draußen", "Zelten", "Zelte"]
    variant = product["variants"][0]
    assert (variant["gtin"], variant["colour"]) == ("4006381333931", "green")
    assert variant["prices"][0]["amount"] == "129.90"
    assert variant["prices"][0]["valid_to"] is None
    assert variant["stock"][0]["available"] == "12"
    assert (product["reviews"]["count"], product["reviews"]["average"]) == (2, 4.5)
    assert product["reviews"]["nodes"][0]["author"] == "Ada"
    systems = {p["field"]: p["system"] for p in product["provenance"]}
    assert {
        "name": "akeneo",
        "category.path": "akeneo",
        "variants.P-1-01.gtin": "sap",
        "variants.P-1-01.prices.DE-EUR-2026-01-01.amount": "sap",
        "variants.P-1-01.stock.AMS.available": "wms",
        "reviews.average": "salesforce",
    }.items() <= systems.items()


@pytest.mark.usefixtures("shop")
def test_lists_are_paged_and_narrowed(read: Reading) -> None:
    def keys(query: str) -> list[str]:
        found, cursor = [], ""
        while True:
            page = read(f"products?limit=2&{query}{cursor}")
            found += [item["sku"] for item in page["items"]]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    everything = [f"P-{n}" for n in range(1, 8)]
    assert keys("") == everything
    assert keys("in_stock=true") == ["P-1", "P-2", "P-4", "P-5", "P-7"]
    assert keys("category=cat_4") == ["P-5"]
    assert keys("category=cat_2") == ["P-1", "P-2", "P-3", "P-4", "P-6", "P-7"]
    assert keys("changed_since=2026-01-01T00:00:00Z") == everything
    assert keys("changed_since=2100-01-01T00:00:00%2B02:00") == []
    # An offset that PostgreSQL has no name for is a time all the same.
    assert keys("changed_since=2026-01-01T00:00:00%2B20:32") == everything


@pytest.mark.usefixtures("shop")
def test_statements_do_not_grow_with_rows(read: Reading) -> None:
    read("products?limit=1")  # the key's last use is written once a minute
    counted = []
    for limit in (1, 7):
        items = read(f"products?limit={limit}&include=parts,provenance")["items"]
        assert len(items) == limit
        assert items[0]["provenance"]
        counted.append(read.statements)
    assert counted[0] == counted[1] <= 12


@pytest.mark.usefixtures("shop")
def test_a_buried_record_is_gone_from_lists_details_and_owners(read: Reading) -> None:
    catalogue.withdrawn("akeneo", "variants", "variant", "P-1-02")
    catalogue.withdrawn("sap", "products", "variant", "P-1-02")
    catalogue.withdrawn("wms", "stock", "stock", "AMS/P-1-01")
    assert [v["sku"] for v in read("products/P-1")["variants"]] == ["P-1-01"]
    assert "P-1-02" not in [v["sku"] for v in read("variants?product=P-1")["items"]]
    assert read.refused("variants/P-1-02", 404)["code"] == "not_found"
    assert "P-1" not in [p["sku"] for p in read("products?in_stock=true")["items"]]


@pytest.mark.usefixtures("shop")
def test_a_customer_comes_with_orders_and_payments(read: Reading) -> None:
    customer = read("customers/10000001")
    assert customer["orders"][0]["lines"][0]["unit_price"] == "129.90"
    assert customer["payments"][0]["amount"] == "259.80"


@pytest.mark.usefixtures("shop")
def test_a_key_with_slashes_is_found_encoded_or_not(read: Reading) -> None:
    key = "P-1-01/DE/EUR/2026-01-01"
    for address in (key, quote(key, safe="")):
        assert read(f"prices/{address}")["id"] == key
        assert read(f"prices/{address}/explain/amount")["winner"]["system"] == "sap"
        assert read(f"prices/{address}/history")[0]["kind"] == "created"


@pytest.mark.usefixtures("shop")
def test_explain_tells_the_whole_story(read: Reading) -> None:
    told = read("products/P-1/explain/variants.P-1-01.gtin")
    assert (told["entity"], told["key"], told["value"]) == ("variant", "P-1-01", "4006381333931")
    winner = told["winner"]
    assert (winner["system"], winner["record"]) == ("sap", "P-1-01")
    assert winner["raw"] == [{"path": "ProductStandardID", "value": "4006381333931"}]
    assert winner["run"]
    assert winner["observed_at"]
    assert told["rule"] == {
        "owner": "sap",
        "fallbacks": ["akeneo"],
        "field": "gtin",
        "reason": "Articles are numbered in the ERP.",
    }
    loser = told["losing"][0]
    assert (loser["system"], loser["value"], loser["differs"]) == ("akeneo", "0000000000000", True)
    average = read("products/P-1/explain/reviews.average")
    assert (average["value"], average["winner"], len(average["computed_from"])) == (4.5, None, 2)


@pytest.mark.usefixtures("shop")
def test_explain_shows_the_conflict_and_the_override_that_settles_it(read: Reading) -> None:
    path = "products/P-1/explain/variants.P-1-01.gtin"
    told = read(path)
    assert told["override"] is None
    kept = told["losing"][0]["conflict"]
    assert (kept["state"], kept["rule"]) == ("by_rule", "sap owns variant.gtin")
    wanted = Decision("variant", "P-1-01", "gtin", "0000000000000")
    override([wanted], by="ola", reason="read off the box")
    told = read(path)
    assert (told["value"], told["winner"]["system"]) == ("0000000000000", "steward")
    assert (told["override"]["by"], told["override"]["reason"]) == ("ola", "read off the box")
    states = {c["system"]: c["conflict"] and c["conflict"]["state"] for c in told["losing"]}
    assert states == {"sap": "by_hand", "akeneo": None}


@pytest.mark.usefixtures("shop")
def test_a_change_shows_in_the_record_and_in_its_history(read: Reading) -> None:
    catalogue.say("akeneo", "products", [catalogue.model(1, name="Hut", at="2026-03-01T00:00:00Z")])
    assert read("products/P-1")["name"] == "Hut 1"
    newest = read("products/P-1/history")[0]
    assert newest["kind"] == "changed"
    assert newest["changes"]["name"][1]["en_US"] == "Hut 1"


@pytest.mark.parametrize(
    ("address", "parameter", "remedy"),
    [
        ("products?limit=0", "limit", "1 to 100"),
        ("products?limit=101", "limit", "1 to 100"),
        ("products?limit=ten", "limit", "whole number"),
        ("products?cursor=xx", "cursor", "page before"),
        ("products?locale=xx_XX", "locale", "en_US, de_DE, fr_FR"),
        ("products/P-1?locale=%00", "locale", "en_US"),
        ("products?changed_since=yesterday", "changed_since", "2026-01-31T12:00:00Z"),
        ("products?changed_since=0001-01-01T00:00:00%2B02:00", "changed_since", "is no time"),
        ("products?changed_since=2026-01-01T00:00:00", "changed_since", "offset"),
        ("products?in_stock=maybe", "in_stock", "true"),
        ("products?brand=%00", "brand", ""),
        ("reviews?rating=good", "rating", ""),
        ("products?include=everything", "include", "provenance, parts"),
        ("products?colour=red", "colour", "brand"),
    ],
)
def test_bad_input_is_a_400_that_names_the_parameter_and_the_remedy(
    read: Reading, address: str, parameter: str, remedy: str
) -> None:
    problem = read.refused(address, 400)
    assert problem["code"] == "bad_input"
    assert problem["errors"][0]["parameter"] == parameter
    assert remedy in problem["detail"]


@pytest.mark.parametrize(
    "address",
    ["products/nope", "products/%00", "products/%ff", "nope", "products/", "products/a/b"],
)
def test_what_is_not_there_is_a_404_problem(read: Reading, address: str) -> None:
    assert read.refused(address, 404)["code"] == "not_found"


@pytest.mark.usefixtures("shop")
def test_an_unknown_field_is_a_404_that_lists_the_fields(read: Reading) -> None:
    assert "brand" in read.refused("products/P-1/explain/nope", 404)["detail"]
    assert "provenance" in read.refused("products/P-1/explain/variants.x.gtin", 404)["detail"]


def test_without_a_valid_key_nothing_is_answered(read: Reading) -> None:
    for headers in ({"Authorization": "Bearer hw_nope"}, {"X-API-Key": "x"}, {"X-None": ""}):
        answer = read.raw("products", **headers)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")
        assert answer["Content-Type"] == "application/problem+json"
    assert read.raw("products", **{"X-API-Key": read.key}).status_code == 200


def test_writing_is_refused_with_what_is_allowed(read: Reading) -> None:
    answer = read.client.delete("/api/v1/products", headers={"X-API-Key": read.key})
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in answer["Allow"]


@pytest.mark.parametrize("from_the_start", [True, False])
def test_a_database_that_is_away_is_a_503(read: Reading, from_the_start: bool) -> None:  # noqa: FBT001
    def away(execute: Any, sql: str, *arguments: Any) -> Any:
        if "hub_apikey" in sql and not from_the_start:
            return execute(sql, *arguments)
        raise OperationalError("connection refused: secret-host")

    with connection.execute_wrapper(away):
        answers = [
            read.client.get("/api/v1/products", headers={"X-API-Key": read.key}),
            read.client.post(
                "/graphql",
                {"query": "{ products { nodes { sku } } }"},
                content_type="application/json",
                headers={"X-API-Key": read.key},
            ),
        ]
    for answer in answers:
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
        assert "unavailable" in answer.content.decode()
        assert "secret-host" not in answer.content.decode()


def test_every_declared_entity_has_its_addresses_and_components(read: Reading) -> None:
    document = read.client.get("/api/v1/openapi.json").json()
    for cls in entities().values():
        plural, key = cls.declaration.plural, cls.declaration.key
        for address in ("", f"/{{{key}}}", f"/{{{key}}}/explain/{{field}}", f"/{{{key}}}/history"):
            assert f"/api/v1/{plural}{address}" in document["paths"]
        assert read.raw(plural).status_code == 200
        name = "".join(word.capitalize() for word in cls.declaration.name.split("_"))
        assert key in document["components"]["schemas"][name]["properties"]


def test_the_docs_page_needs_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/api/v1/docs").content.decode()
    assert "swagger" in page
    assert "https://" not in page.replace("https://github.com/tfranzel", "")


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_an_address_that_nobody_has_is_a_problem_whatever_is_done_there(method: str) -> None:
    # With a line break in it no pattern of an address matches.
    answer = Inside(0).request(method, "/api/v1/customers/a%0Ab")
    assert (answer.status, json.loads(answer.body)["code"]) == (404, "not_found")
