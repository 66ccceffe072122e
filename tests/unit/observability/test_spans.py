"""Spans as a collector gets them, by OTLP/HTTP; and what it costs where there is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from connectors.models import Stream
from connectors.runtime import queue
from connectors.runtime.connect import connect
from connectors.runtime.pull import execute
from hub.auth.keys import issue_key
from observability import context, spans
from tests.endpoints import listening
from tests.unit.connectors.hostile import Answer, hostile
from tests.web import Inside

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"

Collected = Callable[[], list[Any]]


@pytest.fixture
def collected() -> Iterator[Collected]:
    """The spans that arrived at a local collector."""
    with listening() as endpoint:
        spans.configure(endpoint.url.removesuffix("/changes"))

        def found() -> list[Any]:
            spans.flush()
            assert set(endpoint.paths) <= {"/v1/traces"}
            bodies = [ExportTraceServiceRequest.FromString(body) for _, body in endpoint.taken]
            scopes = [s for body in bodies for r in body.resource_spans for s in r.scope_spans]
            return [span for scope in scopes for span in scope.spans]

        yield found
        spans.configure("")


@pytest.mark.django_db(transaction=True)
def test_a_run_and_its_calls_are_one_trace(collected: Collected) -> None:
    with hostile() as upstream:
        upstream.then(Answer(500), Answer(403))
        connect("wms", "wms", upstream.url, {"token": "wms-token-1"})
        stream = Stream.objects.get(connection__slug="wms", slug="stock")
        with context.correlation(TRACE):
            run = queue.ask(stream, "full", asked_by="tests")
        taken = queue.claim()
        assert taken is not None
        execute(*taken)
        sent = [asked.headers["traceparent"] for asked in upstream.asked]
    first, second, of_run = collected()
    assert {span.trace_id.hex() for span in (first, second, of_run)} == {TRACE}
    assert (of_run.name, of_run.parent_span_id) == ("sync run", b"")
    assert first.parent_span_id == second.parent_span_id == of_run.span_id
    # Whoever was called is told of the very call.
    assert sent == [f"00-{TRACE}-{span.span_id.hex()}-01" for span in (first, second)]
    assert [_of(s)["http.response.status_code"].int_value for s in (first, second)] == [500, 403]
    assert _of(first)["peer.service"].string_value == "wms"
    assert _of(of_run)["error.type"].string_value == "upstream.permanent"
    assert _of(of_run)["headwater.run"].int_value == run.pk


@pytest.mark.django_db(transaction=True)
def test_requests_are_kept_as_their_callers_flags_say(collected: Collected) -> None:
    key = {"Authorization": f"Bearer {issue_key('tests')}"}
    web = Inside(0)

    def ask(method: str, path: str, flags: str = "") -> str:
        told = {"traceparent": f"00-{TRACE}-{CALLER}-{flags}"} if flags else {}
        answer = web.request(method, path, b"", {**key, **told})
        return answer.headers["x-correlation-id"]

    ask("GET", "/api/v1/products", "00")
    ask("GET", "/api/v1/products")
    read = ask("GET", "/api/v1/products", "01")
    ask("POST", "/api/v1/orders", "00")
    write = ask("POST", "/api/v1/orders")
    hook = ask("POST", "/hooks/nobody/")
    found = [(s.trace_id.hex(), s.name, _of(s)["url.path"].string_value) for s in collected()]
    assert found == [
        (read, "GET", "/api/v1/products"),
        (write, "POST", "/api/v1/orders"),
        (hook, "POST", "/hooks/nobody/"),
    ]
    assert read == TRACE
    assert collected()[0].parent_span_id.hex() == CALLER


def test_without_an_endpoint_nothing_is_made_or_loaded() -> None:
    with context.correlation(TRACE):
        block = spans.span("anything", http_route="x")
        assert block is spans.span("something else")
        with block:
            assert context.trace_parent() == ""
    probe = "import hub.settings, sys; print([m for m in sys.modules if 'opentelemetry' in m])"
    told = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def _of(span: Any) -> dict[str, Any]:
    return {one.key: one.value for one in span.attributes}
