"""Signatures of webhooks, each as its sender makes it."""

from __future__ import annotations

import base64
import hashlib
import hmac

STANDARD_SECRET = "whsec_aGVhZHdhdGVyLXNhbmRib3gtc2VjcmV0"  # noqa: S105 - published: a sandbox's
STRIPE_SECRET = "whsec_headwater_sandbox"  # noqa: S105
AKENEO_SECRET = "akeneo-webhook-secret"  # noqa: S105


def standard_webhook(
    message_id: str, timestamp: int, body: bytes, secret: str = STANDARD_SECRET
) -> dict[str, str]:
    """Headers by the Standard Webhooks specification 1.0; ``timestamp`` in seconds."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{digest}",
    }


def hex_hmac(secret: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 of ``timestamp.body``: what Stripe and Akeneo put into their headers."""
    signed = f"{timestamp}.".encode() + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
