"""The compiled reads ahead of Django's middleware, over real HTTP: every duty of a request holds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection as database
from django.db.models.functions import Now
from pytest_django import DjangoDbBlocker

from hub.auth.keys import KNOWN_SECONDS, issue_key
from hub.auth.models import ApiKey
from hub.graphql.limits import MAX_BODY_BYTES
from tests import catalogue
from tests.processes import until
from tests.web import Answer, Web, serving

pytestmark = pytest.mark.django_db(transaction=True)

QUERY = "query($sku: String!) { product(sku: $sku) { sku name } }"


class Server:
    """The web workers, and what they log."""

    def __init__(self, web: Web, log: Path) -> None:
        self.web, self.log = web, log

    def ask(self, query: str = QUERY, key: str = "", **more: Any) -> Answer:
        body = json.dumps({"query": query, "variables": more.pop("variables", {"sku": "P-1"})})
        return self.post(body.encode(), key, **more)

    def post(self, body: bytes, key: str, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {key}", **named}
        return self.web.post("/graphql", body, sent)

    def lines(self, correlation_id: str) -> list[dict[str, Any]]:
        """The log lines of a request, which come within a second."""
        until("log line", lambda: self._lines(correlation_id), 5)
        return self._lines(correlation_id)

    def _lines(self, correlation_id: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]
        return [line for line in lines if line.get("correlation_id") == correlation_id]


@pytest.fixture(scope="module")
def server(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    del django_db_setup  # the database is there; that is all it has to say
    log = tmp_path_factory.mktemp("web") / "web.log"
    with django_db_blocker.unblock(), serving(log) as made:
        yield Server(made, log)


@pytest.fixture
def key() -> str:
    catalogue.fill(1)
    return issue_key("tests")


def test_a_read_is_answered_named_and_logged_once(server: Server, key: str) -> None:
    answer = server.ask(key=key, X_Correlation_ID="from-the-shop")
    assert (answer.status, json.loads(answer.body)["data"]["product"]["sku"]) == (200, "P-1")
    assert answer.headers["x-correlation-id"] == "from-the-shop"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "application/json"
    (line,) = server.lines("from-the-shop")
    assert (line["event"], line["path"], line["status"]) == ("request", "/graphql", 200)
    assert line["logger"] == "hub.request"
    fresh = server.ask(key=key, X_Correlation_ID="not\tours")
    assert len(fresh.headers["x-correlation-id"]) == 32
    deadline = time.monotonic() + 20
    while ApiKey.objects.get().last_used_at is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ApiKey.objects.get().last_used_at is not None
    names = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'headwater reads'"
    with database.cursor() as cursor:
        cursor.execute(names)
        assert cursor.fetchone()[0] >= 1


def test_an_unknown_key_of_a_record_is_said_with_the_same_id(server: Server, key: str) -> None:
    answer = server.ask(key=key, variables={"sku": "nope"}, X_Correlation_ID="lost")
    error = json.loads(answer.body)["errors"][0]
    assert (answer.status, error["extensions"]["code"]) == (200, "not_found")
    assert error["extensions"]["correlationId"] == answer.headers["x-correlation-id"] == "lost"
    assert len(server.lines("lost")) == 1


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b'{"query": "{ __typename }"}', {"Authorization": "Bearer hw_no"}, (401, "unauthorized")),
        (b'{"query": "{ __typename }"}', {"Host": "elsewhere.test"}, (400, "bad_request")),
        (b"{", {}, (400, "request")),
        (b'[{"query": "{ __typename }"}]', {}, (400, "batch_not_supported")),
        (b'{"query": 5}', {}, (400, "request")),
        (b'{"query": "{ __typename }", "variables": 5}', {}, (400, "request")),
        (b'{"query": "%b"}' % (b" " * MAX_BODY_BYTES), {}, (413, "too_large")),
        (b"query", {"Content_Type": "text/plain"}, (415, "unsupported_media_type")),
    ],
)
def test_what_is_wrong_is_said_as_ever(
    server: Server, key: str, body: bytes, headers: dict[str, str], said: tuple[int, str]
) -> None:
    answer = server.post(body, key, X_Correlation_ID="wrong", **headers)
    assert (answer.status, json.loads(answer.body)["code"]) == said
    assert answer.headers["x-correlation-id"] == "wrong"


WIDE = "variants { product { variants { product { variants { prices { amount } } } } } }"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ nonsense }", "invalid_document"),
        ("{ products(first: 0) { nodes { sku } } }", "bad_input"),
        ("{ " + " ".join(f"a{i}: __typename" for i in range(100)) + " }", "too_complex"),
        (f"{{ products(first: 100) {{ nodes {{ {WIDE} }} }} }}", "too_complex"),
    ],
)
def test_documents_are_limited_as_ever(server: Server, key: str, query: str, code: str) -> None:
    answer = server.ask(query, key)
    assert answer.status == 400
    assert json.loads(answer.body)["errors"][0]["extensions"]["code"] == code


def test_rest_is_answered_in_front_too(server: Server, key: str) -> None:
    headers = {"X-API-Key": key, "X-Correlation-ID": "by-rest"}
    answer = server.web.request("GET", "/api/v1/products/P-1?locale=de", headers=headers)
    assert (answer.status, json.loads(answer.body)["name"]) == (200, "Zelt 1")
    assert answer.headers["x-correlation-id"] == "by-rest"
    (line,) = server.lines("by-rest")
    assert (line["path"], line["status"]) == ("/api/v1/products/P-1", 200)
    wrong = ("/api/v1/products/nope", 404), ("/api/v1/products?limit=0", 400)
    for path, status in (*wrong, ("/api/v1/products/P-1/history", 200)):
        assert server.web.request("GET", path, headers=headers).status == status
    assert server.web.request("GET", "/api/v1/products/P-1").status == 401


def test_rights_hold_and_answers_say_what_they_hang_on(server: Server, key: str) -> None:
    del key
    narrow = issue_key("narrow", ["read:customer"])
    asked = "{ customers { nodes { number email country } } }"
    (customer,) = json.loads(server.ask(asked, narrow).body)["data"]["customers"]["nodes"]
    assert customer == {"number": "10000001", "email": None, "country": "DE"}
    for query in (QUERY, "{ customers { nodes { paymentAccount } } }"):
        refused = server.ask(query, narrow)
        assert refused.status == 403
        assert json.loads(refused.body)["errors"][0]["extensions"]["code"] == "forbidden"
    headers = {"X-API-Key": issue_key("german"), "Accept-Language": "de-AT", "CF-IPCountry": "DE"}
    answer = server.web.request("GET", "/api/v1/products/P-1", headers=headers)
    product = json.loads(answer.body)
    assert product["name"] == "Zelt 1"
    assert {p["market"] for v in product["variants"] for p in v["prices"]} == {"DE"}
    assert answer.headers["content-language"] == "de-DE"
    named = answer.headers["vary"].split(", ")
    assert {"Accept-Language", "CF-IPCountry", "Authorization"} <= set(named)


def test_a_limit_holds_for_all_workers_together(server: Server, key: str) -> None:
    del key
    limited = issue_key("limited", requests_per_minute=12)
    answers = [server.ask(key=limited) for _ in range(20)]
    statuses = [answer.status for answer in answers]
    # It fills up by one each five seconds while they ask.
    assert 12 <= statuses.count(200) <= 16
    assert statuses[:12] == [200] * 12
    last = answers[statuses.index(429)]
    assert json.loads(last.body)["errors"][0]["extensions"]["code"] == "rate_limited"
    assert 1 <= int(last.headers["retry-after"]) <= 5
    assert last.headers["ratelimit-policy"] == answers[0].headers["ratelimit-policy"]
    assert answers[0].headers["ratelimit"].startswith('"key";r=11;t=')


def test_what_is_not_compiled_is_answered_with_its_body(server: Server, key: str) -> None:
    answer = server.ask('{ product(sku: "P-1") { explain(field: "slug") { value } } }', key)
    assert json.loads(answer.body)["data"]["product"]["explain"]["value"] == "tent-1"


def test_a_revoked_key_is_refused_within_seconds(server: Server, key: str) -> None:
    assert server.ask(key=key).status == 200
    ApiKey.objects.update(revoked_at=Now())
    time.sleep(KNOWN_SECONDS + 0.2)
    assert {server.ask(key=key).status for _ in range(6)} == {401}


def test_reads_go_on_after_the_database_dropped_every_connection(server: Server, key: str) -> None:
    for _ in range(8):
        assert server.ask(key=key).status == 200
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    time.sleep(KNOWN_SECONDS + 0.2)  # keys are looked up again, too
    assert {server.ask(key=key).status for _ in range(8)} == {200}


def test_a_table_that_changes_under_a_prepared_statement_is_read_again(
    server: Server, key: str
) -> None:
    for _ in range(8):
        assert server.ask(key=key).status == 200
    with database.cursor() as cursor:
        cursor.execute("ALTER TABLE catalog_product ADD COLUMN later text")
        try:
            assert {server.ask(key=key).status for _ in range(8)} == {200}
            page = "{ products { nodes { sku } pageInfo { hasNextPage } } }"
            assert server.ask(page, key).status == 200
            cursor.execute("ALTER TABLE catalog_product DROP COLUMN later")
            answers = [json.loads(server.ask(page, key).body) for _ in range(8)]
            assert all(a["data"]["products"]["nodes"] == [{"sku": "P-1"}] for a in answers)
        finally:
            cursor.execute("ALTER TABLE catalog_product DROP COLUMN IF EXISTS later")
