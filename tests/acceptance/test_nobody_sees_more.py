"""No value that a reader may not see comes out anywhere: every entity, field and address.

The cases are made from the declarations, so that a new entity or a new guarded field is held to
them by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.db import models
from django.test import Client
from graphene.utils.str_converters import to_camel_case

from catalog.entities import Entity, Guarded, Reference, entities, value_fields
from catalog.source import SourceRecord
from hub import listing
from hub.auth.keys import issue_key
from hub.auth.rights import EVERYTHING
from tests import catalogue
from tests.direct import written_directly

pytestmark = pytest.mark.django_db

MARK = "seen-by-nobody"
#: The mark of a field that holds a number.
NUMBER = "48151623.42"
MARKS = (MARK, NUMBER)
GUARDED: list[tuple[str, str, Guarded]] = [
    (name, field, guarded)
    for name, cls in entities().items()
    for field, guarded in cls.declaration.guarded.items()
]
PUBLIC = ["read:*", "trace:*", "introspect"]


def mark_of(cls: type[Entity], field: str) -> str:
    """What a guarded field of the shop holds, as answers spell it."""
    column = cls._meta.get_field(field)
    assert isinstance(column, models.TextField | models.DecimalField | Reference), (
        f"{cls} {field}: mark it in this test"
    )
    return NUMBER if isinstance(column, models.DecimalField) else f"{MARK} {field}"


def tells(content: bytes) -> bool:
    """Whether a mark is in it."""
    return any(mark.encode() in content for mark in MARKS)


class Shop:
    """A shop whose guarded fields all hold a mark, and two who ask."""

    def __init__(self, client: Client) -> None:
        catalogue.fill(2)
        self.client = client
        self.keys = {
            "public": issue_key("public", PUBLIC), "full": issue_key("full", EVERYTHING),
        }  # fmt: skip
        for name, field, _ in GUARDED:
            self._mark(entities()[name], field)

    def _mark(self, cls: type[Entity], field: str) -> None:
        mark = mark_of(cls, field)
        with written_directly():
            cls._default_manager.update(**{field: mark})
        for record in SourceRecord.objects.filter(source__entity=cls.declaration.name):
            if field in record.fields:
                said = {**record.fields, field: mark}
                payload = json.loads(record.payload) | {"Secret": MARK}
                SourceRecord.objects.filter(pk=record.pk).update(
                    fields=said, payload=json.dumps(payload)
                )

    def get(self, path: str, who: str = "public") -> Any:
        return self.client.get(path, headers={"X-API-Key": self.keys[who]})

    def ask(self, document: str, who: str = "public") -> Any:
        return self.client.post(
            "/graphql", {"query": document}, content_type="application/json",
            headers={"X-API-Key": self.keys[who]},
        )  # fmt: skip


@pytest.fixture
def shop(client: Client) -> Shop:
    return Shop(client)


def addresses() -> Iterator[str]:
    """Every address of every record and list, with everything included."""
    for cls in entities().values():
        plural, row = cls.declaration.plural, cls._default_manager.order_by("pk").first()
        assert row is not None, f"tests.catalogue has no {plural}"
        one = f"/api/v1/{plural}/{quote(row.key)}"
        yield from (f"{one}?include=provenance", f"{one}/history")
        yield f"/api/v1/{plural}?include=provenance,parts"
        yield from (f"{one}/explain/{field.name}" for field in value_fields(cls))


def test_no_address_of_rest_tells_a_guarded_value(shop: Shop) -> None:
    for path in addresses():
        answer = shop.get(path)
        assert not tells(answer.content), path
        assert answer.status_code in (200, 403), path
    # The marks are where they were looked for: with all classes they come out.
    told = "".join(shop.get(path, "full").content.decode() for path in addresses())
    for name, field, _ in GUARDED:
        assert mark_of(entities()[name], field) in told


@pytest.mark.parametrize(("name", "field", "guarded"), GUARDED)
def test_a_guarded_field_is_null_or_refused_as_declared(
    shop: Shop, name: str, field: str, guarded: Guarded
) -> None:
    cls = entities()[name]
    declared = cls.declaration
    row = cls._default_manager.order_by("pk").first()
    assert row is not None
    called, one = to_camel_case(field), to_camel_case(name)
    column = cls._meta.get_field(field)
    # A mark is no record's key: who may follow the reference finds nothing there.
    followed = f"{called} {{ __typename }}" if isinstance(column, Reference) else called
    document = f"{{ {one}({declared.key}: {json.dumps(row.key)}) {{ {declared.key} {followed} }} }}"
    answer = shop.ask(document)
    explained = shop.get(f"/api/v1/{declared.plural}/{quote(row.key)}/explain/{field}")
    if guarded.refused:
        assert answer.status_code == explained.status_code == 403
        (error,) = answer.json()["errors"]
        assert error["extensions"]["code"] == explained.json()["code"] == "forbidden"
        assert f"class:{guarded.field_class}" in error["message"]
    else:
        assert answer.json()["data"][one] == {declared.key: row.key, called: None}
        assert explained.json() | {"value": None, "winner": None, "losing": []} == explained.json()
    # in the whole record it is null either way, and its provenance is left out
    record = shop.get(f"/api/v1/{declared.plural}/{quote(row.key)}?include=provenance").json()
    assert record[field] is None
    assert field not in [entry["field"] for entry in record["provenance"]]
    seen = shop.ask(document, "full").json()["data"][one][called]
    assert seen == (None if isinstance(column, Reference) else mark_of(cls, field))


def filters() -> Iterator[tuple[str, str]]:
    for name, cls in entities().items():
        for field in listing.filters_of(cls):
            if field in cls.declaration.guarded:
                yield name, field


@pytest.mark.parametrize(("name", "field"), list(filters()))
def test_nobody_counts_by_what_they_may_not_see(shop: Shop, name: str, field: str) -> None:
    declared = entities()[name].declaration
    plural = to_camel_case(declared.plural)
    for value in (f"{MARK} {field}", "nobody"):
        answer = shop.get(f"/api/v1/{declared.plural}?{field}={quote(value)}")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        chosen = f"{to_camel_case(field)}: {json.dumps(value)}"
        answer = shop.ask(f"{{ {plural}(filter: {{{chosen}}}) {{ nodes {{ __typename }} }} }}")
        assert answer.status_code == 403
        assert answer.json()["errors"][0]["extensions"]["code"] == "forbidden"


def test_history_passes_over_what_is_not_seen(shop: Shop) -> None:
    account = {
        **catalogue.ACCOUNT,
        "Name": f"{MARK} later",
        "SystemModstamp": "2026-03-01T00:00:00.000+0000",
    }
    catalogue.say("salesforce", "accounts", [account])
    path = "/api/v1/customers/10000001/history"
    assert MARK in shop.get(path, "full").content.decode()
    told = shop.get(path)
    assert MARK not in told.content.decode()
    assert len(told.json()) < len(shop.get(path, "full").json())


def test_what_names_or_measures_a_record_is_public() -> None:
    """Paths, switches and market fields stand in addresses and conditions."""
    for cls in entities().values():
        declared = cls.declaration
        assert not set(declared.guarded) & {*declared.path, declared.market, declared.tree}
        assert set(declared.guarded) <= {field.name for field in value_fields(cls)}


def test_scopes_hold_for_parts_references_and_verbs(shop: Shop) -> None:
    shop.keys["narrow"] = issue_key(
        "narrow", ["read:product", "read:category", "read:customer.country"]
    )
    one = '{ product(sku: "P-1") { sku %s } }'
    assert shop.ask(one % "category { code }", "narrow").status_code == 200
    for inside, lacking in (
        ("variants { sku }", "read:variant"),
        ("variants { prices { amount } }", "read:price, read:variant"),
        ("provenance { field }", "trace:product"),
        ("reviews { count }", ""),
        ("... on Product { reviews { nodes { rating } } }", "read:review"),
    ):
        answer = shop.ask(one % inside, "narrow")
        assert answer.status_code == (403 if lacking else 200), inside
        if lacking:
            assert lacking in answer.json()["errors"][0]["message"]
    assert shop.get("/api/v1/products", "narrow").status_code == 200
    refused = shop.get("/api/v1/products/P-1", "narrow")
    assert refused.status_code == 403
    assert "read:variant" in refused.json()["detail"]
    assert shop.get("/api/v1/products?include=provenance", "narrow").status_code == 403
    assert shop.get("/api/v1/categories/cat_3/history", "narrow").status_code == 403
    (customer,) = shop.get("/api/v1/customers", "narrow").json()["items"]
    assert {name for name, value in customer.items() if value is not None} == {
        "number", "country", "changed_at",
    }  # fmt: skip
    assert shop.ask("{ __schema { queryType { name } } }", "narrow").status_code == 403
    assert shop.ask("{ __schema { queryType { name } } }").status_code == 200


def test_introspection_can_be_off_for_all_but_people(
    shop: Shop, settings: Any, admin_client: Client
) -> None:
    settings.HEADWATER_INTROSPECTION = False
    document = "{ __schema { queryType { name } } }"
    refused = shop.ask(document, "full")
    assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (
        403,
        "forbidden",
    )
    assert shop.client.get("/graphql/schema").status_code == 401
    assert shop.get("/graphql/schema", "full").status_code == 403
    body = {"query": document}
    assert admin_client.post("/graphql", body, content_type="application/json").status_code == 200
    assert admin_client.get("/graphql/schema").status_code == 200
