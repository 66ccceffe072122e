"""Hostile documents get a 4xx with a code, and cost little: 100 ms of CPU and 20 MB at most.

Each is asked a few times; the best of them counts, since the machine has other work. Memory is
the most that Python held at once beyond what it held before.
"""

from __future__ import annotations

import gc
import io
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from hub.auth.keys import issue_key
from hub.graphql import documents
from hub.reads import front
from hub.reads.execute import on_django
from hub.wsgi import application
from tests import catalogue

CPU_SECONDS, MEBIBYTES, TIMES = 0.1, 20, 3


def nested(levels: int) -> str:
    return (
        '{ product(sku: "P-1") '
        + "{ category { parent " * (levels // 2)
        + "{ code }"
        + " } }" * (levels // 2)
        + " }"
    )


def introspected(levels: int) -> str:
    inside = "name"
    for _ in range(levels):
        inside = f"fields {{ type {{ {inside} }} }}"
    return f"{{ __schema {{ types {{ {inside} }} }} }}"


def bombs(fragments: int) -> str:
    """Each fragment spreads the next twice: 2^n fields, if somebody counted them one by one."""
    made = [
        f"fragment F{n} on Category {{ parent {{ ...F{n + 1} }} a: parent {{ ...F{n + 1} }} }}"
        for n in range(fragments)
    ]
    return "\n".join(
        [
            '{ category(code: "cat_1") { ...F0 } }',
            *made,
            f"fragment F{fragments} on Category {{ code }}",
        ]
    )


def overlapping(count: int) -> str:
    """Fields to be merged in pairs, which validation compares each with each."""
    same = " ".join('product(sku: "P-1") { variants { sku } }' for _ in range(count))
    return f"{{ {same} }}"


def query(text: str, **more: Any) -> bytes:
    return json.dumps({"query": text, **more}).encode()


HOSTILE: dict[str, tuple[bytes, int, str]] = {
    "1,000 aliases": (
        query("{ " + " ".join(f"a{n}: __typename" for n in range(1000)) + " }"), 400, "too_complex",
    ),
    "1,000 aliased roots": (
        query("{ " + " ".join(f'a{n}: product(sku: "P-{n}") {{ sku }}' for n in range(1000)) + " }"),
        400, "invalid_document",
    ),
    "depth 50": (query(nested(50)), 400, "too_complex"),
    "depth 100,000": (query("{ a " * 60_000), 400, "invalid_document"),
    "deep lists in a value": (query("{ product(sku: " + "[" * 60_000 + ") { sku } }"), 400, "invalid_document"),
    "a fragment in itself": (
        query('{ category(code: "cat_1") { ...A } } fragment A on Category { parent { ...A } }'),
        400, "invalid_document",
    ),
    "fragments in a circle": (
        query('{ category(code: "c") { ...A } } fragment A on Category { ...B } fragment B on Category { ...A }'),
        400, "invalid_document",
    ),
    "an unknown fragment": (query('{ product(sku: "P") { ...Nobody } }'), 400, "invalid_document"),
    "fragments that double": (query(bombs(45)), 400, "too_complex"),
    "500 directives": (
        query("{ __typename " + "@include(if: true) " * 500 + "}"), 400, "too_complex",
    ),
    "500 directives on a variable": (
        query("query($a: Int " + "@x " * 500 + ") { __typename }"), 400, "invalid_document",
    ),
    "a batch": (b"[" + b",".join([query("{ __typename }")] * 500) + b"]", 400, "batch_not_supported"),
    "circular introspection": (query(introspected(20)), 400, "too_complex"),
    "circular introspection, allowed depth": (query(introspected(6)), 400, "invalid_document"),
    "fields to merge": (query(overlapping(200)), 400, "too_complex"),
    "10 MB of a document": (query("{ " + "a " * 5_000_000 + "}"), 413, "too_large"),
    "10 MB of a text": (query('{ product(sku: "' + "x" * 10_000_000 + '") { sku } }'), 413, "too_large"),
    "the largest body of commas": (query("{" + "," * 250_000 + "__typename}"), 200, ""),
    "the largest body of tokens": (query("{" + "a " * 125_000 + "}"), 400, "invalid_document"),
    "the largest body of JSON lists": (b"[" * 250_000, 400, "request"),
    "5,000 variables": (
        query("{ __typename }", variables={f"v{n}": [n] * 5 for n in range(5000)}), 200, "",
    ),
    "5,000 declared variables": (
        query("query(" + "$a: Int, " * 5000 + ") { __typename }"), 400, "invalid_document",
    ),
    "no text at all": (query(""), 400, "invalid_document"),
    "a lone surrogate": (b'{"query": "{ \\ud800 }"}', 400, "invalid_document"),
    "not UTF-8": (b'{"query": "\xff\xfe"}', 400, "request"),
}  # fmt: skip


@pytest.fixture
def ask(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bytes], tuple[int, bytes]]]:
    """Asks the WSGI application, front and Django behind it, as a server would."""
    del db
    monkeypatch.setattr(front, "on_pool", on_django)
    # A follower would hold a connection to a database that is to go.
    monkeypatch.setattr(settings, "HEADWATER_KEEP_ANSWERS", False)
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    catalogue.fill(1)
    key = issue_key("hostile")
    said: list[str] = []

    def asked(body: bytes) -> tuple[int, bytes]:
        environ = {
            "REQUEST_METHOD": "POST", "PATH_INFO": "/graphql", "SERVER_NAME": "localhost",
            "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "localhost",
            "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": f"Bearer {key}", "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(), "wsgi.url_scheme": "http", "wsgi.version": (1, 0),
            "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
        }  # fmt: skip
        answer = b"".join(application(environ, lambda status, _headers: said.append(status)))
        return int(said.pop()[:3]), answer

    asked(query("{ __typename }"))
    yield asked
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_with_a_code_and_costs_little(
    ask: Callable[[bytes], tuple[int, bytes]], name: str, record_property: Any
) -> None:
    body, status, code = HOSTILE[name]
    answered, answer = ask(body)
    assert answered == status, answer[:500]
    told = json.loads(answer)
    if code:
        codes = [error.get("extensions", {}).get("code") for error in told.get("errors", ())]
        assert code in [told.get("code"), *codes]
    best = min(_cpu(ask, body) for _ in range(TIMES))
    grown = _grown(ask, body)
    record_property("cpu_ms", round(best * 1000, 1))
    record_property("mebibytes", round(grown, 1))
    assert best < CPU_SECONDS, f"{best * 1000:.0f} ms of CPU"
    assert grown < MEBIBYTES, f"{grown:.1f} MB"


def _forget() -> None:
    """What was asked before is not remembered: the sender would write each one anew."""
    documents._remembered.cache_clear()
    documents._latest.known = None


def _cpu(ask: Callable[[bytes], Any], body: bytes) -> float:
    _forget()
    began = time.process_time()
    ask(body)
    return time.process_time() - began


def _grown(ask: Callable[[bytes], Any], body: bytes) -> float:
    """Mebibytes at the most, beyond the body itself."""
    _forget()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        ask(body)
        return (tracemalloc.get_traced_memory()[1] - before) / 2**20
    finally:
        tracemalloc.stop()
