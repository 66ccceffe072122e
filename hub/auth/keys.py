"""Issue, rotate and recognise API keys."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import DateTimeField, F
from django.db.models.functions import Coalesce, Least, Now

from hub.auth import uses
from hub.auth.models import ApiKey
from hub.auth.readers import Reader
from hub.auth.rights import EVERYTHING, checked, of_machine
from observability import refusals

PREFIX = "hw_"
_FORM = re.compile(r"hw_([0-9a-f]{12})_([A-Za-z0-9_-]{20,64})")

# One statement recognises the key, by the database's clock.
RECOGNISE = """
SELECT id, name, digest, scopes, requests_per_minute,
       COALESCE(last_used_at < now() - interval '1 minute', true),
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
            WHEN expires_at <= now() THEN 'expired' ELSE '' END
FROM hub_apikey WHERE prefix = %s"""

#: How long a key goes on beside the one that replaces it, if nobody says otherwise.
OVERLAP = timedelta(days=7)


def issue_key(
    name: str, scopes: Sequence[str] = EVERYTHING, *, requests_per_minute: int | None = None
) -> str:
    """A new key, in full; it cannot be read again. Raises BadInputError for what is no scope."""
    key, prefix, digest = _made()
    ApiKey.objects.create(
        name=name, prefix=prefix, digest=digest, scopes=checked(scopes),
        requests_per_minute=requests_per_minute,
    )  # fmt: skip
    return key


def rotate(row: ApiKey, overlap: timedelta = OVERLAP) -> str:
    """A key with the same rights and the same last day; the old one ends after the overlap."""
    key, prefix, digest = _made()
    with transaction.atomic():
        ApiKey.objects.create(
            name=row.name, prefix=prefix, digest=digest, scopes=row.scopes,
            requests_per_minute=row.requests_per_minute, expires_at=row.expires_at,
        )  # fmt: skip
        ends = Now() + overlap
        ApiKey.objects.filter(pk=row.pk).update(
            expires_at=Least(Coalesce(F("expires_at"), ends, output_field=DateTimeField()), ends)
        )
    return key


def presented(environ: Mapping[str, Any]) -> str:
    """The key or token of a request (a WSGI environment): `Authorization: Bearer`, or `X-API-Key`."""
    scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return str(credentials.strip())
    return str(environ.get("HTTP_X_API_KEY", "").strip())


def prefix_of(key: str) -> str:
    """The part of a recognised key that may be shown."""
    return key[3:15]


def recognise(key: str) -> Reader | None:
    """The holder of a valid key; None for any other."""
    found = _FORM.fullmatch(key)
    if found is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(RECOGNISE, (found[1],))
        row = cursor.fetchone()
    if row is None or not hmac.compare_digest(bytes(row[2]), _digest(key)):
        return None
    if row[6]:
        # Whoever holds the whole key was let in once, and may not know that it has ended.
        refusals.note(refusals.KEY, refusals.OURSELVES, found[1], row[6])
        return None
    if row[5]:
        uses.note(row[0])
    rights = of_machine(tuple(row[3]))
    return Reader(str(row[1]), f"key:{row[0]}", rights, row[4], counted_as=prefix_of(key))


#: How long a revoked key may still be known to a process, at most.
KNOWN_SECONDS = 2.0
MOST_KNOWN = 10_000
_known: dict[bytes, tuple[float, Reader]] = {}


def lately_recognised(key: str) -> Reader | None:
    """`recognise`, remembered by digest for two seconds: for requests by the thousand a second."""
    digest, now = _digest(key), time.monotonic()
    known = _known.get(digest)
    if known is not None and known[0] > now:
        return known[1]
    reader = recognise(key)
    if reader is None:
        _known.pop(digest, None)
        return None
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[digest] = (now + KNOWN_SECONDS, reader)
    return reader


def _made() -> tuple[str, str, bytes]:
    """A key, its prefix and its digest."""
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = f"{PREFIX}{prefix}_{secret}"
    return key, prefix, _digest(key)


def _digest(key: str) -> bytes:
    # The secret has 256 random bits: a fast digest is as safe as a slow one.
    return hashlib.sha256(key.encode(errors="replace")).digest()
