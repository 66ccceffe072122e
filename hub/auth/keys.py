"""Issue and recognise API keys."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping

from django.db import connection

from hub.auth.models import ApiKey

_FORM = re.compile(r"hw_([0-9a-f]{12})_([A-Za-z0-9_-]{20,64})")

# One statement recognises the key; its last use is written at most once a minute.
RECOGNISE = """
SELECT id, name, digest, COALESCE(last_used_at < now() - interval '1 minute', true)
FROM hub_apikey WHERE prefix = %s AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > now())"""
USED = "UPDATE hub_apikey SET last_used_at = now() WHERE id = %s"


def issue_key(name: str) -> str:
    """A new key, in full; it cannot be read again."""
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = f"hw_{prefix}_{secret}"
    ApiKey.objects.create(name=name, prefix=prefix, digest=_digest(key))
    return key


def presented(headers: Mapping[str, str]) -> str:
    """The key that a request carries: `Authorization: Bearer`, or `X-API-Key`; else empty."""
    scheme, _, credentials = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return headers.get("X-API-Key", "").strip()


def prefix_of(key: str) -> str:
    """The part of a recognised key that may be shown."""
    return key[3:15]


def recognise(key: str) -> str | None:
    """The name of a valid key's holder; None for any other."""
    found = _FORM.fullmatch(key)
    if found is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(RECOGNISE, (found[1],))
        row = cursor.fetchone()
        if row is None or not hmac.compare_digest(bytes(row[2]), _digest(key)):
            return None
        if row[3]:
            cursor.execute(USED, (row[0],))
        return str(row[1])


#: How long a revoked key may still be known to a process of the compiled reads, at most.
KNOWN_SECONDS = 2.0
MOST_KNOWN = 10_000
_known: dict[bytes, float] = {}


def lately_recognised(key: str) -> bool:
    """`recognise`, remembered by digest for two seconds: for reads by the thousand a second."""
    digest, now = _digest(key), time.monotonic()
    until = _known.get(digest)
    if until is not None and until > now:
        return True
    if recognise(key) is None:
        _known.pop(digest, None)
        return False
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[digest] = now + KNOWN_SECONDS
    return True


def _digest(key: str) -> bytes:
    # The secret has 256 random bits: a fast digest is as safe as a slow one.
    return hashlib.sha256(key.encode()).digest()
