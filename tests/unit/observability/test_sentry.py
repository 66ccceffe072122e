"""What reaches Sentry: a server that takes its envelopes, and failures as they happen."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
import structlog

from connectors.models import Stream
from connectors.runtime import queue
from connectors.runtime.connect import connect
from connectors.runtime.pull import execute
from observability import sentry
from observability.context import correlation
from tests.endpoints import listening
from tests.unit.connectors.hostile import Answer, hostile
from tests.web import Inside

TOKEN = "wms-token-93a1f0"
PERSONAL = ("ada@example.com", "+49 170 1234567", "4242 4242 4242 4242", "Lovelace")
PAYLOAD = {"phone": "030 1234567", "client_secret": "s3cr3t-value"}
HEADERS = {
    "Authorization": "Bearer hw_0123456789ab_key-of-ada",
    "Cookie": "sessionid=a-session-of-somebody",
}
WRONG = "token=abcdef123456 is wrong"
ADDRESS = f"http://u:pa55word1@erp.test/x?email={PERSONAL[0]}"

Sent = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def sent() -> Iterator[Sent]:
    """The events that arrived, from the envelopes of a project of a local server."""
    with listening() as endpoint:
        address = endpoint.url.removesuffix("/changes").replace("http://", "http://public@")
        sentry.init(f"{address}/42", "0.0-tests")

        def events() -> list[dict[str, Any]]:
            sentry_sdk.flush(5)
            assert set(endpoint.paths) <= {"/api/42/envelope/"}
            return [event for one in endpoint.taken for event in _events(*one)]

        yield events
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)


def _events(headers: dict[str, str], body: bytes) -> Iterator[dict[str, Any]]:
    """Of an envelope: a line of headers, then for each item a line of headers and its payload."""
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    _, _, rest = body.partition(b"\n")
    while rest.strip():
        head, _, rest = rest.partition(b"\n")
        told = json.loads(head)
        payload, rest = rest[: told["length"]], rest[told["length"] + 1 :]
        if told["type"] == "event":
            yield json.loads(payload)


@pytest.mark.django_db(transaction=True)
def test_a_run_that_fails_says_what_it_was_about_and_nothing_else(sent: Sent) -> None:
    refusal = {"error": f"token {TOKEN} may not; ask ada@example.com, +49 170 1234567",
               "card": "4242 4242 4242 4242"}  # fmt: skip
    with hostile() as upstream:
        upstream.then(Answer(403, json.dumps(refusal).encode()))
        connect("wms", "wms", upstream.url, {"token": TOKEN})
        stream = Stream.objects.get(connection__slug="wms", slug="stock")
        with correlation("why-did-it-fail"):
            run = queue.ask(stream, "full", asked_by="tests")
        taken = queue.claim()
        assert taken is not None
        execute(*taken)
        assert upstream.asked[0].headers["sentry-trace"] is None
    run.refresh_from_db()
    assert run.state == "failed"
    (event,) = sent()
    assert event["tags"].items() >= {
        "connection": "wms", "stream": "stock", "run": str(run.pk), "code": "upstream.permanent",
        "correlation_id": "why-did-it-fail", "contract_version": stream.spec.contract.VERSION,
    }.items()  # fmt: skip
    assert event["exception"]["values"][-1]["type"] == "PermanentError"
    _has_none_of(event, TOKEN, *PERSONAL)


def test_a_line_of_the_log_is_an_event_with_its_values_masked(sent: Sent) -> None:
    log = structlog.get_logger("tests")
    about = {"record": PERSONAL[0], "last_name": PERSONAL[3], "stream": "customers", "count": 3,
             "payload": PAYLOAD}  # fmt: skip
    with correlation("from-a-line"):
        log.info("asked for lovelace", url=ADDRESS)
        try:
            int(f"no such customer: {PERSONAL[0]}, card {PERSONAL[2]}")
        except ValueError:
            log.exception("a lookup broke", **about)
    (event,) = sent()
    assert event["logentry"]["message"] == "a lookup broke"
    assert (event["tags"]["stream"], event["tags"]["correlation_id"]) == (
        "customers",
        "from-a-line",
    )
    assert event["extra"]["count"] == 3
    crumbs = [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
    assert "asked for lovelace" in crumbs
    _has_none_of(event, "pa55word1", "s3cr3t-value", "030 1234567", "4242424242424242", *PERSONAL)


@pytest.mark.django_db(transaction=True)
def test_of_a_request_only_method_and_path_are_told(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError(WRONG)

    monkeypatch.setattr("hub.probes.health.report", broken)
    answer = Inside(0).request("GET", f"/readyz?email={PERSONAL[0]}", headers=HEADERS)
    assert answer.status == 500
    (event, *_) = sent()
    assert event["request"]["url"].endswith("/readyz")
    assert event["tags"]["correlation_id"] == answer.headers["x-correlation-id"]
    _has_none_of(event, "a-session-of-somebody", "key-of-ada", "abcdef123456", *PERSONAL)


def _has_none_of(event: dict[str, Any], *values: str) -> None:
    text = json.dumps(event, ensure_ascii=False)
    assert [value for value in values if value in text] == []
