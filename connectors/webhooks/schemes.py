"""How vendors sign their webhooks, each verified over the raw body and with every live secret.

Whatever a header holds, nothing but `SignatureError` is raised. Digests are compared in constant
time (`hmac.compare_digest`).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from connectors.webhooks.declare import Delivery, Scheme, SignatureError

#: No sender signs more often at once; a longer list is meant to keep us busy.
MOST_SIGNATURES = 10
LONGEST_HEADER = 4096


class StripeScheme(Scheme):
    """`Stripe-Signature: t=…,v1=…`: HMAC-SHA256 of `t.body`, in hex; `v1` may be given several times.

    Stripe, "Verify webhook signatures manually".
    """

    header = "stripe-signature"
    #: Parts of the timestamp in a second.
    unit = 1

    def verify(self, delivery: Delivery, secrets: Sequence[str], now: float) -> None:
        """See `Scheme`."""
        parts = [p.partition("=") for p in _header(delivery, self.header).split(",")]
        stamp = next((value.strip() for name, _, value in parts if name.strip() == "t"), "")
        given = [value.strip() for name, _, value in parts if name.strip() == "v1"]
        self.fresh(_number(stamp) / self.unit, now)
        signed = stamp.encode() + b"." + delivery.body
        _among(given, (self.encoded(_hmac(secret.encode(), signed)) for secret in secrets))

    def encoded(self, digest: bytes) -> str:
        """The digest as the header spells it."""
        return digest.hex()


class SanityScheme(StripeScheme):
    """`sanity-webhook-signature: t=…,v1=…`, in milliseconds and base64url without padding.

    Sanity, "GROQ-powered webhooks", section on validating requests.
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
        _among([given], (_hmac(secret.encode(), signed).hex() for secret in secrets))


class ShopifyScheme(Scheme):
    """`X-Shopify-Hmac-Sha256`: base64 of the HMAC-SHA256 of the body.

    Shopify, "Deliver webhooks through HTTPS". No time is signed, so a repetition cannot be told
    by its age: the inbox tells it by `X-Shopify-Webhook-Id`.
    """

    def verify(self, delivery: Delivery, secrets: Sequence[str], now: float) -> None:  # noqa: ARG002 (no time is signed)
        """See `Scheme`."""
        given = _header(delivery, "x-shopify-hmac-sha256")
        _among([given], (_base64(_hmac(secret.encode(), delivery.body)) for secret in secrets))


class ContentfulScheme(Scheme):
    """HMAC-SHA256 in hex over method, path, the signed headers and the body, line by line.

    Contentful, "Request verification": the headers are named in `x-contentful-signed-headers`, and
    must hold that name and `x-contentful-timestamp`, in milliseconds.
    """

    signature = "x-contentful-signature"
    listed = "x-contentful-signed-headers"
    stamp = "x-contentful-timestamp"

    def verify(self, delivery: Delivery, secrets: Sequence[str], now: float) -> None:
        """See `Scheme`."""
        given = _header(delivery, self.signature)
        names = [name.strip().lower() for name in _header(delivery, self.listed).split(",")]
        if self.stamp not in names or self.listed not in names:
            raise SignatureError("the timestamp, or the list of signed headers, is not signed")
        if self.signature in names or len(names) > 50:
            raise SignatureError("the list of signed headers is odd")
        self.fresh(_number(_header(delivery, self.stamp)) / 1000, now)
        headers = ";".join(f"{name}:{_header(delivery, name)}" for name in names)
        path, _, query = delivery.path.partition("?")
        target = quote(path, safe="/%:@!$&'()*+,;=~-._") + (f"?{query}" if query else "")
        head = f"{delivery.method.upper()}\n{target}\n{headers}\n"
        signed = head.encode("utf-8", "surrogatepass") + delivery.body
        _among([given], (_hmac(secret.encode(), signed).hex() for secret in secrets))


class StandardScheme(Scheme):
    """Standard Webhooks 1.0: `webhook-signature: v1,…` over `id.timestamp.body`, in base64.

    A secret is `whsec_` and base64. Several signatures are apart by spaces.
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
    """The value of `webhook-signature` for a message of ours, one signature for each live secret."""
    signed = f"{identifier}.{stamp}.".encode() + body
    return " ".join(f"v1,{_base64(_hmac(key, signed))}" for key in _keys(secrets))


def _keys(secrets: Iterable[str]) -> list[bytes]:
    keys = []
    for secret in secrets:
        try:
            keys.append(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
        except (binascii.Error, ValueError) as error:
            raise SignatureError("a secret of the connection is no base64 behind whsec_") from error
    return keys


def _among(given: Sequence[str], right: Iterable[str]) -> None:
    """Accept if any of the given signatures is right; looks at all of them, whatever it finds."""
    if not given or len(given) > MOST_SIGNATURES:
        raise SignatureError(f"{len(given)} signatures were given")
    said = [value.encode("utf-8", "surrogatepass") for value in given]
    found, known = False, False
    for signature in right:
        known = True
        expected = signature.encode()
        for value in said:
            found |= hmac.compare_digest(value, expected)
    if not known:
        raise SignatureError("the connection has no webhook secret; enter one in its settings")
    if not found:
        raise SignatureError("no signature is right for this body and secret")


def _header(delivery: Delivery, name: str) -> str:
    headers: Mapping[str, str] = delivery.headers
    value = headers.get(name, "")
    if not value:
        raise SignatureError(f"header {name} is missing")
    if len(value) > LONGEST_HEADER:
        raise SignatureError(f"header {name} is too long")
    return value


def _number(text: str) -> int:
    """Seconds or milliseconds since 1970."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise SignatureError("the timestamp is no number")
    return int(text)


def _hmac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256")


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
