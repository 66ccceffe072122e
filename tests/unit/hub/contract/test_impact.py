"""What a renamed member of an upstream breaks, from the mapping up to those who read it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from catalog.entities import Price, Product
from connectors.contracts import store
from connectors.models import Connection, DriftIncident, Subscriber
from connectors.runtime import connector
from connectors.sap.connector import SapConnector
from hub.auth.keys import issue_key, prefix_of
from hub.contract.impact import Impact, impact_of
from hub.graphql.documents import checked
from hub.reads import persisted
from hub.usage import counting
from hub.usage.models import FieldUsage, ObservedOperation, OperationUsage
from hub.usage.uses import of_document, of_rest
from observability import incidents
from tests import catalogue

pytestmark = pytest.mark.django_db

AMOUNT = "to_SlsPrcgConditionRecord.ConditionRateValue"
CARD = "query Card($sku: String!) { product(sku: $sku) { variants { prices { amount } } } }"
NAMES = "query Names { products { nodes { name } } }"


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """Nothing that other tests have asked for, in this process or of a server that has ended."""
    del db
    monkeypatch.setattr(counting, "_counted", {})
    for kept in (FieldUsage, OperationUsage, ObservedOperation):
        kept.objects.all().delete()


def asked(*arguments: str) -> tuple[int, str]:
    """(exit code, what was written)."""
    out = io.StringIO()
    try:
        call_command("contract", "impact", *arguments, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def document(*arguments: str) -> dict[str, Any]:
    code, said = asked(*arguments, "--json")
    found: dict[str, Any] = json.loads(said)
    assert found["breaks"] is (code == 1)
    return found


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the connectors that other tests have registered."""
    monkeypatch.setattr(connector, "_extra", {})


@pytest.fixture
def readers(settings: Settings, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A shop that reads prices, a blog that reads the lowest, an export; a manifest; subscribers."""
    manifest = tmp_path / "documents.json"
    manifest.write_text(json.dumps({_sha(text): text for text in (CARD, NAMES)}))
    settings.HEADWATER_TRUSTED_DOCUMENTS = str(manifest)
    persisted.trusted.cache_clear()
    keys = {name: issue_key(name) for name in ("shop", "blog", "export")}
    for times, key, text in ((3, "shop", CARD), (5, "blog", NAMES)):
        uses = of_document(checked(text), None)  # type: ignore[arg-type]
        for _ in range(times):
            counting.count(prefix_of(keys[key]), uses, "database", 1.0)
    counting.count(
        prefix_of(keys["export"]),
        of_rest(Price, many=True, parts=False, provenance=False),
        "database",
        1.0,
    )
    counting.count(
        prefix_of(keys["blog"]),
        of_rest(Product, many=True, parts=False, provenance=False),
        "database",
        1.0,
    )
    counting.pass_on()
    Subscriber.objects.create(slug="all", url="https://a.example", entities=[])
    Subscriber.objects.create(slug="prices", url="https://b.example", entities=["price"])
    Subscriber.objects.create(slug="orders", url="https://c.example", entities=["order"])
    Subscriber.objects.create(slug="off", url="https://d.example", entities=[], enabled=False)
    yield keys
    persisted.trusted.cache_clear()


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_renamed_amount_breaks_exactly_these(readers: dict[str, str]) -> None:
    found = document("--rename", f"sap/prices.{AMOUNT}=RateValue")
    assert list(found) == [
        "form", "breaks", "days", "mappings", "fields", "held_up", "rest", "graphql",
        "operations", "keys", "caches", "subscribers",
    ]  # fmt: skip
    assert found["form"] == 1
    (mapping,) = found["mappings"]
    assert mapping == {
        "connector": "sap", "stream": "prices", "member": AMOUNT, "feeds": ["price.amount"],
        "demanded": True,
        "whole": [f"price.{n}" for n in
                  ("variant", "market", "currency", "amount", "valid_from", "valid_to")],
    }  # fmt: skip
    assert found["fields"] == [
        {"entity": "price", "field": "amount", "effect": "stale", "via": "", "also_from": []}
    ]
    assert found["held_up"] == [
        "price.currency", "price.market", "price.valid_from", "price.valid_to", "price.variant",
    ]  # fmt: skip
    assert [(one["address"], one["member"]) for one in found["rest"]] == [
        ("/api/v1/prices", "items[].amount"),
        ("/api/v1/prices/{id}", "amount"),
        ("/api/v1/products", "items[].min_price"),
        ("/api/v1/products", "items[].variants[].prices[].amount"),
        ("/api/v1/products/{sku}", "min_price"),
        ("/api/v1/products/{sku}", "variants[].prices[].amount"),
        ("/api/v1/variants", "items[].prices[].amount"),
        ("/api/v1/variants/{sku}", "prices[].amount"),
    ]
    assert found["graphql"] == ["Price.amount", "Product.minPrice"]
    assert [(one["name"], one["known"], one["requests"]) for one in found["operations"]] == [
        ("GraphQL Card", "trusted", 0),
        ("GraphQL (unnamed)", "observed", 3),
        ("GET /api/v1/prices", "observed", 1),
        ("GET /api/v1/products", "observed", 1),
    ]
    assert found["operations"][0]["id"] == _sha(CARD)
    assert {(one["name"], one["key"], one["requests"]) for one in found["keys"]} == {
        ("shop", prefix_of(readers["shop"]), 3),
        ("blog", prefix_of(readers["blog"]), 1),
        ("export", prefix_of(readers["export"]), 1),
    }
    assert found["caches"] == [
        {
            "data_class": "price",
            "tags": ["price:*", "prices", "product:*", "products", "variant:*", "variants"],
        }
    ]
    assert found["subscribers"] == ["all", "prices"]


def test_the_vendors_type_means_the_same_as_the_stream() -> None:
    by_stream = document("--rename", f"sap/prices.{AMOUNT}=x")
    shapes = store.load(store.folder(SapConnector) / "specification.json").documents
    named = next(
        name for d in shapes for name, shape in d.shapes.items()
        if shape.field("ConditionRateValue") and shape.field("ConditionRateValueUnit")
    )  # fmt: skip
    assert document("--rename", f"{named}.ConditionRateValue=x") == by_stream


def test_a_reference_takes_its_parts_with_it() -> None:
    found = document("--rename", "sap/prices.Material=Product")
    assert [(hit["entity"], hit["field"], hit["via"]) for hit in found["fields"]] == [
        ("price", "variant", ""),
        ("variant", "prices", "price.variant"),
    ]
    assert found["graphql"] == ["Price.variant", "PriceFilter.variant", "Variant.prices"]


def test_a_record_key_takes_all_that_its_records_feed() -> None:
    found = document("--rename", "sap/prices.ConditionRecord=Record")
    assert {hit["field"] for hit in found["fields"] if hit["entity"] == "price"} == {
        "variant", "market", "currency", "amount", "valid_from", "valid_to",
    }  # fmt: skip


def test_what_nobody_uses_breaks_nothing() -> None:
    assert asked("--rename", "A_Product.ProductType=Kind") == (
        0,
        "nothing uses it: nothing breaks\n",
    )
    assert document("--rename", "A_Product.ProductType=Kind")["mappings"] == []


@pytest.mark.parametrize(
    ("renaming", "said"),
    [
        ("sap/prices.Materiel=x", "near it are Material"),
        ("price.Material=x", "near it are prices"),
        ("A_Product.BaseUnits=x", "near it are BaseUnit"),
        ("prices.Material", "write STREAM.member=new"),
        ("Material=x", "write STREAM.member=new"),
    ],
)
def test_a_bad_question_ends_with_2_and_names_what_is_near(renaming: str, said: str) -> None:
    with pytest.raises(CommandError, match=said) as raised:
        asked("--rename", renaming)
    assert raised.value.returncode == 2


def test_a_published_change_is_walked_too(tmp_path: Path) -> None:
    specification = store.folder(SapConnector) / "specification.json"
    text = specification.read_text()
    (tmp_path / "specification.json").write_text(text.replace('"BaseUnit"', '"BaseUnitCode"'))
    committed = store.load(tmp_path / "specification.json")
    from connectors.contracts import check

    changes = check.published(SapConnector, store.load(specification), committed)
    from hub.contract.impact import impact_of_changes

    found = impact_of_changes({("sap", stream): some for stream, some in changes.items()})
    assert [(one.stream, one.member) for one in found.mappings] == [("products", "BaseUnit")]
    assert [(hit.entity, hit.field) for hit in found.fields] == [("variant", "unit")]


def incident(member: str, breach: str = "missing") -> DriftIncident:
    details = {"path": member, "breach": breach}
    pk = incidents.find(
        "contract_drift", "sap", "drift", stream="prices", subject=member, details=details
    )
    row: DriftIncident = DriftIncident.objects.get(pk=pk)
    return row


def test_the_page_of_an_incident_shows_it(readers: dict[str, str], admin_client: Client) -> None:
    catalogue.connect()

    def shown(row: DriftIncident) -> str:
        page = reverse("admin:connectors_driftincident_change", args=[row.pk])
        return " ".join(admin_client.get(page).content.decode().split())

    assert f"hw_{prefix_of(readers['shop'])}_…, 3 requests in 30 days" in shown(incident(AMOUNT))
    assert "price.amount" in shown(incident(""))  # the records as a whole
    assert "nothing breaks" in shown(incident("Nonsense", "unknown"))
    assert "sap/prices has no member" in shown(incident("Nonsense"))


def test_an_open_incident_is_walked() -> None:
    row = incident(AMOUNT)
    found = document("--from-incident", str(row.pk))
    assert found == document("--rename", f"sap/prices.{AMOUNT}=x")
    incidents.resolve("contract_drift", "sap", stream="prices", subject=AMOUNT)
    with pytest.raises(CommandError, match="open are: none") as raised:
        asked("--from-incident", str(row.pk))
    assert raised.value.returncode == 2


def test_an_incident_names_a_connection(readers: dict[str, str]) -> None:
    del readers
    Connection.objects.create(slug="sap-emea", connector="sap", name="S", base_url="http://sap")
    found = impact_of("sap-emea", "prices", AMOUNT)
    assert isinstance(found, Impact)
    assert {key.name for key in found.keys} == {"shop", "blog", "export"}
    assert found.graphql == ("Price.amount", "Product.minPrice")
