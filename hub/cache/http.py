"""What caches between us and a reader are told: RFC 9111, RFC 9110, RFC 5861.

Every request for data carries a key. A shared cache may hand such an answer out again only where we
say so (RFC 9111, 3.5: `s-maxage` or `public`), and we do for data of public classes alone without
guarded fields, read by a key that is not held to some entities or fields; `Vary` names the headers that
carry keys, so that a cache that keeps to the standard asks us for each key once. HEADWATER_PUBLIC_CLASSES takes classes out, for caches that do not.

    public      s-maxage and what RFC 5861 adds, by the class; browsers ask each time, and mostly get a 304,
                because no purge reaches them
    private     only the reader's own cache, which asks each time
    no-store    about people, whatever is wrong, and answers to POST

Surrogate-Key (Fastly, Varnish) and Cache-Tag (Cloudflare, Akamai) name what was read (`catalog.tags`).
An answer from a cache of ours is no older than a second, so no `Age` is told.
"""

from __future__ import annotations

from hub import negotiation, use_limits, versions
from hub.cache.classes import DataClass
from hub.cache.near import Kept
from hub.cache.reading import Reading
from hub.degraded import Marked, headers_of
from hub.usage.uses import Uses

#: All that an answer may hang on beside its address.
VARY = ("Vary", ", ".join(("Authorization", "X-API-Key", use_limits.HEADER, *negotiation.VARY)))
NO_STORE = ("Cache-Control", "no-store")
ALWAYS = [
    ("Content-Type", "application/json"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
]
#: What a 304 does not repeat: it has no content.
OF_CONTENT = frozenset({"Content-Type", "Content-Length"})
#: Caches refuse answers with longer headers.
LONGEST_TAGS = 8_000


def answer(body: bytes, reading: Reading, *, get: bool, uses: Uses | None = None) -> Kept:
    """The answer of status 200 to a reading, and to what it reads of our contract."""
    headers = [*ALWAYS, ("Content-Length", str(len(body)))]
    if isinstance(body, Marked):
        headers += headers_of(body).items()
    etag, tags = "", tuple[str, ...]()
    if reading.until or get:
        tags = tuple(reading.tags)
    if not get or not reading.statements:
        headers.append(NO_STORE)
    else:
        etag = versions.etag(body, reading.version)
        told = cache_control(reading.kind, reading.visibility)
        headers += [("ETag", etag), VARY, ("Cache-Control", told)]
        named = " ".join(tags)
        if reading.kind.seconds and len(named) <= LONGEST_TAGS:
            headers += [("Surrogate-Key", named), ("Cache-Tag", ",".join(tags))]
    if uses is not None:
        headers += uses.headers
    return Kept(body, headers, etag, reading.until, tags, uses, reading.outcome)


def cache_control(kind: DataClass, visibility: str) -> str:
    """The header for an answer of that class, read by a key that may see so much."""
    if not kind.storable:
        return "private, no-store"
    # One that names what is read, rather than all, is one reader's own.
    if not kind.public or " " in visibility:
        return "private, no-cache"
    return (
        f"public, max-age=0, s-maxage={kind.seconds}, stale-while-revalidate={kind.refreshing},"
        f" stale-if-error={kind.failing}"
    )


def matches(etag: str, if_none_match: str) -> bool:
    """Whether the reader has it already (RFC 9110, 13.1.2; compared weakly)."""
    if not etag:
        return False
    known = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in known or known == ["*"]
