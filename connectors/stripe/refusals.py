"""Stripe's errors as ours: a definite no with a reason, or one that says to try again.

Source: Stripe API reference, "Errors"; docs, "Error codes" and "Decline codes".
"""

from __future__ import annotations

from typing import Any

import msgspec

from connectors.runtime.session import HubSession, Response
from observability.errors import RefusedByUpstreamError, RetryableError


class Error(msgspec.Struct):
    type: str = ""
    code: str = ""
    decline_code: str = ""
    message: str = ""
    param: str = ""


class Body(msgspec.Struct):
    error: Error


#: Stripe's code (or decline code, which is more exact) → our reason.
REASONS = {
    "card_declined": "card_declined",
    "insufficient_funds": "insufficient_funds",
    "expired_card": "expired_card",
    "authentication_required": "authentication_required",
    "incorrect_cvc": "incorrect_cvc",
    "amount_too_large": "amount_too_large",
    "amount_too_small": "amount_too_small",
    "charge_already_refunded": "already_refunded",
    "charge_expired_for_capture": "authorisation_expired",
    "payment_intent_unexpected_state": "payment_state",
    "resource_missing": "not_found",
}
#: Another request holds the object, or this very key: it will be over soon.
BUSY = frozenset({"idempotency_key_in_use", "lock_timeout"})
#: "Refund amount … is greater than unrefunded amount" has no code, but names its parameter.
TOO_MUCH = "is greater than unrefunded amount"


def accepted(session: HubSession, response: Response) -> Response:
    """The answer to a write, if it was done.

    Raises RetryableError while another request is in the way; RefusedByUpstreamError for what has a
    reason; PermanentError for any other refusal.
    """
    if response.ok:
        return session.checked(response)
    error = _told(response)
    place: dict[str, Any] = {
        "connection": session.connection,
        "status": response.status_code,
        "excerpt": response.content,
    }
    if error.code in BUSY:
        raise RetryableError(error.message or error.code, retry_after=1.0, **place)
    reason = _reason(error)
    if reason:
        raise RefusedByUpstreamError(error.message or reason, reason=reason, **place)
    return session.checked(response)


def _reason(error: Error) -> str:
    found = REASONS.get(error.decline_code) or REASONS.get(error.code, "")
    if not found and error.type == "card_error":
        return "card_declined"
    return "amount_too_large" if not found and TOO_MUCH in error.message else found


def _told(response: Response) -> Error:
    try:
        return msgspec.json.decode(response.content, type=Body, strict=False).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Error()
