"""How vendors sign their webhooks, each verified over the raw body and with every live secret.

Whatever a header holds, nothing but `SignatureError` is raised. Digests are compared in constant
time (`hmac.compare_digest`), and an empty secret is none.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from connectors.webhooks.declare import Delivery, Scheme, SignatureError

#: No sender signs more often at once; a longer list is meant to keep us busy.
MOST_SIGNATURES = 10
MOST_SIGNED_HEADERS = 50
LONGEST_HEADER = 4096
#: What may stand around a value (RFC 9110, 5.6.3); Python's own notion is wider.
BLANK = " \t"

MISSING, MALFORMED = "signature.missing", "signature.malformed"
UNCONFIGURED = "signature.no_secret"


class StripeScheme(Scheme):
    """`Stripe-Signature: t=…,v1=…`: HMAC-SHA256 of `t.body`, in hex, once for each live secret.

    Stripe, "Verify webhook signatures manually": several `v1` while a secret is rolled, other
    schemes (`v0`) to be ignored, five minutes.
    """

    header = "stripe-signature"
    #: Parts of the timestamp in a second.
    unit = 1

    def verify(self, delivery: Delivery, secrets: Sequence[str], now: float) -> None:
        """See `Scheme`."""
        parts = [part.partition("=") for part in _header(delivery, self.header).split(",")]
        stamp = next((v.strip(BLANK) for name, _, v in parts if name.strip(BLANK) == "t"), "")
        given = [v.strip(BLANK) for name, _, v in parts if name.strip(BLANK) == "v1"]
        self.fresh(_number(stamp) / self.unit, now)
        signed = stamp.encode() + b"." + delivery.body
        _among(given, (self.encoded(_hmac(key, signed)) for key in _texts(secrets)))

    def encoded(self, digest: bytes) -> str:
        """The digest as the header spells it."""
        return digest.hex()


class SanityScheme(StripeScheme):
    """`sanity-webhook-signature: t=…,v1=…`: as Stripe, in milliseconds and unpadded base64url.

    Sanity, "GROQ-powered webhooks", and its own `@sanity/webhook` (which knows no tolerance).
    """

    header = "sanity-webhook-signature"
    unit = 1000

    def encoded(self, digest: bytes) -> str:
        """The digest as the header spells it."""
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class AkeneoScheme(Scheme):
    """HMAC-SHA256 of `timestamp.body` in hex, the two in headers of their own.

    Akeneo, Events API, "Security".
    """

    def verify(self, delivery: Delivery, secrets: Sequence[str], now: float) -> None:
        """See `Scheme`."""
        stamp = _header(delivery, "x-akeneo-request-timestamp")
        given = _header(delivery, "x-akeneo-request-signature")
        self.fresh(_number(stamp), now)
        signed = stamp.encode() + b"." + delivery.body
        _among([given], (_hmac(key, signed).hex() for key in _texts(secrets)))


class ShopifyScheme(Scheme):
    """`X-Shopify-Hmac-Sha256`: base64 of the HMAC-SHA256 of the body.

    Shopify, "Verify webhook deliveries". Nothing but the body is signed: neither a time, so that an
    old delivery cannot be told by its age, nor `X-Shopify-Webhook-Id`, by which the inbox knows a
    repetition. Who records a delivery can send it again under another id, and changes nothing by
    it, as what an event says is ordered by the record's own version. After a rotation Shopify
    signs with the former secret for up to an hour.
    """

    def verify(self, delivery: Delivery, secrets: Sequence[str], now: float) -> None:  # noqa: ARG002 (no time is signed)
        """See `Scheme`."""
        given = _header(delivery, "x-shopify-hmac-sha256")
        _among([given], (_base64(_hmac(key, delivery.body)) for key in _texts(secrets)))


class ContentfulScheme(Scheme):
    """HMAC-SHA256 in hex over method, path, the signed headers and the body, line by line.

    Contentful, "Request verification", and its `@contentful/node-apps-toolkit`: the headers are
    those that `x-contentful-signed-headers` names, sorted; that list and `x-contentful-timestamp`
    (milliseconds) must be among them, and our own proxies must leave them as they were.
    """

    signature = "x-contentful-signature"
    listed = "x-contentful-signed-headers"
    stamp = "x-contentful-timestamp"

    def verify(self, delivery: Delivery, secrets: Sequence[str], now: float) -> None:
        """See `Scheme`."""
        given = _header(delivery, self.signature)
        names = {name.strip(BLANK).lower() for name in _header(delivery, self.listed).split(",")}
        if not {self.stamp, self.listed} <= names:
            raise SignatureError("the time, or the list of signed headers, is unsigned", MALFORMED)
        if self.signature in names or len(names) > MOST_SIGNED_HEADERS:
            raise SignatureError("the list of signed headers is odd", MALFORMED)
        self.fresh(_number(_header(delivery, self.stamp)) / 1000, now)
        headers = ";".join(f"{name}:{_signed_header(delivery, name)}" for name in sorted(names))
        head = f"{delivery.method.upper()}\n{_contentful_path(delivery.path)}\n{headers}\n"
        signed = head.encode("utf-8", "surrogatepass") + delivery.body
        _among([given], (_hmac(key, signed).hex() for key in _texts(secrets)))


class StandardScheme(Scheme):
    """Standard Webhooks 1.0: `webhook-signature: v1,…` over `id.timestamp.body`, in base64.

    A secret is base64, with or without `whsec_` in front. Several signatures are apart by spaces;
    those of other versions (`v1a` is asymmetric) are passed over.
    """

    def verify(self, delivery: Delivery, secrets: Sequence[str], now: float) -> None:
        """See `Scheme`."""
        identifier = _header(delivery, "webhook-id")
        stamp = _header(delivery, "webhook-timestamp")
        listed = _header(delivery, "webhook-signature").split(" ")
        parts = [signature.partition(",") for signature in listed]
        given = [value for version, _, value in parts if version == "v1"]
        self.fresh(_number(stamp), now)
        signed = f"{identifier}.{stamp}.".encode("utf-8", "surrogatepass") + delivery.body
        _among(given, (_base64(_hmac(key, signed)) for key in _keys(secrets)))


def standard_signature(identifier: str, stamp: int, body: bytes, secrets: Sequence[str]) -> str:
    """The value of `webhook-signature` for a message of ours, one signature for each live secret.

    Raises SignatureError where none of the secrets can be used.
    """
    signed = f"{identifier}.{stamp}.".encode() + body
    made = " ".join(f"v1,{_base64(_hmac(key, signed))}" for key in _keys(secrets))
    if not made:
        raise _no_secret()
    return made


def _texts(secrets: Iterable[str]) -> list[bytes]:
    """Keys of vendors who use a secret as it is written."""
    return [secret.encode("utf-8", "surrogatepass") for secret in secrets if secret]


def _keys(secrets: Iterable[str]) -> list[bytes]:
    """Keys of Standard Webhooks; one that is no base64 is left out, so that the others serve on."""
    keys = []
    for secret in secrets:
        text = secret.removeprefix("whsec_").rstrip("=")
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            continue
        if key:
            keys.append(key)
    return keys


def _among(given: Sequence[str], right: Iterable[str]) -> None:
    """Accept if any of the given signatures is right; looks at all of them, whatever it finds."""
    if not given or len(given) > MOST_SIGNATURES:
        raise SignatureError(f"{len(given)} signatures were given", MALFORMED)
    said = [value.encode("utf-8", "surrogatepass") for value in given]
    found, known = False, False
    for signature in right:
        known = True
        expected = signature.encode()
        for value in said:
            found |= hmac.compare_digest(value, expected)
    if not known:
        raise _no_secret()
    if not found:
        raise SignatureError("no signature is right for this body and secret")


def _no_secret() -> SignatureError:
    return SignatureError(
        "the connection has no usable webhook secret; enter one in its settings",
        UNCONFIGURED,
    )


def _header(delivery: Delivery, name: str) -> str:
    """A header that must be there and say something."""
    value = _signed_header(delivery, name)
    if not value:
        raise SignatureError(f"header {name} is empty", MISSING)
    return value


def _signed_header(delivery: Delivery, name: str) -> str:
    """A header that must be there."""
    value = delivery.headers.get(name)
    if value is None:
        raise SignatureError(f"header {name[:100]} is missing", MISSING)
    if len(value) > LONGEST_HEADER:
        raise SignatureError(f"header {name[:100]} is too long", MALFORMED)
    return value.strip(BLANK)


def _contentful_path(path: str) -> str:
    """The path as Contentful signs it: the query is escaped, and then everything is once more."""
    name, asked, query = path.partition("?")
    if asked and query:
        # JavaScript's querystring.escape, of what stands before any further `?`
        name += "?" + _escaped(query.partition("?")[0], "-_.!~*'()")
    return _escaped(name, ";,/?:@&=+$-_.!~*'()#")  # encodeURI


def _escaped(text: str, safe: str) -> str:
    return quote(text, safe=safe, errors="surrogatepass")


def _number(text: str) -> int:
    """Seconds or milliseconds since 1970."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise SignatureError("the timestamp is no number", MALFORMED)
    return int(text)


def _hmac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256")


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
