"""A deprecated field, from its declaration to what answers say of it, by every way of reading."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.wsgi import get_wsgi_application
from django.test import Client

from catalog.entities import Deprecated, Price, Product
from hub.auth.keys import issue_key
from hub.cache.reading import Shelf
from hub.reads import plan, rest
from hub.reads.front import LEFT, Front
from hub.usage import uses
from tests import catalogue
from tests.web import Answer, Web

pytestmark = pytest.mark.django_db(transaction=True)

HEADERS = {"deprecation": "@1767225600", "sunset": "Thu, 31 Dec 2026 00:00:00 GMT"}


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def forget() -> None:
    """Plans are made once a process, from declarations that never change but here."""
    plan._plans = plan._Recent()
    rest._statements.clear()
    uses.of_rest.cache_clear()


@pytest.fixture
def deprecated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`brand` goes at the end of 2026, a price's `valid_to` a year later."""
    for cls, name, since, sunset in (
        (Product, "brand", date(2026, 2, 1), date(2026, 12, 31)),
        (Price, "valid_to", date(2026, 1, 1), date(2027, 12, 31)),
    ):
        marks = {name: Deprecated(since, sunset, "Read something else.")}
        monkeypatch.setattr(cls, "declaration", replace(cls.declaration, deprecated=marks))
    forget()
    yield
    forget()


Ask = Callable[..., Answer]


@pytest.fixture(params=["compiled", "fallback"])
def ask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Asks over HTTP: the compiled reads in front, or as if they had passed."""
    # Its thread would outlive the tests' database; without it nothing is kept.
    monkeypatch.setattr(Shelf, "follow", lambda _: None)
    catalogue.fill(1)
    django, key = get_wsgi_application(), issue_key("shop")

    def only_errors(environ: dict[str, Any], start_response: Any) -> Any:
        assert environ["PATH_INFO"].endswith("/nope"), "it should have been compiled"
        return django(environ, start_response)

    def passed(environ: dict[str, Any], start_response: Any) -> Any:
        environ[LEFT] = True
        return django(environ, start_response)

    application = Front(only_errors) if request.param == "compiled" else passed
    with make_server("127.0.0.1", 0, application, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        web = Web(server.server_port)
        headers = {"X-API-Key": key, "Content-Type": "application/json"}

        def asked(path: str, query: str = "", **variables: Any) -> Answer:
            if not query:
                return web.request("GET", path, headers=headers)
            body = json.dumps({"query": query, "variables": variables}).encode()
            return web.post(path, body, headers)

        yield asked
        server.shutdown()
        thread.join()


def said(answer: Answer) -> dict[str, str]:
    assert answer.status == 200
    return {name: answer.headers[name] for name in HEADERS if name in answer.headers}


FEBRUARY = {"deprecation": "@1769904000", "sunset": "Thu, 31 Dec 2026 00:00:00 GMT"}


@pytest.mark.usefixtures("deprecated")
def test_answers_that_read_a_deprecated_field_say_so(ask: Ask) -> None:
    one = "query($sku: String!) { product(sku: $sku) { %s } }"
    assert said(ask("/graphql", one % "sku slug", sku="P-1")) == {}
    assert said(ask("/graphql", one % "sku brand", sku="P-1")) == FEBRUARY
    # Of several, the earliest of each date.
    both = "brand variants { prices { validTo } }"
    assert said(ask("/graphql", one % both, sku="P-1")) == HEADERS
    listed = "query($f: ProductFilter) { products(filter: $f) { nodes { sku } } }"
    assert said(ask("/graphql", listed, f={"category": "cat_3"})) == {}
    assert said(ask("/graphql", listed, f={"brand": "Alpina"})) == FEBRUARY
    literal = '{ products(filter: {brand: "Alpina"}) { nodes { sku } } }'
    assert said(ask("/graphql", literal)) == FEBRUARY


@pytest.mark.usefixtures("deprecated")
def test_rest_says_so_too(ask: Ask) -> None:
    assert said(ask("/api/v1/categories")) == {}
    assert said(ask("/api/v1/products")) == FEBRUARY
    assert said(ask("/api/v1/products?include=parts")) == HEADERS
    assert said(ask("/api/v1/products/P-1")) == HEADERS
    assert ask("/api/v1/products/nope").headers.get("deprecation") is None


def test_nothing_is_said_where_nothing_goes(ask: Ask) -> None:
    forget()
    assert said(ask("/api/v1/products/P-1")) == {}
    assert said(ask("/graphql", '{ product(sku: "P-1") { brand } }')) == {}


@pytest.mark.usefixtures("deprecated")
def test_a_person_who_tries_it_out_is_told_too(admin_client: Client) -> None:
    catalogue.fill(1)
    body = {"query": '{ product(sku: "P-1") { brand } }'}
    answer = admin_client.post("/graphql", body, content_type="application/json")
    assert answer.headers["Sunset"] == FEBRUARY["sunset"]


def test_a_sunset_before_its_announcement_is_refused() -> None:
    with pytest.raises(ValueError, match="comes before since"):
        Deprecated(date(2026, 2, 1), date(2026, 1, 1), "Read `sku`.")
