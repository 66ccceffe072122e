"""Cross-origin requests (Fetch standard, "HTTP-CORS protocol"): declared origins, nobody else.

A page of another site sends a key or a token; cookies are never accepted from there.
"""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

ANY = "*"
PATHS = ("/api/", "/graphql")
EXPOSED = (
    "RateLimit, RateLimit-Policy, Retry-After, X-Correlation-ID, ETag, Content-Language, Location, "
    "Idempotent-Replayed"
)
METHODS = "GET, HEAD, POST, PATCH, DELETE, OPTIONS"
ALLOWED = (
    "Authorization, Content-Type, X-API-Key, X-Correlation-ID, traceparent, If-None-Match, "
    "Accept-Language, Idempotency-Key, If-Match"
)
#: Browsers ask again after so many seconds.
REMEMBERED = "600"


def granted(origin: str) -> list[tuple[str, str]]:
    """The fields of an answer to a page of this origin; none where it was not declared."""
    return _granted(origin, tuple(settings.HEADWATER_CORS_ORIGINS))


def preflight(origin: str) -> list[tuple[str, str]]:
    """The fields of an answer to "may I?"; none says no."""
    allowed = granted(origin)
    if not allowed:
        return []
    return [
        *allowed,
        ("Access-Control-Allow-Methods", METHODS),
        ("Access-Control-Allow-Headers", ALLOWED),
        ("Access-Control-Max-Age", REMEMBERED),
    ]


@lru_cache(maxsize=256)
def _granted(origin: str, declared: tuple[str, ...]) -> list[tuple[str, str]]:
    if origin not in declared and ANY not in declared:
        return []
    return [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", EXPOSED),
    ]


def enabled() -> bool:
    """Whether any origin was declared: then answers differ by it."""
    return bool(settings.HEADWATER_CORS_ORIGINS)
