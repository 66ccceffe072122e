"""The sandbox's ERP is taken down: every read goes on, marked, through the whole stack."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.db.models import F
from django.db.models.functions import Now
from graphene.utils.str_converters import to_camel_case

from catalog.entities import entities, value_fields
from catalog.source import SourceRecord
from connectors.models import Breaker, Connection
from connectors.runtime.probe import first_page, probe
from connectors.sandbox.server import SandboxServer
from hub.auth.keys import issue_key
from hub.reads import pool
from hub.usage import counting
from hub.usage.models import OperationUsage
from observability.errors import CircuitOpenError, UpstreamError
from observability.freshness import StreamFreshness
from observability.incidents import Incident
from observability.uses import UseLimit
from tests import catalogue
from tests.sandboxes import running, set_fault
from tests.web import Answer, Inside, Web

pytestmark = pytest.mark.django_db(transaction=True)

PRICE = "P-1-01/DE/EUR/2026-01-01"
#: Entities of which the ERP may supply a field, and those with such parts.
FROM_SAP = {"variant", "price", "stock", "customer", "order", "order_line"}
#: What the paths of refused values begin with: the fields of a price, or the variant above it.
PRICED = {"variant", "market", "currency", "amount", "valid_from", "valid_to", "P-1-01", "P-1-02"}
WITH_PARTS = {*FROM_SAP, "product"}


class Shop:
    """A shop whose ERP can be taken down, and a reader of it."""

    def __init__(self, web: Web, sandbox: SandboxServer, key: str) -> None:
        self.web, self.sandbox, self.headers = web, sandbox, {"Authorization": f"Bearer {key}"}

    @property
    def sap(self) -> Connection:
        return Connection.objects.get(slug="sap")

    def take_down(self) -> None:
        set_fault(self.sandbox.url, "sap", kind="down")
        for _ in range(10):
            try:
                first_page(self.sap)
            except CircuitOpenError:
                break
            except UpstreamError:
                continue
        assert Breaker.objects.get().state == "open"
        self.until(lambda: self.degraded("/api/v1/prices"))

    def bring_back(self) -> None:
        self.sandbox.sandbox.reset()
        Breaker.objects.update(retry_at=Now())
        assert probe(self.sap)
        self.until(lambda: not self.degraded("/api/v1/prices"))

    def until(self, done: Callable[[], bool]) -> None:
        """A process looks once a second."""
        deadline = time.monotonic() + 15
        while not done():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def get(self, path: str, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.web.request("GET", path, headers={**self.headers, **named})

    def degraded(self, path: str) -> bool:
        return "headwater-degraded" in self.get(path).headers

    def ask(self, query: str, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {**self.headers, "Content-Type": "application/json", **named}
        return self.web.post("/graphql", json.dumps({"query": query}).encode(), sent)


@pytest.fixture
def shop() -> Iterator[Shop]:
    catalogue.fill(3)
    with running(20) as sandbox:
        call_command("connect_sandbox", sandbox.url, stdout=io.StringIO())
        yield Shop(Inside(0), sandbox, issue_key("tests"))
    pool.release()


def test_every_read_works_and_is_marked_and_the_marks_go(shop: Shop) -> None:
    shop.take_down()
    for name, cls in entities().items():
        plural, called = cls.declaration.plural, to_camel_case(cls.declaration.plural)
        key = cls._default_manager.values_list("pk", flat=True)[0]
        values = " ".join(to_camel_case(f.name) for f in value_fields(cls) if not f.is_relation)
        asked = [
            shop.get(f"/api/v1/{plural}?include=parts"),
            shop.get(f"/api/v1/{plural}/{quote(key, safe='')}"),
            shop.ask(f"{{ {called} {{ nodes {{ {values} }} }} }}"),
            # what is not compiled
            shop.ask(f"{{ {called} {{ nodes {{ {values} }} }} __schema {{ types {{ name }} }} }}"),
        ]
        marks = ["headwater-degraded" in answer.headers for answer in asked]
        assert [answer.status for answer in asked] == [200] * 4, name
        assert marks == [name in WITH_PARTS] * 2 + [name in FROM_SAP] * 2, name
        told = [json.loads(answer.body).get("extensions", {}) for answer in asked[2:]]
        systems = [[d["system"] for d in extensions.get("degraded", [])] for extensions in told]
        assert systems == [["sap"] if name in FROM_SAP else []] * 2, name
    shown = shop.get("/api/v1/prices?include=provenance")
    mark = shown.headers["headwater-degraded"]
    assert mark.startswith("sap;since=@")
    assert mark.endswith(';reason="connection closed without an answer"')
    entries = json.loads(shown.body)["items"][0]["provenance"]
    reasons = {entry["reason"] for entry in entries if entry["system"] == "sap"}
    assert {entry["reason"] for entry in entries if entry["system"] != "sap"} == {None}
    (reason,) = reasons
    assert reason.startswith("sap is down since 20")
    assert reason.endswith("UTC: connection closed without an answer")
    shop.bring_back()
    back = shop.get("/api/v1/prices?include=provenance")
    assert {p["reason"] for p in json.loads(back.body)["items"][0]["provenance"]} == {None}
    assert "extensions" not in json.loads(shop.ask("{ prices { nodes { amount } } }").body)


def test_an_answer_that_asks_nothing_of_a_system_is_not_marked(shop: Shop) -> None:
    shop.take_down()
    assert "headwater-degraded" in shop.ask('{ variant(sku: "P-1-01") { gtin } }').headers
    names = shop.ask('{ variant(sku: "P-1-01") { sku product { slug reviews { average } } } }')
    assert names.status == 200
    without = shop.ask('{ category(code: "cat_1") { slug } }')
    assert without.status == 200
    assert "headwater-degraded" not in without.headers


def test_the_incident_lists_what_is_affected(shop: Shop) -> None:
    # Without what other tests have asked.
    counting.pass_on()
    OperationUsage.objects.all().delete()
    for _ in range(3):
        shop.get("/api/v1/prices")
    shop.ask('query Categories { category(code: "cat_1") { slug } }')
    counting.pass_on()
    shop.take_down()
    affected = Incident.objects.get().affected
    assert set(affected["entities"]) == FROM_SAP
    assert "amount" in affected["fields"]["price"]
    assert "slug" not in affected["fields"].get("category", [])
    assert "GET /api/v1/prices" in affected["operations"]
    assert "GraphQL variant, variants" in affected["operations"]
    assert not any("reviews" in operation for operation in affected["operations"])
    assert [one["operation"] for one in affected["asked"]] == ["GET /api/v1/prices"]
    assert 0 < affected["share"] < 1


class TestUse:
    """A listing serves, a checkout refuses."""

    @pytest.fixture(autouse=True)
    def limits(self) -> None:
        UseLimit.objects.all().delete()
        for use, limit in (("listing", None), ("checkout", 600)):
            UseLimit.objects.create(use=use, data_class="price", max_age_seconds=limit)

    def old(self) -> None:
        hour = timedelta(hours=1)
        StreamFreshness.objects.filter(system="sap").update(watermark=F("watermark") - hour)
        SourceRecord.objects.filter(source__system="sap").update(
            observed_at=F("observed_at") - hour
        )

    def test_what_is_fresh_enough_is_sold(self, shop: Shop) -> None:
        assert shop.get("/api/v1/prices", Headwater_Use="checkout").status == 200
        assert shop.ask("{ prices { nodes { amount } } }", Headwater_Use="checkout").status == 200

    def test_a_checkout_is_refused_with_a_clear_problem(self, shop: Shop) -> None:
        shop.take_down()
        self.old()
        for path in (f"/api/v1/prices/{quote(PRICE, safe='')}", "/api/v1/products/P-1"):
            assert shop.get(path).status == 200
            assert shop.get(path, Headwater_Use="listing").status == 200
            refused = shop.get(path, Headwater_Use="checkout")
            told = json.loads(refused.body)
            assert (refused.status, told["code"], told["status"]) == (503, "too_old", 503)
            assert (told["use"], told["system"], told["limit_seconds"]) == ("checkout", "sap", 600)
            assert told["field"].removeprefix("variants.").split(".")[0] in PRICED, told["field"]
            assert told["age_seconds"] > 3600
            assert "takes it up to 10 min; sap is down since" in told["detail"]
            assert 1 <= int(refused.headers["retry-after"]) <= 15
        assert shop.get("/api/v1/categories", Headwater_Use="checkout").status == 200

    def test_the_same_over_graphql(self, shop: Shop) -> None:
        self.old()
        query = '{ product(sku: "P-1") { name variants { prices { amount } } } }'
        assert shop.ask(query, Headwater_Use="listing").status == 200
        refused = shop.ask(query, Headwater_Use="checkout")
        (error,) = json.loads(refused.body)["errors"]
        told = error["extensions"]
        assert (refused.status, told["code"], told["system"]) == (503, "too_old", "sap")
        assert told["field"] == "product.variants.0.prices.0.amount"
        assert told["limitSeconds"] == 600
        assert int(refused.headers["retry-after"]) > 0
        assert "data" not in json.loads(refused.body)
        # The same record without its prices.
        plain = '{ product(sku: "P-1") { name variants { sku } } }'
        assert shop.ask(plain, Headwater_Use="checkout").status == 200

    def test_nobody_learns_the_age_of_what_they_may_not_see(self, shop: Shop) -> None:
        self.old()
        shop.headers["Authorization"] = f"Bearer {issue_key('narrow', ['read:price.currency'])}"
        path = f"/api/v1/prices/{quote(PRICE, safe='')}"
        told = json.loads(shop.get(path, Headwater_Use="checkout").body)
        assert (told["code"], told["field"]) == ("too_old", "currency")
        one = f'price(id: "{PRICE}")'
        refused = shop.ask(f"{{ {one} {{ amount currency }} }}", Headwater_Use="checkout")
        (error,) = json.loads(refused.body)["errors"]
        assert error["extensions"]["field"] == "price.currency"
        answer = shop.ask(f"{{ {one} {{ amount }} }}", Headwater_Use="checkout")
        assert json.loads(answer.body)["data"]["price"] == {"amount": None}

    def test_a_value_that_is_fresher_than_its_stream_is_sold(self, shop: Shop) -> None:
        self.old()
        SourceRecord.objects.filter(entity_key=PRICE).update(observed_at=Now())
        path = f"/api/v1/prices/{quote(PRICE, safe='')}"
        assert shop.get(path, Headwater_Use="checkout").status == 200
        query = f'{{ price(id: "{PRICE}") {{ amount }} }}'
        assert shop.ask(query, Headwater_Use="checkout").status == 200

    def test_an_unknown_use_is_refused_and_the_known_are_named(self, shop: Shop) -> None:
        for answer in (
            shop.get("/api/v1/prices", Headwater_Use="chekout"),
            shop.ask("{ prices { nodes { amount } } }", Headwater_Use="chekout"),
        ):
            told: dict[str, Any] = json.loads(answer.body)
            assert (answer.status, told["code"]) == (400, "bad_input")
            assert "known are checkout, listing" in told["detail"]
            assert told["errors"][0]["parameter"] == "Headwater-Use"
