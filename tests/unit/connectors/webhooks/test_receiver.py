"""`POST /hooks/{connection}/` over real HTTP: what is accepted is committed, once; all else is said."""

from __future__ import annotations

import itertools
import json
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import standardwebhooks
from django.db import connection as database
from pytest_django import DjangoDbBlocker

from connectors.models import Connection, InboxEvent
from connectors.runtime.connect import connect
from connectors.webhooks.receive import MOST_BYTES
from tests.unit.connectors.webhooks.senders import SENDERS
from tests.vendors import CREDENTIALS
from tests.web import Answer, Web, serving

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def web(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Web]:
    del django_db_setup  # the database is there; that is all it has to say
    with django_db_blocker.unblock(), serving(tmp_path_factory.mktemp("web") / "web.log") as made:
        yield made


def connected(connector: str = "wms", secret: str = SECRET) -> Connection:
    """A connection under a name of its own: the web workers remember names for a moment."""
    slug = f"{connector}{next(_numbers)}"
    settings = {**CREDENTIALS[connector], "webhook_secret": secret}
    return connect(slug, connector, "http://127.0.0.1:9", settings)


@pytest.fixture
def row() -> Connection:
    return connected()


def event(quantity: int = 5, **more: Any) -> bytes:
    level = {"sku": "A", "warehouse": "AMS", "on_hand": quantity, "updated_at": "2026-01-01"}
    told = {"type": "stock.changed", "timestamp": "2026-01-01T00:00:00Z", "data": level}
    return json.dumps({**told, **more}).encode()


def signed(event_id: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    now = datetime.now(UTC)
    signature = standardwebhooks.Webhook(secret).sign(event_id, now, body.decode())
    stamp = str(int(now.timestamp()))
    return {"webhook-id": event_id, "webhook-timestamp": stamp, "webhook-signature": signature}


def send(web: Web, row: Connection, event_id: str, body: bytes, secret: str = SECRET) -> Answer:
    return web.post(f"/hooks/{row.slug}/", body, signed(event_id, body, secret))


def problem(answer: Answer) -> dict[str, Any]:
    """The problem details of a refusal (RFC 9457), whose members agree with the answer."""
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = json.loads(answer.body)
    assert told["status"] == answer.status
    assert told["type"].endswith(told["code"])
    assert told["correlation_id"] == answer.headers["x-correlation-id"]
    return told


def test_an_accepted_event_is_committed_as_it_came_with_its_correlation_id(
    web: Web, row: Connection
) -> None:
    body = event(7, sequence=12)
    headers = {**signed("msg_1", body), "X-Correlation-ID": "order-4711"}
    answer = web.post(f"/hooks/{row.slug}/", body, headers)
    assert (answer.status, json.loads(answer.body)) == (202, {"accepted": 1, "duplicates": 0})
    assert answer.headers["x-correlation-id"] == "order-4711"
    kept = InboxEvent.objects.get(connection=row)
    assert bytes(kept.body) == body
    assert (kept.state, kept.stream, kept.record_key) == ("received", "stock", "AMS/A")
    assert (kept.event_id, kept.sequence, kept.correlation_id) == ("msg_1", 12, "order-4711")
    assert kept.headers == {"webhook-id": "msg_1"}


def test_one_event_id_a_thousand_times_fifty_at_once_is_one_row(web: Web, row: Connection) -> None:
    body = event()

    def twenty(_: int) -> list[tuple[int, int]]:
        found = []
        for _ in range(20):
            answer = send(web, row, "msg_same", body)
            found.append((answer.status, json.loads(answer.body)["accepted"]))
        return found

    with ThreadPoolExecutor(50) as pool:
        answers = Counter(itertools.chain(*pool.map(twenty, range(50))))
    assert answers == {(202, 1): 1, (202, 0): 999}
    assert InboxEvent.objects.filter(connection=row).count() == 1


def test_the_same_id_of_another_connection_is_another_event(web: Web, row: Connection) -> None:
    for one in (row, connected()):
        assert json.loads(send(web, one, "msg_1", event()).body)["accepted"] == 1
    assert InboxEvent.objects.count() == 2


def test_a_wrong_signature_is_401_and_says_nothing_of_why(web: Web, row: Connection) -> None:
    body = event()
    good = signed("msg_1", body)
    old = {**good, "webhook-timestamp": str(int(time.time()) - 3600)}
    stranger = signed("msg_1", body, "whsec_c29tZWJvZHkgZWxzZQ==")
    answers = [
        web.post(f"/hooks/{row.slug}/", sent, headers)
        for sent, headers in (
            (body + b" ", good),
            (body, old),
            (body, stranger),
            (body, {}),
            (b"", good),
        )
    ]
    told = [problem(answer) for answer in answers]
    assert {answer.status for answer in answers} == {401}
    assert {t["code"] for t in told} == {"signature"}
    assert len({t["detail"] for t in told}) == 1
    assert not InboxEvent.objects.exists()


def test_of_five_hundred_mutated_deliveries_none_is_kept_and_none_breaks_the_receiver(
    web: Web, row: Connection
) -> None:
    luck = random.Random(7)
    statuses = Counter[int]()
    body = event()
    for number in range(500):
        headers, changed = signed(f"msg_{number}", body), bytearray(body)
        if number % 2:
            changed[luck.randrange(len(body))] ^= 1 << luck.randrange(8)
        else:
            name = luck.choice(list(headers))
            place = luck.randrange(len(headers[name]))
            other = luck.choice([c for c in "0aZ/\xfc%=" if c != headers[name][place]])
            headers[name] = headers[name][:place] + other + headers[name][place + 1 :]
        statuses[web.post(f"/hooks/{row.slug}/", bytes(changed), headers).status] += 1
    assert statuses == {401: 500}
    assert not InboxEvent.objects.exists()


def test_both_secrets_are_good_while_one_is_rotated_and_a_new_one_is_soon_known(
    web: Web, row: Connection
) -> None:
    other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMU"
    assert send(web, row, "msg_1", event(), other).status == 401
    row.configure({**CREDENTIALS["wms"], "webhook_secret": f"{other} {SECRET}"})
    row.save()
    deadline = time.monotonic() + 5
    while send(web, row, "msg_1", event(), other).status != 202:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # Every worker, with every thread, by now
    time.sleep(2)
    for number, secret in enumerate([SECRET, other] * 5):
        assert send(web, row, f"msg_r{number}", event(), secret).status == 202


def test_a_body_over_the_limit_is_413_and_one_at_the_limit_is_read(
    web: Web, row: Connection
) -> None:
    body = b'"' + b"x" * (MOST_BYTES - 2) + b'"'
    assert send(web, row, "msg_1", body).status == 202
    # The answer comes also to a sender that listens only after it has sent everything.
    for size in (MOST_BYTES + 1, 2 * MOST_BYTES):
        told = problem(send(web, row, "msg_2", body.ljust(size)))
        assert (told["status"], told["code"]) == (413, "too_large")


@pytest.mark.parametrize("size", [len(event()), MOST_BYTES + 1])
def test_a_body_in_chunks_is_read_and_limited_too(web: Web, row: Connection, size: int) -> None:
    body = event().ljust(size)
    headers = "".join(f"{n}: {v}\r\n" for n, v in signed("msg_1", body).items())
    head = (
        f"POST /hooks/{row.slug}/ HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n{headers}"
    )
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as link:
        link.sendall(f"{head}\r\n".encode())
        for start in range(0, size, 65536):
            part = body[start : start + 65536]
            link.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        link.sendall(b"0\r\n\r\n")
        answer = link.recv(65536)
    expected = b"202" if size < MOST_BYTES else b"413"
    assert answer.split(b" ")[1] == expected
    assert InboxEvent.objects.count() == (size < MOST_BYTES)


@pytest.mark.parametrize("announced", ["-1", "1e3", "%C2%B2"])
def test_an_odd_content_length_is_refused(web: Web, row: Connection, announced: str) -> None:
    head = f"POST /hooks/{row.slug}/ HTTP/1.1\r\nHost: hub\r\nContent-Length: {announced}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as link:
        link.sendall(head.encode())
        assert link.recv(65536).split(b" ")[1] == b"400"


@pytest.mark.parametrize("slug", ["nobody", "", "%00", "a/b", "..", "%C3%A9", "x" * 3000, "wms%0A"])
def test_a_name_that_no_connection_has_is_404(web: Web, slug: str) -> None:
    body = event()
    told = problem(web.post(f"/hooks/{slug}/", body, signed("msg_1", body)))
    assert (told["status"], told["code"]) == (404, "not_found")


def test_a_connection_that_takes_none_or_is_disabled_is_404(web: Web) -> None:
    disabled = connected()
    Connection.objects.filter(pk=disabled.pk).update(enabled=False)
    assert send(web, disabled, "msg_1", event()).status == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_post_is_allowed(web: Web, row: Connection, method: str) -> None:
    answer = web.request(method, f"/hooks/{row.slug}/")
    assert problem(answer)["code"] == "method"
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"no JSON at all", "JSON"),
        (b"", "truncated"),
        (event()[:-1] + b', "more": ' + b"[" * 200_000, "deeply"),
        (b'{"type": "stock.changed"}', "timestamp"),
        (event(data={"sku": "A"}), "warehouse"),
        (event(data={"sku": "A" * 4000, "warehouse": "AMS"}), "4004 bytes"),
        (event(timestamp="0001-01-01T00:00:00Z"), "no time"),
        (event(sequence=2**70), "cannot be stored"),
    ],
)
def test_what_nobody_can_read_is_a_dead_letter_and_accepted_once(
    web: Web, row: Connection, body: bytes, says: str
) -> None:
    answers = [send(web, row, f"msg_{n}", body) for n in range(2)]
    assert [a.status for a in answers] == [202, 202]
    assert [json.loads(a.body)["accepted"] for a in answers] == [1, 0]
    dead = InboxEvent.objects.get(connection=row)
    assert bytes(dead.body) == body
    assert (dead.state, dead.error_code, dead.attempts) == ("dead", "contract", 0)
    assert dead.finished_at is not None
    assert says in dead.error


def akeneo(web: Web, row: Connection, *events: Any) -> Answer:
    sender = next(s for s in SENDERS if s.name == "akeneo")
    delivery = sender.delivery(json.dumps({"events": events}), int(time.time()))
    return web.post(f"/hooks/{row.slug}/", delivery.body, delivery.headers)


def test_one_event_of_a_delivery_that_nobody_can_read_takes_no_other_with_it(web: Web) -> None:
    row = connected("akeneo", "new-secret")
    told = {"author": "julia", "event_datetime": "2026-01-01T00:00:00+00:00"}
    good = [
        {"action": "product.updated", "event_id": f"e{n}", "data": {"resource": {"identifier": n}}}
        for n in ("a", "b")
    ]
    bad = {"action": "product.updated", "event_id": "e-bad", "data": {"resource": {"uuid": "u"}}}
    other = {"action": "asset.updated", "event_id": "e-asset", "data": {"resource": {}}}
    answer = akeneo(web, row, *({**told, **e} for e in (good[0], bad, good[1], other)))
    assert (answer.status, json.loads(answer.body)["accepted"]) == (202, 4)
    found = InboxEvent.objects.filter(connection=row)
    assert Counter(found.values_list("state", flat=True)) == {
        "received": 2,
        "dead": 1,
        "superseded": 1,
    }
    dead = found.get(state="dead")
    assert json.loads(bytes(dead.body))["event_id"] == "e-bad"
    assert "product.updated" in dead.error
    assert {e.record_key for e in found.filter(state="received")} == {"a", "b"}


@contextmanager
def unreachable() -> Iterator[None]:
    """PostgreSQL takes no connection to the database of the tests, and has ended those it had."""
    name = database.settings_dict["NAME"]
    database.close()
    quoted = '"' + name.replace('"', '""') + '"'
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {quoted} ALLOW_CONNECTIONS false")
        try:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            yield
        finally:
            admin.execute(f"ALTER DATABASE {quoted} ALLOW_CONNECTIONS true")


def test_without_postgresql_it_is_503_and_the_repetition_is_accepted(
    web: Web, row: Connection
) -> None:
    known = [send(web, row, f"msg_{n}", event()).status for n in range(20)]
    unseen = connected()
    with unreachable():
        answers = [send(web, one, "msg_lost", event()) for one in [row] * 10 + [unseen] * 10]
    assert known == [202] * 20
    assert {a.status for a in answers} == {503}
    assert {problem(a)["code"] for a in answers} == {"unavailable"}
    assert {a.headers["retry-after"] for a in answers} == {"5"}
    again = [send(web, one, "msg_lost", event()) for one in [row, unseen] * 10]
    assert {a.status for a in again} == {202}
    assert InboxEvent.objects.filter(event_id="msg_lost").count() == 2


def test_a_connection_without_a_usable_secret_is_our_fault(web: Web) -> None:
    for secret in ("", "whsec_!"):
        assert problem(send(web, connected(secret=secret), "msg_1", event()))["status"] == 503
