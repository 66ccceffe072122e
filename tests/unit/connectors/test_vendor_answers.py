"""Answers that the vendors give on a bad day, and tokens that are shared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.runtime.connector import Connector
from connectors.runtime.declare import Ask, Page
from observability.errors import (
    AuthExpiredError,
    GarbledError,
    HubError,
    PermanentError,
    RateLimitedError,
    RetryableError,
)
from tests.unit.connectors.hostile import Answer, Asked, Hostile, hostile
from tests.vendors import everything, opened

TOKEN_PATHS = ("/services/oauth2/token", "/api/oauth/v1/token")


@pytest.fixture
def upstream() -> Iterator[Hostile]:
    with hostile() as server:
        yield server


class Vendor:
    """Gives out tokens, counts them, and answers who has the newest with `data`."""

    def __init__(self, upstream: Hostile) -> None:
        self.given = 0
        self.data = Answer(body=b'{"records": [], "done": true, "totalSize": 0}')
        upstream.script = self.answer

    def answer(self, asked: Asked) -> Answer:
        if asked.path in TOKEN_PATHS:
            self.given += 1
            return Answer(body=b'{"access_token": "token-%d"}' % self.given)
        if asked.headers["Authorization"] != f"Bearer token-{self.given}":
            return Answer(401, b"[]")
        return self.data


def page(connector: Connector, stream: int = 0) -> Page:
    return connector.page(connector.streams[stream], Ask())


def salesforce_says(code: str, status: int) -> Answer:
    return Answer(status, json.dumps([{"message": f"{code} exceeded", "errorCode": code}]).encode())


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("REQUEST_LIMIT_EXCEEDED", 403, RateLimitedError),
        ("QUERY_TIMEOUT", 400, RetryableError),
        ("SERVER_UNAVAILABLE", 503, RetryableError),
        ("INVALID_SESSION_ID", 403, AuthExpiredError),
        ("INVALID_FIELD", 400, PermanentError),
        ("INVALID_QUERY_LOCATOR", 400, PermanentError),
    ],
)
def test_salesforce_s_error_arrays(
    upstream: Hostile, code: str, status: int, error: type[HubError]
) -> None:
    vendor = Vendor(upstream)
    vendor.data = salesforce_says(code, status)
    with pytest.raises(error) as met:
        page(opened("salesforce", upstream.url, retries=0))
    assert met.value.status == status
    assert code in str(met.value.excerpt)


@pytest.mark.parametrize("body", [b"[]", b"[7]", b'{"error": "x"}', b"<html>", b"\xff\xfe", b""])
def test_an_error_in_no_known_form_is_still_a_refusal(upstream: Hostile, body: bytes) -> None:
    Vendor(upstream).data = Answer(400, body)
    with pytest.raises(PermanentError):
        page(opened("salesforce", upstream.url))


@pytest.mark.parametrize(
    ("system", "body"),
    [
        pytest.param("salesforce", {"records": [], "done": False}, id="not done, no way on"),
        pytest.param("salesforce", [{"errorCode": "UNKNOWN", "message": ""}], id="error with 200"),
        pytest.param("stripe", {"data": [], "has_more": True}, id="more, but nothing came"),
        pytest.param("stripe", {"data": [{"Id": "a"}], "has_more": True}, id="ids renamed"),
        pytest.param("stripe", {"error": {"type": "api_error"}}, id="error object with 200"),
        pytest.param("akeneo", {"_links": {}}, id="no items"),
        pytest.param("akeneo", {"code": 200, "message": "?"}, id="message with 200"),
    ],
)
def test_a_list_never_ends_early_unnoticed(upstream: Hostile, system: str, body: Any) -> None:
    """A full refresh would take what is missing for deleted."""
    vendor = Vendor(upstream)
    vendor.data = Answer(body=json.dumps(body).encode())
    if system == "stripe":
        upstream.then(vendor.data)
    with pytest.raises(GarbledError) as met:
        page(opened(system, upstream.url))
    assert (met.value.connection, bool(met.value.message)) == (system, True)


def test_the_last_page_of_akeneo_may_be_empty_and_still_link_on(upstream: Hostile) -> None:
    link = f"{upstream.url}/api/rest/v1/products?search_after=x"
    body = {"_links": {"next": {"href": link}}, "_embedded": {"items": []}}
    Vendor(upstream).data = Answer(body=json.dumps(body).encode())
    assert everything(opened("akeneo", upstream.url), "variants") == []


def test_a_link_to_another_host_is_asked_of_our_own(upstream: Hostile) -> None:
    """Behind a proxy a PIM links to its own name, which may be nobody's or somebody else's."""
    first, last = (
        {"_links": links, "_embedded": {"items": [{"code": code}]}}
        for code, links in (
            ("a", {"next": {"href": "https://elsewhere.example/api/rest/v1/products?p=2"}}),
            ("b", {}),
        )
    )
    vendor = Vendor(upstream)

    def answer(asked: Asked) -> Answer:
        body = last if asked.path.endswith("p=2") else first
        vendor.data = Answer(body=json.dumps(body).encode())
        return vendor.answer(asked)

    upstream.script = answer
    found = everything(opened("akeneo", upstream.url), "variants")
    assert [json.loads(raw)["code"] for raw in found] == ["a", "b"]
    assert upstream.asked[-1].path == "/api/rest/v1/products?p=2"


# --- tokens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["salesforce", "akeneo"])
def test_sessions_with_the_same_credentials_share_one_token(upstream: Hostile, system: str) -> None:
    vendor = Vendor(upstream)
    if system == "akeneo":
        vendor.data = Answer(body=b'{"_links": {}, "_embedded": {"items": []}}')
    page(opened(system, upstream.url))
    asked = len(upstream.asked)
    page(opened(system, upstream.url))
    assert vendor.given == 1
    assert len(upstream.asked) == asked + 1
    page(opened(system, upstream.url, client_id="another"))
    assert vendor.given == 2


def test_a_token_that_another_session_has_renewed_is_not_renewed_again(upstream: Hostile) -> None:
    vendor = Vendor(upstream)
    first, second = (opened("salesforce", upstream.url) for _ in range(2))
    page(first)
    page(second)
    stale, vendor.given = vendor.given, vendor.given + 1  # token-1 is refused from now on
    page(first)
    page(second)
    assert vendor.given == stale + 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(400, b'{"error": "invalid_grant"}'), AuthExpiredError),
        (Answer(401, b'{"error": "invalid_client"}'), AuthExpiredError),
        (Answer(422, b'{"code": 422, "message": "No user found"}'), AuthExpiredError),
        (Answer(404, b"not here"), PermanentError),
        (Answer(503, b"later"), RetryableError),
        (Answer(200, b'{"token": "hidden-1"}'), GarbledError),
        (Answer(200, b"<html>hidden-1"), GarbledError),
    ],
)
def test_where_tokens_are_given_out(
    upstream: Hostile, answer: Answer, error: type[HubError]
) -> None:
    upstream.script = lambda asked: answer if asked.path in TOKEN_PATHS else Answer(401, b"[]")
    with pytest.raises(error) as met:
        page(opened("salesforce", upstream.url))
    assert "hidden-1" not in str(met.value.details())
    assert met.value.__cause__ is None or "hidden-1" not in str(met.value.__cause__)


def test_credentials_stay_out_of_what_is_printed(upstream: Hostile) -> None:
    for system in ("akeneo", "salesforce"):
        auth = opened(system, upstream.url).session.auth
        assert auth is not None
        seen = repr(vars(auth))
        assert "sandbox-" not in seen
        assert "akeneo-secret" not in seen
