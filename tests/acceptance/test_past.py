"""Answers as of a moment: what was read then is what is read about then, ever after."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from catalog.history import Revision
from catalog.matching.merging import merge, unmerge
from catalog.matching.models import SameAs
from catalog.merge import Cause
from catalog.source import source_id
from catalog.stage import Contribution, apply_contributions, payload_hash, withdraw
from hub.auth.keys import issue_key
from observability.clock import database_now
from tests.web import Inside

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = """{
  products(first: 50) { nodes {
    sku name brand inStock minPrice { market currency amount } category { code path { code name } }
    variants { sku gtin changedAt prices { market amount validTo } stock { warehouse available } }
    reviews { count average nodes { id rating } }
  } }
  customers(first: 50) { nodes {
    number name orders { number total lines { position quantity variant { sku gtin } } }
  } }
}"""
NARROWED = """query($c: String) {
  products(filter: {category: $c, inStock: true}) { nodes { sku } }
}"""


class Shop:
    """A small catalogue that changes at random, by what one system says."""

    def __init__(self, seed: int) -> None:
        self.some = random.Random(seed)
        self.version = 0

    def tell(self, entity: str, key: str, **fields: Any) -> None:
        self.version += 1
        payload = json.dumps({"key": key, **fields}).encode()
        source = source_id("erp", entity, entity)
        said = Contribution(source, key, key, payload, payload_hash(payload), fields, self.version)
        with transaction.atomic():
            apply_contributions([said], Cause(run_id=self.version), entities=[entity])

    def gone(self, entity: str, key: str) -> None:
        with transaction.atomic():
            withdraw(source_id("erp", entity, entity), [key], Cause(), entity=entity)

    def one(self, prefix: str, of: int = 3) -> str:
        return f"{prefix}-{self.some.randint(1, of)}"

    def category(self) -> None:
        above = self.some.choice([None, "c-1"])
        self.tell("category", self.one("c"), name={"en_US": self.word()}, parent=above)

    def product(self) -> None:
        names = {locale: self.word() for locale in self.some.sample(["en_US", "de_DE"], 1)}
        brand = self.some.choice([None, "Alpina", "Borea"])
        self.tell("product", self.one("P"), name=names, brand=brand, category=self.one("c"))

    def variant(self) -> None:
        owner = self.some.choice([None, self.one("P"), self.one("P")])
        self.tell("variant", self.one("V", 4), product=owner, gtin=self.word())

    def price(self) -> None:
        key, market = self.one("p", 5), self.some.choice(["DE", "US"])
        until = self.some.choice([None, "2020-01-01", "2099-12-31"])
        self.tell(
            "price", key, variant=self.one("V", 4), market=market, currency="EUR",
            amount=str(self.some.randint(1, 9999) / 100), valid_from=f"2026-01-0{key[-1]}",
            valid_to=until,
        )  # fmt: skip

    def stock(self) -> None:
        key = self.one("s")
        left = self.some.choice([0, 0, 7])
        self.tell("stock", key, variant=self.one("V", 4), warehouse=key, available=left)

    def review(self) -> None:
        self.tell("review", self.one("r"), product=self.one("P"), rating=self.some.randint(1, 5))

    def customer(self) -> None:
        self.tell("customer", self.one("k"), name=self.word())

    def order(self) -> None:
        self.tell("order", self.one("o"), customer=self.one("k"), total=str(self.version))
        number = self.one("o")
        self.tell(
            "order_line", f"{number}/1", order=number, position=1, quantity=self.version,
            variant=self.one("V", 4),
        )  # fmt: skip

    def leave(self) -> None:
        entity, key = self.some.choice(
            [("product", "P"), ("variant", "V"), ("price", "p"), ("stock", "s"), ("category", "c"),
             ("customer", "k"), ("order", "o"), ("review", "r")]
        )  # fmt: skip
        self.gone(entity, self.one(key))

    def meet(self) -> None:
        """Two customers become one, or one two again."""
        if met := SameAs.objects.filter(ended_at=None).first():
            unmerge(met, by="grace", reason="two people")
            return
        self.tell("customer", "k-1", name=self.word())
        self.tell("customer", "k-2", name=self.word())
        merge("customer", "k-2", "k-1", by="grace", reason="one person")

    def change(self) -> None:
        several: list[Callable[[], None]] = [
            self.category, self.product, self.product, self.variant, self.variant, self.price,
            self.price, self.stock, self.stock, self.review, self.customer, self.order, self.order,
            self.leave, self.leave, self.meet,
        ]  # fmt: skip
        self.some.choice(several)()

    def word(self) -> str:
        return f"word {self.some.randint(1, 10**6)}"


class Reader:
    """Whoever reads with an API key, now or as of a moment."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {issue_key('tests')}"}

    def rest(self, address: str, at: datetime | None = None, **asked: Any) -> Any:
        if at is not None:
            asked["at"] = at.isoformat()
        return self.client.get(f"/api/v1/{address}", asked, headers=self.headers)

    def graphql(self, query: str, at: datetime | None = None, **variables: Any) -> Any:
        address = "/graphql" if at is None else f"/graphql?at={at:%Y-%m-%dT%H:%M:%S.%fZ}"
        body = {"query": query, "variables": variables}
        return self.client.post(address, body, "application/json", headers=self.headers)

    def all(self, at: datetime | None = None) -> list[Any]:
        """Several answers that see everything."""
        found = [
            self.graphql(EVERYTHING, at).json(),
            self.graphql(NARROWED, at, c="c-1").json(),
            self.rest("variants", at, limit=50, include="parts").json(),
        ]
        for address in ("products/P-1", "customers/k-1", "customers/k-2", "orders/o-1"):
            answer = self.rest(address, at)
            said = answer.json()
            if answer.status_code != 200:
                said = {n: said[n] for n in ("status", "code", "merged_into") if n in said}
            # a derived value moves a product's time, and leaves no revision (decision 11)
            elif address.startswith("products"):
                del said["changed_at"]
            found.append(said)
        return found


@pytest.fixture
def reader(client: Client) -> Reader:
    return Reader(client)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_read_at_a_moment_is_read_of_it_later(reader: Reader, seed: int) -> None:
    shop = Shop(seed)
    remembered: list[tuple[datetime, list[Any]]] = []
    for _ in range(14):
        for _ in range(5):
            shop.change()
        remembered.append((database_now(), reader.all()))
    # most rounds change something
    assert len({json.dumps(said) for _, said in remembered}) > len(remembered) / 2
    for moment, said in remembered:
        assert reader.all(moment) == said


@pytest.fixture
def shop() -> Shop:
    return Shop(0)


def test_of_two_changes_the_one_that_came_last_counts_though_it_began_first(
    shop: Shop, reader: Reader
) -> None:
    shop.tell("product", "P-1", brand="Alpina")
    shop.tell("product", "P-1", brand="Borea")
    shop.tell("product", "P-1", brand="Cordillera")
    first, second, third = Revision.objects.order_by("id")
    # the third one's transaction had begun before the second's
    third.at, moment = first.at + (second.at - first.at) / 3, first.at + (second.at - first.at) / 2
    third.save()
    assert reader.rest("products/P-1", moment).json()["brand"] == "Alpina"
    assert reader.rest("products/P-1", second.at).json()["brand"] == "Cordillera"


def test_what_is_not_known_is_said_and_not_guessed(shop: Shop, reader: Reader) -> None:
    before = database_now()
    shop.tell("product", "P-1", brand="Alpina")
    told = reader.rest("products/P-1", before)
    assert (told.status_code, told.json()["code"]) == (404, "not_found")
    assert "the hub first heard of it at" in told.json()["detail"]
    shop.tell("product", "P-1", brand="Borea")
    shop.gone("product", "P-1")
    assert "it was deleted at" in reader.rest("products/P-1", database_now()).json()["detail"]
    # history of the first day is not kept any more
    Revision.objects.filter(kind="created").delete()
    asked = Revision.objects.earliest("id").at - timedelta(microseconds=1)
    for answer in (reader.rest("products/P-1", asked), reader.rest("products", asked)):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_known_then")
        assert "of product P-1 no history is kept from before" in answer.json()["detail"]
    refused = reader.graphql('{ product(sku: "P-1") { brand } }', asked).json()["errors"][0]
    assert refused["extensions"]["code"] == "not_known_then"
    shop.tell("customer", "k-1", name="Ada", country="GB")
    known = database_now()
    shop.tell("customer", "k-1", name="Augusta", country="GB")
    assert reader.rest("customers/k-1", known).json()["name"] == "Ada"
    Revision.objects.filter(entity="customer").update(changes={})  # as erasure and retention do
    emptied = reader.rest("customers/k-1", known)
    assert (emptied.status_code, emptied.json()["code"]) == (404, "not_known_then")
    assert reader.rest("customers/k-1", database_now()).json()["name"] == "Augusta"
    future = reader.rest("products/P-1", database_now() + timedelta(hours=1))
    assert (future.status_code, future.json()["errors"][0]["parameter"]) == (400, "at")
    for text in ("yesterday", "2026-11-21", "2026-11-21T12:00"):
        answer = reader.client.get(f"/api/v1/products?at={text}", headers=reader.headers)
        assert answer.json()["errors"][0]["parameter"] == "at"


def test_the_past_takes_the_right_to_trace_and_has_no_provenance(
    shop: Shop, reader: Reader
) -> None:
    shop.tell("product", "P-1", brand="Alpina")
    now = database_now()
    answer = reader.rest("products/P-1", now, fields="sku,brand")
    assert answer.json() == {"sku": "P-1", "brand": "Alpina"}
    assert answer["Headwater-At"] == now.isoformat()
    assert "no-store" in answer["Cache-Control"]
    assert "ETag" not in answer
    refused = reader.rest("products/P-1", now, include="provenance")
    assert refused.json()["errors"][0]["parameter"] == "include"
    traced = '{ product(sku: "P-1") { provenance { field } } }'
    assert reader.graphql(traced, now).json()["errors"][0]["parameter"] == "query"
    narrow = issue_key("narrow", scopes=["read:product", "read:variant", "trace:product"])
    reader.headers = {"Authorization": f"Bearer {narrow}"}
    assert reader.graphql('{ product(sku: "P-1") { brand } }', now).status_code == 200
    parts = reader.graphql('{ product(sku: "P-1") { variants { sku } } }', now)
    assert parts.status_code == 403
    assert "trace:variant" in parts.json()["errors"][0]["message"]


def test_what_answers_in_front_leaves_the_past_alone(shop: Shop) -> None:
    shop.tell("product", "P-1", brand="Alpina")
    moment = database_now()
    shop.tell("product", "P-1", brand="Borea")
    inside, key = Inside(0), issue_key("front")
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps({"query": '{ product(sku: "P-1") { brand } }'}).encode()
    for at, brand in (("", b"Borea"), (f"?at={moment:%Y-%m-%dT%H:%M:%S.%fZ}", b"Alpina")) * 2:
        assert brand in inside.post(f"/graphql{at}", body, headers).body
        assert brand in inside.request("GET", f"/api/v1/products/P-1{at}", b"", headers).body
