"""The one door out, against an upstream that misbehaves in every way that we know of."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest
from requests import PreparedRequest
from requests.auth import AuthBase

from connectors.runtime.retry_after import retry_after
from connectors.runtime.session import BasicAuth, HubSession, decode
from observability.context import correlation
from observability.errors import (
    AuthExpiredError,
    GarbledError,
    PermanentError,
    RateLimitedError,
    RetryableError,
)
from tests.unit.connectors.hostile import Answer, Asked, Hostile, hostile

MIB = 1024 * 1024
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def upstream() -> Iterator[Hostile]:
    with hostile() as server:
        yield server


@pytest.fixture
def session(upstream: Hostile) -> Iterator[HubSession]:
    with HubSession("erp", upstream.url, timeout=(1, 2), retries=2) as session:
        yield session


# --- one host -------------------------------------------------------------------------------------


def test_relative_urls_go_to_the_connection(upstream: Hostile, session: HubSession) -> None:
    assert session.get_bytes("a/b?c=d") == b"{}"
    assert session.get_bytes("/a/b?c=d") == b"{}"
    assert [asked.path for asked in upstream.asked] == ["/a/b?c=d", "/a/b?c=d"]


def test_a_base_url_may_have_a_path_and_links_below_it_are_not_doubled(upstream: Hostile) -> None:
    with HubSession("erp", f"{upstream.url}/gateway") as session:
        session.get_bytes("stock")
        session.get_bytes(session.relative("https://inside:44300/gateway/stock?page=2"))
    assert [asked.path for asked in upstream.asked] == ["/gateway/stock", "/gateway/stock?page=2"]


@pytest.mark.parametrize("verb", ["get", "request"])
def test_a_redirect_to_another_host_is_not_followed(
    upstream: Hostile, session: HubSession, verb: str
) -> None:
    with hostile() as other:
        upstream.then(Answer(302, headers={"Location": f"{other.url}/login?token=abc"}))
        with pytest.raises(PermanentError, match="redirects to") as caught:
            session.get("stock") if verb == "get" else session.request("GET", "stock")
        assert other.asked == []
    assert f"{other.url}/login" in caught.value.message
    assert "abc" not in caught.value.message


@pytest.mark.parametrize(
    "url", ["http://evil.example/x", "https://127.0.0.1/x", "http://127.0.0.1:1/x"]
)
def test_another_host_is_refused_before_anything_is_sent(session: HubSession, url: str) -> None:
    with pytest.raises(PermanentError, match="refused to leave"):
        session.get(url)


def test_a_link_that_hides_a_host_in_its_path_stays_here(
    upstream: Hostile, session: HubSession
) -> None:
    session.get_bytes("//evil.example/x")
    assert upstream.asked[0].headers["Host"] == upstream.url.removeprefix("http://")


# --- bodies ---------------------------------------------------------------------------------------


def test_a_page_of_40_mb_is_refused_by_its_length(upstream: Hostile, session: HubSession) -> None:
    upstream.then(Answer(body=b"[]", length=40 * MIB))
    with pytest.raises(GarbledError, match=r"40\.0 MiB.*limit.*32\.0 MiB"):
        session.get_bytes("stock")
    assert len(upstream.asked) == 1  # it would be no smaller the second time


def test_a_gzip_bomb_is_stopped_at_the_limit_with_little_memory(upstream: Hostile) -> None:
    bomb = gzip.compress(bytes(200 * MIB), 9)
    assert len(bomb) < MIB
    upstream.then(Answer(body=bomb, headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    try:
        with (
            HubSession("erp", upstream.url, max_body_bytes=4 * MIB) as session,
            pytest.raises(GarbledError, match=r"limit.*4\.0 MiB"),
        ):
            session.get_bytes("stock")
        assert tracemalloc.get_traced_memory()[1] < 24 * MIB
    finally:
        tracemalloc.stop()


def test_the_limit_holds_for_callers_who_ask_for_a_stream(upstream: Hostile) -> None:
    upstream.then(Answer(body=b"x" * 5000))
    with (
        HubSession("erp", upstream.url, max_body_bytes=4000) as session,
        pytest.raises(GarbledError),
    ):
        session.get("stock", stream=True)


def test_a_body_cut_short_is_read_again(upstream: Hostile, session: HubSession) -> None:
    upstream.then(Answer(body=b'{"a":', length=100), Answer(body=b'{"a":1}'))
    assert session.get_bytes("stock") == b'{"a":1}'


def test_a_body_that_is_always_cut_short_is_garbled(upstream: Hostile, session: HubSession) -> None:
    upstream.then(Answer(body=b'{"a":', length=100))
    with pytest.raises(GarbledError, match="cut short") as caught:
        session.get_bytes("stock")
    assert caught.value.excerpt == '{"a":'
    assert len(upstream.asked) == 3


def test_a_chunked_body_in_gzip_is_read_whole(upstream: Hostile, session: HubSession) -> None:
    packed = gzip.compress(b'{"a":"' + bytes(range(97, 123)) * 40_000 + b'"}')
    chunks = [packed[at : at + 700] for at in range(0, len(packed), 700)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
    headers = {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
    upstream.then(Answer(body=body, headers=headers))
    assert len(session.get_bytes("stock")) == 40_000 * 26 + 8
    upstream.then(Answer(body=body[:-200], headers=headers, length=0))
    with pytest.raises(GarbledError, match="cut short"):
        session.get_bytes("stock")


def test_a_body_that_is_no_gzip_is_garbled(upstream: Hostile, session: HubSession) -> None:
    upstream.then(Answer(body=b"plain", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(GarbledError):
        session.get_bytes("stock")


@pytest.mark.parametrize("body", [b"<html>Wartung</html>", b"", b"\xff\xfe{}", b"[" * 200_000])
def test_what_is_no_json_is_shown(upstream: Hostile, session: HubSession, body: bytes) -> None:
    upstream.then(Answer(body=body, headers={"Content-Type": "text/html"}))
    with correlation("test-1"), pytest.raises(GarbledError, match="text/html") as caught:
        decode(dict[str, msgspec.Raw], session.get("stock"), "erp")
    assert caught.value.status == 200
    assert caught.value.correlation_id == "test-1"
    assert (caught.value.excerpt or "")[:6] == body.decode("utf-8", "replace")[:6]


# --- statuses, repetition -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, PermanentError),
        (401, AuthExpiredError),
        (404, PermanentError),
        (422, PermanentError),
        (429, RateLimitedError),
        (500, RetryableError),
        (503, RetryableError),
    ],
)
def test_a_status_becomes_the_error_that_it_means(
    upstream: Hostile, session: HubSession, status: int, error: type[Exception]
) -> None:
    upstream.then(Answer(status, b"<h1>no</h1>", {"Retry-After": "60"}))
    with correlation("test-2"), pytest.raises(error) as caught:
        session.get_bytes("stock")
    found: Any = caught.value
    assert (found.status, found.excerpt, found.connection) == (status, "<h1>no</h1>", "erp")
    assert found.correlation_id == "test-2"


def test_html_in_a_maintenance_window_is_asked_again_and_then_retryable(
    upstream: Hostile, session: HubSession
) -> None:
    upstream.then(Answer(503, b"<html>maintenance</html>"))
    with pytest.raises(RetryableError) as caught:
        session.get_bytes("stock")
    assert caught.value.excerpt == "<html>maintenance</html>"
    assert len(upstream.asked) == 3


def test_a_passing_failure_is_not_seen(upstream: Hostile, session: HubSession) -> None:
    upstream.then(Answer(502), None, Answer(body=b"[1]"))
    assert session.get_bytes("stock") == b"[1]"


def test_a_write_is_sent_once(upstream: Hostile, session: HubSession) -> None:
    upstream.then(Answer(502))
    with pytest.raises(RetryableError):
        session.post("orders", json={"a": 1})
    assert len(upstream.asked) == 1


def test_a_short_wait_that_is_asked_for_is_kept(upstream: Hostile, session: HubSession) -> None:
    upstream.then(Answer(429, headers={"Retry-After": "0.05"}), Answer(body=b"[2]"))
    assert session.get_bytes("stock") == b"[2]"


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [
        ("90", 90.0),
        ("90.5", 90.5),
        (format_datetime(AT + timedelta(seconds=90), usegmt=True), 90.0),
    ],
)
def test_a_long_wait_is_left_to_the_queue(
    upstream: Hostile, session: HubSession, wish: str, seconds: float
) -> None:
    date = format_datetime(AT, usegmt=True)
    upstream.then(Answer(429, headers={"Retry-After": wish, "Date": date}))
    with pytest.raises(RateLimitedError) as caught:
        session.get_bytes("stock")
    assert len(upstream.asked) == 1
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", 86400.0),
        ("-3", 0.0),
        ("120", 120.0),
        ("2.0", 2.0),
        (format_datetime(AT + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(AT - timedelta(seconds=30), usegmt=True), 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
        ("Fri, 99 Foo 2026 00:00:00 GMT", None),
    ],
)
def test_retry_after_in_every_form(wish: str, seconds: float | None) -> None:
    # Measured by the upstream's clock, which may be years off ours.
    headers = {"Retry-After": wish, "Date": format_datetime(AT, usegmt=True)}
    assert retry_after(headers) == seconds


def test_nobody_there_is_retryable_and_says_why() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    session = HubSession("erp", f"http://127.0.0.1:{port}", retries=0)
    with pytest.raises(RetryableError, match="refused") as caught:
        session.get("stock?api_token=geheim")
    assert "geheim" not in caught.value.message


def test_an_upstream_that_never_answers_is_retryable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            HubSession("erp", url, timeout=(1, 0.1), retries=0) as session,
            pytest.raises(RetryableError, match="timed out"),
        ):
            session.get("stock", timeout=None)


def test_somebody_who_waits_is_not_kept_beyond_his_deadline() -> None:
    """Neither by an upstream that is silent, nor by one that drips, nor by repetitions."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with HubSession("erp", url, timeout=(5, 30), retries=3) as session:
            began = time.monotonic()
            session.hurry(began + 0.3)
            with pytest.raises(RetryableError, match="timed out"):
                session.get("stock")
            assert time.monotonic() - began < 5


def test_an_answer_that_drips_ends_with_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            link, _ = server.accept()
            with link, suppress(OSError):
                link.recv(65536)
                link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                for _ in range(1000):
                    link.sendall(b"x")
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with HubSession("erp", url, timeout=(5, 30), retries=0) as session:
            session.hurry(time.monotonic() + 0.5)
            with pytest.raises(RetryableError, match="too slowly"):
                session.get("stock")


# --- who we are -----------------------------------------------------------------------------------


class Tokens(AuthBase):
    """Gets itself a new token from /token."""

    def __init__(self) -> None:
        self.token = "old"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request

    def renew(self, session: HubSession) -> None:
        response = session.post("token", auth=BasicAuth("me", "secret"))
        self.token = session.checked(response).text


def accepts_only(token: str, *, gives: str) -> Any:
    def script(asked: Asked) -> Answer:
        if asked.path == "/token":
            return Answer(body=gives.encode())
        wanted = asked.headers["Authorization"] == f"Bearer {token}"
        return Answer(200 if wanted else 401, asked.body or b"{}")

    return script


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_credentials_are_renewed_once_and_the_call_repeated(upstream: Hostile, verb: str) -> None:
    upstream.script = accepts_only("new", gives="new")
    with HubSession("crm", upstream.url, auth=Tokens()) as session:
        response = session.request(verb, "x", data=b"payload")
        assert (response.status_code, response.content) == (200, b"payload")
    assert [asked.path for asked in upstream.asked] == ["/x", "/token", "/x"]


def test_credentials_that_stay_refused_are_said_to_be(upstream: Hostile) -> None:
    upstream.script = accepts_only("other", gives="new")
    with (
        HubSession("crm", upstream.url, auth=Tokens()) as session,
        pytest.raises(AuthExpiredError),
    ):
        session.get("x")
    assert [asked.path for asked in upstream.asked] == ["/x", "/token", "/x"]


def test_a_refused_renewal_ends_it(upstream: Hostile) -> None:
    upstream.then(Answer(401))
    with (
        HubSession("crm", upstream.url, auth=Tokens()) as session,
        pytest.raises(AuthExpiredError),
    ):
        session.get("x")
    assert [asked.path for asked in upstream.asked] == ["/x", "/token"]


def test_every_call_carries_the_correlation_id(upstream: Hostile, session: HubSession) -> None:
    upstream.then(Answer(503), Answer())
    with correlation("0af7651916cd43dd8448eb211c80319c"):
        session.get("stock", headers={"Accept": "application/json"})
    first, second = (asked.headers for asked in upstream.asked)
    assert first["X-Correlation-ID"] == second["X-Correlation-ID"]
    assert "-0af7651916cd43dd8448eb211c80319c-" in first["traceparent"]
    assert first["traceparent"] != second["traceparent"]  # each try is a span of its own


def test_the_machines_own_netrc_and_proxies_are_not_used(
    upstream: Hostile, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password thief\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with HubSession("erp", upstream.url) as session:
        session.get("stock")
    assert upstream.asked[0].headers["Authorization"] is None


# --- pace -----------------------------------------------------------------------------------------


def test_the_pace_is_the_connections_not_the_sessions(upstream: Hostile) -> None:
    first = HubSession("paced", upstream.url, requests_per_second=20)
    second = HubSession("paced", upstream.url, requests_per_second=20)
    other = HubSession("other", upstream.url, requests_per_second=20)
    assert first._pacer is second._pacer
    assert first._pacer is not other._pacer
    departures = [first._pacer.reserve() for _ in range(5)]
    assert departures[-1] == pytest.approx(0.2, abs=0.1)
