"""Compiled reads: the same answers as Graphene's executor, in one statement, for whatever is asked."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from hub.auth.keys import issue_key
from hub.cache.classes import DataClass
from hub.cache.tags import Reads
from hub.graphql.views import EXAMPLE, executed
from hub.reads import fallbacks, persisted, pool
from hub.reads.answer import answered
from hub.reads.execute import on_django
from hub.reads.statement import Statement
from hub.usage.uses import Operation, Uses
from observability import degradation
from observability.context import correlation
from tests import catalogue
from tests.asking import ALL
from tests.documents import compare, shop

pytestmark = pytest.mark.django_db

DOCUMENTS, SEED = 300, 1


def compiled(text: str, **variables: Any) -> Any:
    """The compiled answer to a document that needs no other."""
    found = answered(text, variables, None, on_django, **ALL)
    assert isinstance(found, bytes), found
    return json.loads(found)["data"]


def test_random_documents_have_the_same_answer_from_graphene() -> None:
    shop.open_shop()
    tally = compare.run(DOCUMENTS, SEED)
    assert not tally.differences, tally.differences[0]
    assert tally.compiled + tally.forbidden > 0.8 * DOCUMENTS
    assert tally.compiled > 0.5 * DOCUMENTS
    assert tally.forbidden > 0.1 * DOCUMENTS


def test_an_operation_is_one_statement_however_much_it_asks() -> None:
    catalogue.fill(3)
    inside = EXAMPLE[EXAMPLE.index("sku slug") : EXAMPLE.rindex("}\n}")]
    degradation.current()  # looked up once a second
    with CaptureQueriesContext(connection) as seen:
        compiled(EXAMPLE, sku="P-1", locale="de-DE")
        compiled(
            f"{{ products(first: 3) {{ nodes {{ {inside} }} }} customers {{ nodes {{ number }} }} }}"
        )
    assert len(seen) == 2


def test_more_members_than_a_function_takes_arguments() -> None:
    catalogue.fill(1)
    aliases = [f"a{place}" for place in range(49)]
    members = " ".join(f"{alias}: sku" for alias in aliases)
    text = f'{{ product(sku: "P-1") {{ ...F slug name brand description changedAt }} }} fragment F on Product {{ {members} }}'
    told = compiled(text)["product"]
    assert list(told) == [*aliases, "slug", "name", "brand", "description", "changedAt"]
    assert set(list(told.values())[:49]) == {"P-1"}


def test_an_unknown_key_is_null_with_an_error_and_the_rest_is_answered() -> None:
    catalogue.fill(1)
    text = "query($a: String!, $b: String!) { b: product(sku: $b) { sku } a: product(sku: $a) { sku } }"
    with correlation("same"):
        found = answered(text, {"a": "nope", "b": "P-1"}, None, on_django, **ALL)
        wanted = executed(text, {"a": "nope", "b": "P-1"}, None, **ALL)
    assert not isinstance(found, bytes | None)
    assert (found.status_code, found.content) == (wanted.status_code, wanted.content)
    assert json.loads(found.content)["data"] == {"b": {"sku": "P-1"}, "a": None}


@pytest.mark.parametrize(
    "text",
    [
        '{ product(sku: "P-1") { explain(field: "name") { value } } }',
        "{ __schema { types { name } } }",
        "{ products(first: 0) { nodes { sku } } }",
        '{ product(sku: "P-1", locale: "xx") { sku } }',
        "{ nonsense }",
        "mutation { x }",
    ],
)
def test_what_is_no_plain_read_or_is_wrong_is_left_to_graphene(text: str) -> None:
    catalogue.fill(1)
    assert answered(text, {}, None, on_django, **ALL) is None


def test_what_could_not_be_compiled_is_counted_and_listed(client: Client) -> None:
    fallbacks.forget()
    catalogue.fill(1)
    headers = {"X-API-Key": issue_key("tests")}
    for _ in range(3):
        body = {"query": '{ product(sku: "P-1") { explain(field: "name") { value } } }'}
        assert client.post(
            "/graphql", body, content_type="application/json", headers=headers
        ).json()["data"]["product"]["explain"]["value"]
    told = io.StringIO()
    call_command("uncompiled", "--reset", stdout=told)
    count, reason, document = told.getvalue().split(maxsplit=2)
    assert (count, reason) == ("3", "Product.explain")
    assert "explain(field" in document
    assert fallbacks.uncompiled() == []


# --- documents known by their hash
DOCUMENT = "query($sku: String!) { product(sku: $sku) { sku } }"
HASH = hashlib.sha256(DOCUMENT.encode()).hexdigest()


class Shop:
    """A client that sends hashes."""

    def __init__(self, client: Client) -> None:
        self.client, self.headers = client, {"X-API-Key": issue_key("tests")}

    def post(self, **body: Any) -> Any:
        body.setdefault("variables", {"sku": "P-1"})
        return self.client.post(
            "/graphql", body, content_type="application/json", headers=self.headers
        )

    def code(self, **body: Any) -> tuple[int, str]:
        answer = self.post(**body)
        return answer.status_code, answer.json()["errors"][0]["extensions"]["code"]


@pytest.fixture
def asking(client: Client) -> Shop:
    catalogue.fill(1)
    cache.clear()
    persisted._known.clear()
    return Shop(client)


def by_hash(known: str = HASH) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": known}}


def test_a_document_is_known_by_its_hash_once_it_was_sent(asking: Shop) -> None:
    assert asking.code(extensions=by_hash()) == (200, "PERSISTED_QUERY_NOT_FOUND")
    assert asking.post(query=DOCUMENT, extensions=by_hash()).json()["data"]["product"]
    assert asking.post(extensions=by_hash()).json()["data"]["product"] == {"sku": "P-1"}
    persisted._known.clear()  # another process asks Redis
    assert asking.post(documentId=f"sha256:{HASH}").json()["data"]["product"]
    address = {"extensions": json.dumps(by_hash()), "variables": json.dumps({"sku": "P-1"})}
    got = asking.client.get("/graphql", address, headers=asking.headers)
    assert got.json()["data"]["product"] == {"sku": "P-1"}
    assert asking.client.get("/graphql", address).status_code == 401


def test_a_hash_of_something_else_is_refused(asking: Shop) -> None:
    wrong = (400, "PERSISTED_QUERY_HASH_MISMATCH")
    assert asking.code(query="{ __typename }", extensions=by_hash()) == wrong
    invalid = "{ nonsense }"
    known = hashlib.sha256(invalid.encode()).hexdigest()
    assert asking.post(query=invalid, extensions=by_hash(known)).status_code == 400
    assert asking.code(extensions=by_hash(known)) == (200, "PERSISTED_QUERY_NOT_FOUND")
    for odd in ("", "x" * 64, 5, {"a": 1}):
        extensions = {"persistedQuery": {"sha256Hash": odd}}
        assert asking.code(extensions=extensions) == (200, "PERSISTED_QUERY_NOT_FOUND")


@pytest.mark.parametrize("form", ["plain", "apollo"])
def test_only_trusted_documents_run_where_that_is_asked_for(
    asking: Shop, settings: Settings, tmp_path: Path, form: str
) -> None:
    manifest = tmp_path / "documents.json"
    operations = [{"id": HASH, "body": DOCUMENT, "name": "One", "type": "query"}]
    told = {HASH: DOCUMENT} if form == "plain" else {"version": 1, "operations": operations}
    manifest.write_text(json.dumps(told))
    settings.HEADWATER_TRUSTED_DOCUMENTS, settings.HEADWATER_TRUSTED_ONLY = str(manifest), True
    forget()
    try:
        assert asking.post(documentId=HASH).json()["data"]["product"]
        assert asking.post(query=DOCUMENT).json()["data"]["product"]
        assert asking.code(query="{ __typename }") == (403, "untrusted_document")
        assert asking.code(documentId="0" * 64) == (403, "untrusted_document")
    finally:
        forget()


def forget() -> None:
    persisted.trusted.cache_clear()
    persisted.trusted_texts.cache_clear()


def test_a_document_that_would_be_slow_to_plan_is_left_to_graphene() -> None:
    catalogue.fill(1)
    inside = " ".join(f"a{place}: provenance {{ field system stale }}" for place in range(20))
    text = f'{{ product(sku: "P-1") {{ {inside} }} }}'
    assert answered(text, {}, None, on_django, **ALL) is None


def test_a_connection_forgets_the_oldest_of_many_statements() -> None:
    made = pool.Connection()
    try:
        uses = Uses(Operation("", ""), frozenset(), ())
        for place in range(30):
            sql = f"SELECT '{place}'::text /* {'x' * 20_000} */"
            statement = Statement(sql, sql, str(place).encode(), (), (), Reads(DataClass(0)), uses)
            assert made.run(statement, []) == [str(place).encode()]
            assert made.run(statement, []) == [str(place).encode()]
        assert len(made._prepared) < 10
    finally:
        made.close()
