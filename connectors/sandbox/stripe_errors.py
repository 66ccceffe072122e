"""Stripe's error objects: `{"error": {"type", "code", "message", "param", "doc_url"}}`.

Messages follow the live API's; source: Stripe API reference, "Errors" and "Error codes".
"""

from __future__ import annotations

from typing import Any


class StripeError(Exception):
    """A refused request. `executed`: the endpoint had begun its work, so that a repeat with the
    same idempotency key must get this answer again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        executed: bool = False,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.executed = executed
        code = details.get("code")
        if code is None:
            details.pop("code", None)
        else:
            details["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
        self.body: dict[str, Any] = {"error": {**details, "message": message, "type": kind}}


def no_api_key() -> StripeError:
    return StripeError(
        401,
        "You did not provide an API key. You need to provide your API key in the Authorization "
        "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
        "https://stripe.com/docs/api#authentication for details, or we can help at "
        "https://support.stripe.com/.",
    )


def wrong_api_key(key: str) -> StripeError:
    shown = f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}" if len(key) > 12 else "*" * len(key)
    return StripeError(401, f"Invalid API Key provided: {shown}")


def expired_api_key(key: str) -> StripeError:
    message = f"Expired API Key provided: {key[:8]}*****{key[-4:]}"
    return StripeError(401, message, code="api_key_expired")


def rate_limited() -> StripeError:
    return StripeError(
        429,
        "Request rate limit exceeded. Learn more about rate limits here "
        "https://stripe.com/docs/rate-limits.",
        code="rate_limit",
    )


def no_such_url(method: str, path: str) -> StripeError:
    return StripeError(
        404,
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we "
        "can help at https://support.stripe.com/.",
    )


def no_such(kind: str, key: str, param: str, status: int = 404) -> StripeError:
    message = f"No such {kind}: '{key}'"
    return StripeError(status, message, code="resource_missing", param=param)


def missing(param: str) -> StripeError:
    message = f"Missing required param: {param}."
    return StripeError(400, message, code="parameter_missing", param=param)


def unknown(param: str) -> StripeError:
    message = f"Received unknown parameter: {param}"
    return StripeError(400, message, code="parameter_unknown", param=param)


def invalid(param: str, message: str, code: str | None = None) -> StripeError:
    return StripeError(400, message, param=param, code=code)


def wrong_state(intent: dict[str, Any], action: str, allowed: tuple[str, ...]) -> StripeError:
    done = {"confirm": "confirmed", "capture": "captured", "cancel": "canceled"}[action]
    return StripeError(
        400,
        f"This PaymentIntent could not be {done} because it has a status of {intent['status']}. "
        f"Only a PaymentIntent with one of the following statuses may be {done}: "
        f"{', '.join(allowed)}.",
        executed=True,
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )


def declined(charge_id: str, intent: dict[str, Any], reason: str) -> StripeError:
    code, message = {
        "insufficient_funds": ("card_declined", "Your card has insufficient funds."),
        "expired_card": ("expired_card", "Your card has expired."),
    }.get(reason, ("card_declined", "Your card was declined."))
    return StripeError(
        402,
        message,
        kind="card_error",
        executed=True,
        charge=charge_id,
        code=code,
        decline_code=reason,
        payment_intent=intent,
    )


def key_reused(key: str, endpoint: str | None = None) -> StripeError:
    """For other parameters, or (given the first endpoint) for another endpoint."""
    rule = (
        f"Keys for idempotent requests can only be used for the same endpoint they were first "
        f"used for ('{endpoint}')."
        if endpoint
        else "Keys for idempotent requests can only be used with the same parameters they were "
        "first used with."
    )
    hint = f"Try using a key other than '{key}' if you meant to execute a different request."
    return StripeError(400, f"{rule} {hint}", kind="idempotency_error")


def key_too_long(key: str) -> StripeError:
    message = f"Idempotency-Key can be up to 255 characters long; this one has {len(key)}."
    return StripeError(400, message, kind="idempotency_error")


def key_in_use(key: str) -> StripeError:
    return StripeError(
        409,
        "There is currently another in-progress request using this Idempotent Key (that probably "
        "means you submitted twice, and the other request is still going through): "
        f"{key}. Please try again later.",
        kind="idempotency_error",
        code="idempotency_key_in_use",
    )
