"""How each vendor signs: by its own library, or written down from its documentation once more.

Nothing here imports our schemes' code: what both sides got wrong in the same way would pass.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import standardwebhooks
import stripe

from connectors.webhooks import schemes
from connectors.webhooks.declare import Delivery, Scheme

PATH = "/hooks/vendor/"
NOW = 1_767_268_800
ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"

#: (secret, seconds since 1970, body) to headers.
Sign = Callable[[str, int, str], dict[str, str]]


@dataclass(frozen=True)
class Sender:
    name: str
    scheme: Scheme
    secrets: tuple[str, str]
    sign: Sign
    #: Whether what is signed says when.
    timed: bool = True

    def delivery(self, body: str, at: int = NOW, secret: str | None = None) -> Delivery:
        headers = self.sign(self.secrets[0] if secret is None else secret, at, body)
        return Delivery("POST", PATH, headers, body.encode())


def _digest(secret: str, signed: str) -> bytes:
    return hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()


def _stripe(secret: str, at: int, body: str) -> dict[str, str]:
    signed = stripe.WebhookSignature.generate_signature_header(body, secret, at)
    return {"stripe-signature": signed}


def _standard(secret: str, at: int, body: str) -> dict[str, str]:
    signed = standardwebhooks.Webhook(secret).sign(ID, datetime.fromtimestamp(at, UTC), body)
    return {"webhook-id": ID, "webhook-timestamp": str(at), "webhook-signature": signed}


def _akeneo(secret: str, at: int, body: str) -> dict[str, str]:
    # Akeneo, Events API, "Security": hash_hmac('sha256', $timestamp.'.'.$body, $secret)
    return {
        "x-akeneo-request-timestamp": str(at),
        "x-akeneo-request-signature": _digest(secret, f"{at}.{body}").hex(),
    }


def _shopify(secret: str, _at: int, body: str) -> dict[str, str]:
    # Shopify, "Verify webhook deliveries": base64 of the HMAC of the raw body
    return {"x-shopify-hmac-sha256": base64.b64encode(_digest(secret, body)).decode()}


def _sanity(secret: str, at: int, body: str) -> dict[str, str]:
    # @sanity/webhook, encodeSignatureHeader: milliseconds, base64url without padding
    digest = base64.urlsafe_b64encode(_digest(secret, f"{at}000.{body}")).decode().rstrip("=")
    return {"sanity-webhook-signature": f"t={at}000,v1={digest}"}


def _contentful(secret: str, at: int, body: str) -> dict[str, str]:
    # @contentful/node-apps-toolkit, signRequest
    signed = {
        "content-type": "application/json",
        "x-contentful-signed-headers": "content-type,x-contentful-signed-headers,"
        "x-contentful-timestamp",
        "x-contentful-timestamp": f"{at}000",
    }
    lines = ";".join(f"{name}:{value}" for name, value in signed.items())
    digest = _digest(secret, f"POST\n{PATH}\n{lines}\n{body}").hex()
    return {**signed, "x-contentful-signature": digest}


_STANDARD_SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMU")

SENDERS = (
    Sender("stripe", schemes.StripeScheme(), ("whsec_new", "whsec_old"), _stripe),
    Sender("standard", schemes.StandardScheme(), _STANDARD_SECRETS, _standard),
    Sender("akeneo", schemes.AkeneoScheme(), ("new-secret", "old-secret"), _akeneo),
    Sender("shopify", schemes.ShopifyScheme(), ("shpss_new", "shpss_old"), _shopify, timed=False),
    Sender("sanity", schemes.SanityScheme(), ("größe", "old"), _sanity),
    Sender("contentful", schemes.ContentfulScheme(), ("n" * 64, "o" * 64), _contentful),
)
