"""Bearer tokens: only the issuer's, for us, in time, signed by an algorithm that we chose."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.wsgi import get_wsgi_application
from django.db import connection as database
from django.test import Client
from pytest_django import Settings

from hub import use_limits
from hub.auth import tokens
from hub.reads.front import Front
from observability import degradation
from tests import catalogue

ISSUER, AUDIENCE = "https://login.example", "headwater"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public(key: Any, kid: str) -> dict[str, Any]:
    kind: Any = jwt.algorithms.RSAAlgorithm if key is not EC else jwt.algorithms.ECAlgorithm
    return {**json.loads(kind.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


KEYS = [public(RSA, "one"), public(EC, "two")]


def token(key: Any = RSA, algorithm: str = "RS256", kid: str = "one", **claims: Any) -> str:
    now = int(time.time())
    said = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "shop", "exp": now + 600, "nbf": now,
        "scope": "openid read:*", **claims,
    }  # fmt: skip
    kept = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers={"kid": kid})


@pytest.fixture(autouse=True)
def issuer(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """The issuer's keys in a file."""
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": KEYS}))
    settings.HEADWATER_JWT_ISSUER = ISSUER
    settings.HEADWATER_JWT_AUDIENCE = AUDIENCE
    settings.HEADWATER_JWT_JWKS = str(file)
    settings.HEADWATER_JWT_ALGORITHMS = ["RS256", "ES256"]
    tokens._keys.cache_clear()
    tokens._known.clear()
    yield file
    tokens._keys.cache_clear()
    tokens._known.clear()


def test_a_token_of_the_issuer_has_its_scopes() -> None:
    reader = tokens.lately_verified(token(scope="openid read:product class:personal"))
    assert reader is not None
    assert (reader.name, reader.rights.visibility.name) == ("shop", "public+personal product")
    assert reader.rights.reads == {"product"}
    assert tokens.lately_verified(token(EC, "ES256", "two", scp=["read:*"], scope=None)) is not None


def test_usage_is_counted_by_the_client_and_never_by_a_person() -> None:
    said = {"client_id": None, "azp": "app\x00" + "x" * 100, "sub": "ada@example.com"}
    for claims, counted_as in (
        ({"client_id": "shop"}, "jwt:shop"),
        (said, "jwt:app?" + "x" * 60),
        ({"sub": "ada@example.com"}, "jwt:unnamed"),
    ):
        reader = tokens.lately_verified(token(**claims))
        assert reader is not None
        assert reader.counted_as == counted_as


def unsigned() -> str:
    body = token().split(".")[1]
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').decode().rstrip("=")
    return f"{none}.{body}."


def confused() -> str:
    """Signed by HMAC with the public key's text, which everybody has."""
    body = token().split(".")[1]
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').decode().rstrip("=")
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = hmac.new(pem, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}." + base64.urlsafe_b64encode(signature).decode().rstrip("=")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: token(iss="https://elsewhere.example"),
        lambda: token(aud="another"),
        lambda: token(aud=None),
        lambda: token(exp=int(time.time()) - 120),
        lambda: token(exp=None),
        lambda: token(nbf=int(time.time()) + 120),
        lambda: token(OTHER),
        lambda: token(kid="three"),
        lambda: token(RSA, "RS384"),
        lambda: token(EC, "ES256", "one"),
        unsigned,
        confused,
        lambda: token()[:-4] + "AAAA",
        lambda: "a.b.c",
        lambda: "x" * 100_000,
        lambda: "\ud800.ü.",
    ],
)
def test_any_other_token_is_nobodys(wrong: Any) -> None:
    assert tokens.lately_verified(wrong()) is None


def test_clocks_may_differ_by_a_minute() -> None:
    assert tokens.lately_verified(token(exp=int(time.time()) - 30)) is not None
    assert tokens.lately_verified(token(nbf=int(time.time()) + 30)) is not None


def test_without_an_issuer_no_token_is_accepted(settings: Settings) -> None:
    settings.HEADWATER_JWT_ISSUER = ""
    assert tokens.lately_verified(token()) is None


def test_keys_are_fetched_once_and_outlive_their_issuer(settings: Settings) -> None:
    asked: list[str] = []

    class Issuer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = json.dumps({"keys": KEYS}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.HEADWATER_JWT_JWKS = f"http://127.0.0.1:{server.server_port}/keys"
    tokens._keys.cache_clear()
    for number in range(5):
        assert tokens.lately_verified(token(jti=str(number))) is not None
    # Strangers' key ids do not make us ask each time.
    for number in range(5):
        assert tokens.lately_verified(token(kid=f"unknown {number}")) is None
    server.shutdown()
    server.server_close()
    assert asked == ["/keys"]
    tokens._keys()._asked -= tokens.FRESH_SECONDS + 1
    assert tokens.lately_verified(token(jti="later")) is not None


@pytest.mark.django_db
def test_a_token_is_as_good_as_a_key(client: Client) -> None:
    catalogue.fill(1)
    headers = {"Authorization": f"Bearer {token(scope='read:category')}"}
    assert client.get("/api/v1/categories/cat_3", headers=headers).status_code == 200
    refused = client.get("/api/v1/products/P-1", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "read:product" in refused.json()["detail"]
    headers = {"Authorization": f"Bearer {unsigned()}"}
    assert client.get("/api/v1/categories", headers=headers).status_code == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/api/v1/products", "/graphql"])
def test_a_known_token_meets_a_connection_that_postgresql_has_ended(path: str) -> None:
    """Nobody is looked up for it, so the declared use is what first finds out."""
    front, known = Front(get_wsgi_application()), token()
    assert tokens.lately_verified(known) is not None
    degradation.current()
    use_limits.forget()
    database.ensure_connection()
    database.connection.close()
    body = b'{"query": "{ products { nodes { sku } } }"}' if path == "/graphql" else b""
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ |= {
        "REQUEST_METHOD": "POST" if body else "GET", "PATH_INFO": path, "HTTP_HOST": "testserver",
        "HTTP_AUTHORIZATION": f"Bearer {known}", "HTTP_HEADWATER_USE": "nothing",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }  # fmt: skip
    said: list[str] = []
    answer = b"".join(front(environ, lambda status, *_: said.append(status)))
    front.shelf.unfollow()
    assert (said, b"unknown use" in answer) == (["400 Bad Request"], True)


def test_a_known_token_ends_with_the_key_that_signed_it(
    issuer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An issuer that withdraws a stolen key wants its tokens refused, however long they last."""
    lasting = token(exp=int(time.time()) + 30 * 86_400)
    assert tokens.lately_verified(lasting) is not None
    issuer.write_text(json.dumps({"keys": KEYS[1:]}))
    wall, steady = time.time, time.monotonic
    monkeypatch.setattr(time, "time", lambda: wall() + tokens.FRESH_SECONDS + 1)
    monkeypatch.setattr(time, "monotonic", lambda: steady() + tokens.FRESH_SECONDS + 1)
    assert tokens.lately_verified(lasting) is None
