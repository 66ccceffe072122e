"""Bearer tokens: JWTs of one issuer (RFC 7519, RFC 9068), checked as RFC 8725 asks.

Issuer, audience and algorithms are settings of ours and never the token's: only asymmetric
algorithms can be set, and a key of the set serves only the algorithm of its own kind, so neither
`none` nor a public key taken for a shared secret gets through. `exp` is required, and `exp` and
`nbf` have a minute's leeway. Claims `scope` (a text) or `scp` (a list) carry the scopes of
`hub.auth.rights`; others in them mean nothing here.

The issuer's keys (JWKS, RFC 7517) come from its address or from a file. They are fetched again
every ten minutes, and when a token names a key that is not among them, at most twice a minute; an
issuer that is away changes nothing for keys that are known.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import orjson
import structlog
from django.conf import settings

from connectors.runtime.session import HubSession
from hub.auth.readers import Reader
from hub.auth.rights import of_machine
from observability.errors import UpstreamError

log = structlog.get_logger(__name__)

LEEWAY_SECONDS = 60
FRESH_SECONDS, AGAIN_SECONDS = 600.0, 30.0
MOST_KNOWN, MOST_KEYS, LONGEST = 10_000, 100, 8 * 1024
KEYS_BYTES = 1024 * 1024
#: What issuers call the client that a token was made for: RFC 9068, OpenID Connect, Okta, Entra ID.
CLIENT = ("client_id", "azp", "cid", "appid")
#: Stands before it where usage is counted, so that it is told from the prefix of a key.
COUNTED, LONGEST_CLIENT = "jwt:", 64
UNPRINTABLE = re.compile(r"[^ -~]")

_known: dict[bytes, tuple[float, Reader]] = {}


def enabled() -> bool:
    """Whether tokens are accepted at all."""
    return bool(settings.HEADWATER_JWT_ISSUER)


def lately_verified(token: str) -> Reader | None:
    """The holder of a valid token, remembered for ten minutes at most; None for any other."""
    if not enabled() or not 0 < len(token) <= LONGEST:
        return None
    digest = hashlib.sha256(token.encode(errors="replace")).digest()
    known = _known.get(digest)
    if known is not None and known[0] > time.time():
        return known[1]
    _known.pop(digest, None)
    claims = _verified(token)
    if claims is None:
        return None
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    reader = _reader(claims)
    # No longer than the issuer's keys are: one that was withdrawn takes its tokens along.
    until = min(float(claims["exp"]) + LEEWAY_SECONDS, time.time() + FRESH_SECONDS)
    _known[digest] = (until, reader)
    return reader


def _reader(claims: Mapping[str, Any]) -> Reader:
    said = claims.get("scope", claims.get("scp", ""))
    scopes = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
    # A client without a person behind it has no `sub` of its own: RFC 9068, section 5.
    name = str(claims.get("sub") or claims.get("client_id") or "unnamed")[:200]
    rights = of_machine(tuple(sorted({str(scope) for scope in scopes})))
    # By client: subjects may be people, of whom there are many, and whose usage is nobody's matter.
    client = next((str(claims[c]) for c in CLIENT if claims.get(c)), "unnamed")[:LONGEST_CLIENT]
    counted_as = COUNTED + UNPRINTABLE.sub("?", client)
    digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:32]
    return Reader(
        name,
        f"token:{digest}",
        rights,
        settings.HEADWATER_JWT_REQUESTS_PER_MINUTE,
        counted_as=counted_as,
    )


def _verified(token: str) -> dict[str, Any] | None:
    try:
        key = _keys().named(jwt.get_unverified_header(token).get("kid"))
        if key is None:
            return None
        return jwt.decode(
            token,
            key,
            algorithms=settings.HEADWATER_JWT_ALGORITHMS,
            issuer=settings.HEADWATER_JWT_ISSUER,
            audience=settings.HEADWATER_JWT_AUDIENCE,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        log.info("a token was refused", reason=str(error)[:200])
        return None


class KeySet:
    """The issuer's keys by their ids. Thread-safe: one asks, the others use what is known."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._asked = 0.0
        self._lock = threading.Lock()

    def named(self, kid: object) -> jwt.PyJWK | None:
        """The key of an id; the only one, where the token names none."""
        found = self._find(kid)
        since = time.monotonic() - self._asked
        if not self._asked or since > (FRESH_SECONDS if found else AGAIN_SECONDS):
            # Whoever finds another asking goes on with what is known, if anything is.
            if self._lock.acquire(blocking=not self._keys):
                try:
                    if not self._asked or time.monotonic() - self._asked >= since:
                        self._ask()
                finally:
                    self._lock.release()
            found = self._find(kid)
        return found

    def _find(self, kid: object) -> jwt.PyJWK | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid) if isinstance(kid, str) else None

    def _ask(self) -> None:
        try:
            document = orjson.loads(self._document())
            listed = document["keys"][:MOST_KEYS]
        except (UpstreamError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the keys of the tokens' issuer cannot be read", error=str(error)[:200])
            self._asked = time.monotonic()
            return
        found: dict[str | None, jwt.PyJWK] = {}
        for entry in listed:
            try:
                key = jwt.PyJWK(entry)
            except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
                continue  # of a kind that is not known here
            # RFC 7517, 4.2 and 4.1: keys for encryption, and shared secrets, verify nothing
            if entry.get("use", "sig") == "sig" and entry.get("kty") != "oct":
                found[key.key_id] = key
        self._keys, self._asked = found, time.monotonic()

    def _document(self) -> bytes:
        if urlsplit(self._source).scheme not in ("http", "https"):
            return Path(self._source).read_bytes()
        host = "{0.scheme}://{0.netloc}".format(urlsplit(self._source))
        with HubSession(
            "token-issuer", host, timeout=(2.0, 3.0), max_body_bytes=KEYS_BYTES, retries=0
        ) as session:
            response = session.get(self._source)
            if response.status_code != 200:
                raise ValueError(f"status {response.status_code}")
            content: bytes = response.content
            return content


@lru_cache(maxsize=1)
def _keys() -> KeySet:
    return KeySet(settings.HEADWATER_JWT_JWKS)
