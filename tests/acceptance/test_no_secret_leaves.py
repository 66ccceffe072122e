"""Forty secrets go in by every way that there is; none of them is seen anywhere.

Upstreams, channels and a mail server that quote what they were sent, refused webhooks, wrong keys and
tokens, broken logins: then logs, every column of the database, tasks, journals, pages, answers, Sentry and a collector are searched.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import jwt
import pytest
import sentry_sdk
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from catalog.notices import ChangeNotice
from connectors.models import Connection, OutboxCommand, Stream, Subscriber
from connectors.outbox import channels, fanout, subscribers
from connectors.runtime import queue
from connectors.runtime.connect import connect
from connectors.runtime.probe import probe
from connectors.runtime.pull import execute
from hub.auth.keys import issue_key
from observability import journal, sentry, spans
from observability.calls import OutgoingCall
from observability.channels import Channel
from observability.errors import ConfigurationError
from observability.telling import Line, Message
from tests import catalogue
from tests.endpoints import Endpoint, listening
from tests.unit.connectors.hostile import Answer, Asked, Hostile, hostile
from tests.web import Inside

pytestmark = pytest.mark.django_db(transaction=True)

Where = str


class Canaries:
    """The planted secrets, by what they are."""

    def __init__(self) -> None:
        self.all: dict[str, str] = {}

    def __call__(self, name: str, value: str = "") -> str:
        """Plant one: of a form that nothing but its being known gives away, unless `value` says."""
        self.all[name] = value or f"Zq7{len(self.all):02}kanarie{name.encode().hex()[:10]}"
        return self.all[name]

    def hatch(self, seen: dict[Where, str]) -> list[tuple[str, Where]]:
        """(secret, place) of each that is seen; also as bytes that PostgreSQL spells in hex."""
        return [
            (name, where)
            for name, value in self.all.items()
            for where, text in seen.items()
            if value in text or value.encode().hex() in text
        ]


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """Every line of the log, as it is written."""
    into = StringIO()
    handler = logging.StreamHandler(into)
    (usual,) = (
        h for h in logging.getLogger().handlers if type(h).__module__ == "observability.lines"
    )
    handler.setFormatter(usual.formatter)
    logging.getLogger().addHandler(handler)
    yield into
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def outside() -> Iterator[dict[str, Endpoint]]:
    """Sentry and a collector of spans."""
    with listening() as reports, listening() as collector:
        address = reports.url.removesuffix("/changes").replace("http://", "http://public@")
        sentry.init(f"{address}/42", "0.0-tests")
        spans.configure(collector.url.removesuffix("/changes"))
        yield {"Sentry": reports, "spans": collector}
        spans.configure("")
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)


def quoting(plant: Canaries) -> Any:
    """An upstream that gives out a token, and refuses all else by quoting whatever it was sent."""
    issued = {"access_token": plant("issued token"), "refresh_token": plant("refresh token")}
    told = plant("cookie of an upstream")
    elsewhere = plant("secret of a stranger", "hunter2-of-a-stranger")
    turns = iter(range(10**6))

    def answer(asked: Asked) -> Answer:
        if "token" in asked.path:
            return Answer(200, json.dumps({**issued, "instance_url": "x"}).encode())
        basic = asked.headers.get("Authorization", "").removeprefix("Basic ")
        try:
            opened = base64.b64decode(basic, validate=True).decode()
        except ValueError:
            opened = ""
        body = {
            "path": asked.path,
            "error": f"not allowed: {opened} {asked.body.decode(errors='replace')}",
            "headers": dict(asked.headers.items()),
            "hint": f"postgresql://svc:{elsewhere}@db.internal/x",
        }
        headers = {"Set-Cookie": f"session={told}", "WWW-Authenticate": f'Bearer token="{told}"',
                   "Location": f"http://u:{elsewhere}@other.test/?token={told}"}  # fmt: skip
        status = (403, 401, 302, 503)[next(turns) % 4]
        return Answer(status, json.dumps(body).encode(), {**headers, "Retry-After": "3600"})

    return answer


def systems(plant: Canaries, upstream: Hostile) -> None:
    """One connection of each connector, all of whose secrets are planted."""
    secrets = {
        "sap": {"user": "HW", "password": plant("sap password")},
        "akeneo": {"client_id": "hw", "client_secret": plant("akeneo client secret"), "username": "hw",
                   "password": plant("akeneo password")},
        "salesforce": {"client_id": "hw", "client_secret": plant("salesforce client secret")},
        "stripe": {"api_key": plant("stripe api key", "sk_test_Zq7kanarieOfStripe")},
        "wms": {"token": plant("wms token")},
    }  # fmt: skip
    for slug, given in secrets.items():
        hook = plant(f"{slug} webhook secret")
        connect(slug, slug, upstream.url, {**given, "webhook_secret": hook})
        # Each call fails; what is to be seen is what each of them leaves behind.
        Connection.objects.filter(slug=slug).update(breaker_enabled=False, timeout_seconds=5)
    password, token = plant("password in an address"), plant("token beside it")
    with pytest.raises(ConfigurationError) as refused:
        connect("bad", "wms", f"http://hub:{password}@wms.test", {"token": token})
    assert password not in str(refused.value)


def pull_everything() -> None:
    """Each kind of run of a stream of each system, to its failure; a probe; a write."""
    for row in Connection.objects.all():
        stream = Stream.objects.filter(connection=row).first()
        assert stream is not None
        for kind in ("full", "record", "reconcile"):
            queue.ask(stream, kind, asked_by="tests", record_key="1" if kind == "record" else "")
            taken = queue.claim()
            if taken is not None:
                execute(*taken)
        probe(row)


def tell_subscribers(plant: Canaries, upstream: Hostile) -> None:
    signing = Subscriber(slug="shop", kind="webhook", url=f"{upstream.url}/hooks")
    plant("secret that signs", signing.new_secret())
    cdn = Subscriber(slug="cdn", kind="fastly", place="svc", url=upstream.url)
    cdn.keep_token(plant("token of a cdn"))
    for row in (signing, cdn):
        row.save()
    ChangeNotice.objects.update(told=False)
    assert fanout.tell()
    for row in (signing, cdn):
        subscribers.turn(row.pk)


class QuotingMail(socketserver.StreamRequestHandler):
    """A mail server (RFC 5321, RFC 4954) that refuses a login by quoting it."""

    def handle(self) -> None:
        """One conversation."""
        self.wfile.write(b"220 mail\r\n")
        for line in self.rfile:
            word, said = line[:4].upper(), line.split(b" ")[-1].strip()
            if word == b"EHLO":
                self.wfile.write(b"250-mail\r\n250 AUTH PLAIN\r\n")
            elif word == b"AUTH":
                opened = base64.b64decode(said).replace(b"\0", b" ")
                self.wfile.write(b"535 no such login: " + opened + b" " + said + b"\r\n")
            else:
                self.wfile.write(b"250 ok\r\n")


@contextmanager
def mail_server(settings: Any, password: str) -> Iterator[None]:
    """The mail server that the hub sends by, with this password."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), QuotingMail) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.server_address[1]
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "hub", password
        yield
        server.shutdown()


def tell_people(plant: Canaries, upstream: Hostile, seen: dict[Where, str]) -> None:
    """A channel of each kind is told of an incident and tried out, and fails; a form is refused."""
    hook, dsn = plant("address of a channel"), plant("key of a DSN")
    rows = [
        Channel(slug="duty", kind="slack"),
        Channel(slug="pager", kind="webhook", address=f"{upstream.url}/alerts"),
        Channel(slug="errors", kind="sentry"),
        Channel(slug="post", kind="email", address="duty@example.com"),
    ]
    channels.keep_secret(rows[0], f"{upstream.url}/services/{hook}")
    plant("secret of a channel", channels.make_secret(rows[1]))
    channels.keep_secret(rows[2], f"{upstream.url.replace('://', f'://{dsn}@')}/42")
    line = Line(1, "lag", "page", "open", "wms", "stock", "late", "nothing came",
                datetime.now(UTC), 1, 0, "http://hub.test")  # fmt: skip
    client = Client()
    client.force_login(User.objects.create_superuser("cora", "cora@example.com", "x"))
    listed, added = (reverse(f"admin:observability_channel_{of}") for of in ("changelist", "add"))
    for row in rows:
        row.save()
        with transaction.atomic():
            channels.deliver(row, Message((line,)))
        for _ in range(4):  # each answer that the upstream has
            OutboxCommand.objects.filter(channel=row).update(
                next_attempt_at=Now(), state="received"
            )
            assert not channels.turn(row.pk)
        tried = client.post(listed, {"one": f"test:{row.pk}"}, follow=True).content.decode()
        assert f"{row}: " in tried
        seen[f"a test of {row}"] = tried
    entered = {
        "slug": "other", "kind": "webhook", "every_seconds": "300",
        "address": f"https://u:{plant('password in the address of a channel')}@hooks.test/x",
        "secret": plant("secret in a broken form", "https://hooks.test/Zq7kanarieOfAForm"),
    }  # fmt: skip
    seen["a broken channel"] = client.post(added, entered).content.decode()
    assert not Channel.objects.filter(slug="other").exists()
    del entered["secret"]
    seen["a channel with a password"] = client.post(added, entered).content.decode()
    assert "no user and no password" in seen["a channel with a password"]


def ask(plant: Canaries, seen: dict[Where, str]) -> None:
    """The APIs and webhooks, with right and wrong credentials; answers go to `seen`."""
    web, right = Inside(0), plant("api key", issue_key("tests"))
    wrong = plant("unknown api key", f"hw_0123456789ab_{'Zq7kanarieOfNobody0000'}")
    token = plant("token of nobody", jwt.encode({"sub": "ada"}, "k" * 32, algorithm="HS256"))
    basic = base64.b64encode(f"hub:{plant('basic password')}".encode()).decode()
    given = [
        {"Authorization": f"Bearer {right}"},
        {"X-API-Key": right},
        {"Authorization": f"Bearer {wrong}"},
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"Basic {plant('basic credentials', basic)}"},
        {"Cookie": f"sessionid={plant('session of nobody')}"},
    ]
    query = plant("key in a query")
    paths = ("/api/v1/products", f"/api/v1/products/P-000001?api_key={query}", "/api/v1/nothing",
             "/graphql", "/api/v1/openapi.json", "/readyz", "/")  # fmt: skip
    document = json.dumps({"query": "{ products { nodes { sku } } broken"}).encode()
    for n, headers in enumerate(given):
        for path in paths:
            method, body = ("POST", document) if path == "/graphql" else ("GET", b"")
            told = {"Content-Type": "application/json", **headers}
            seen[f"{method} {path} as {n}"] = _whole(web.request(method, path, body, told))
        payment = {"amount": "12.90", "currency": "EUR", "method": "pm_card_visa"}
        told = {"Content-Type": "application/json", "Idempotency-Key": f'"k-{n}"', **headers}
        answer = web.request("POST", "/api/v1/payments", json.dumps(payment).encode(), told)
        seen[f"payment as {n}"] = _whole(answer)
    for slug in Connection.objects.values_list("slug", flat=True):
        forged = plant(f"signature forged for {slug}")
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {forged}",
            "Stripe-Signature": f"t=1,v1={forged}",
            "webhook-signature": f"v1,{forged}",
            "X-Akeneo-Request-Signature": forged,
        }
        body = json.dumps({"password": forged}).encode()
        seen[f"webhook of {slug}"] = _whole(web.request("POST", f"/hooks/{slug}/", body, headers))


def _whole(answer: Any) -> str:
    return f"{answer.status} {dict(answer.headers)} {answer.body.decode(errors='replace')}"


def look_at_every_page(plant: Canaries, seen: dict[Where, str]) -> None:
    """Lists, some rows of each, the overview, timelines; a login and a form that fail."""
    client = Client()
    login = client.post(reverse("admin:login"), {"username": "ola", "password": plant("a login")})
    seen["login"] = login.content.decode()
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    pages = [
        reverse("admin:index"),
        reverse("matrix"),
        reverse("settlement"),
        "/admin/correlation/",
    ]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages.append(reverse(f"{name}_changelist"))
        some = model._default_manager.values_list("pk", flat=True)[:1]
        pages += [reverse(f"{name}_change", args=[pk]) for pk in some]
    ids = OutgoingCall.objects.order_by().values_list("correlation_id", flat=True).distinct()
    pages += [reverse("correlation", args=[one]) for one in ids[:5]]
    for page in pages:
        seen[page] = client.get(page).content.decode()
    row = Connection.objects.get(slug="wms")
    entered = {"name": "", "setting_token": plant("token in a broken form"),
               "base_url": f"https://u:{plant('password in a broken form')}@wms.test"}  # fmt: skip
    form = client.post(reverse("admin:connectors_connection_change", args=[row.pk]), entered)
    seen["a broken form"] = form.content.decode()
    assert "no user and no password" in seen["a broken form"]


def every_column() -> dict[Where, str]:
    """All rows of all tables, a text for each column; sealed secrets among them."""
    found: dict[Where, str] = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            for column in connection.introspection.get_table_description(cursor, table):
                place = f'"{table}"."{column.name}"'
                cursor.execute(f'SELECT string_agg({place}::text, chr(10)) FROM "{table}"')  # noqa: S608 (names of our own tables)
                found[place] = cursor.fetchone()[0] or ""
    assert len(found) > 300
    return found


def test_no_secret_is_seen_anywhere(
    lines: StringIO,
    outside: dict[str, Endpoint],
    capfd: pytest.CaptureFixture[str],
    settings: Any,
) -> None:
    plant, seen = Canaries(), dict[Where, str]()
    plant("secret key", settings.SECRET_KEY)
    for n, key in enumerate(settings.HEADWATER_ENCRYPTION_KEYS):
        plant(f"encryption key {n}", key)
    catalogue.fill(1)
    with ExitStack() as stack:
        upstream = stack.enter_context(hostile())
        upstream.script = quoting(plant)
        systems(plant, upstream)
        pull_everything()
        tell_subscribers(plant, upstream)
        with mail_server(settings, plant("password of the mail server")):
            tell_people(plant, upstream, seen)
        ask(plant, seen)
        journal.write()
        look_at_every_page(plant, seen)
        sentry_sdk.flush(5)
        spans.flush()
        arrived = {asked.path for asked in upstream.asked}
    assert len(plant.all) >= 40
    assert len(arrived) > 5
    assert OutgoingCall.objects.count() > 20
    journal.write()
    seen |= every_column()
    seen["log"] = lines.getvalue()
    seen["standard output and error"] = "\n".join(capfd.readouterr())
    seen["tasks"] = "\n".join(str(task.task) for task in OrmQ.objects.all())
    for name, endpoint in outside.items():
        assert endpoint.taken, name
        seen[name] = b"\n".join(_unpacked(*one) for one in endpoint.taken).decode("latin-1")
    assert "sync run failed" in seen["log"]
    assert plant.hatch(seen) == []
    # The search itself finds what there is.
    assert plant.hatch({"anywhere": f"x{plant.all['wms token']}x"}) == [("wms token", "anywhere")]


def _unpacked(headers: dict[str, str], body: bytes) -> bytes:
    return gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
