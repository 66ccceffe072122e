"""The life of a payment: create, confirm, capture, cancel, refund.

    requires_payment_method → requires_confirmation → (requires_action) → requires_capture
                                                    ↘ succeeded           ↘ succeeded | canceled

Source: Stripe docs, "PaymentIntents lifecycle"; test cards from "Testing".
"""

from __future__ import annotations

import secrets
import string
import time
from contextvars import ContextVar
from threading import RLock

from connectors.sandbox import stripe_balance as balance
from connectors.sandbox import stripe_errors as errors
from connectors.sandbox import stripe_objects as objects
from connectors.sandbox.store import Store
from connectors.sandbox.stripe_objects import Record
from connectors.sandbox.stripe_params import (
    MAX_AMOUNT,
    Params,
    check,
    choice,
    currency,
    flag,
    in_whole_units,
    integer,
    merged_metadata,
)

SYSTEM = "stripe"
# (request id, idempotency key) of the API call being answered: what an event tells of its cause, and
# by which the control API counts what each key made.
CAUSE: ContextVar[tuple[str | None, str | None]] = ContextVar("stripe_cause", default=(None, None))
_ALPHABET = string.digits + string.ascii_letters
# Two captures of one intent must not both see `requires_capture`.
CHANGING = RLock()

_INTENT_TEXT = (
    "customer description payment_method receipt_email setup_future_usage "
    "statement_descriptor statement_descriptor_suffix transfer_group"
)
_INTENT_IGNORED = "automatic_payment_methods payment_method_options payment_method_types shipping"
_CONFIRM_ONLY = "confirm off_session return_url error_on_requires_action mandate use_stripe_sdk"
_DECLINES = {
    "pm_card_visa_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
}
_CHALLENGES = frozenset({"pm_card_authenticationRequired", "pm_card_threeDSecure2Required"})
#: Their refunds are pending until the control API says otherwise.
_REFUNDED_LATER = frozenset({"pm_card_pendingRefund"})
_CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
_CANCELLABLE = (*_CONFIRMABLE, "requires_capture", "processing")


def new_id(prefix: str) -> str:
    """Like Stripe's: the prefix, a version digit, time-ordered, then random."""
    return f"{prefix}_3" + "".join(_ALPHABET[byte % 62] for byte in secrets.token_bytes(23))


def find(store: Store, kind: str, key: str, param: str, status: int = 404) -> Record:
    found = store.get(SYSTEM, f"{kind}s", key)
    if found is None:
        raise errors.no_such(kind, key, param, status)
    return found


def save(store: Store, record: Record) -> Record:
    reference = CAUSE.get()[1] or ""
    store.put(SYSTEM, f"{record['object']}s", record["id"], record, reference=reference)
    return record


def create_intent(store: Store, params: Params) -> Record:
    check(
        params,
        f"amount capture_method confirmation_method currency {_INTENT_TEXT} {_INTENT_IGNORED} "
        f"{_CONFIRM_ONLY}",
    )
    money = currency(params)
    amount = in_whole_units(integer(params, "amount", low=1, high=MAX_AMOUNT), money)
    if params.get("customer"):
        find(store, "customer", params["customer"], "customer", 400)
    method = params.get("payment_method")
    intent = objects.new_intent(
        new_id("pi"),
        int(time.time()),
        **{name: params[name] for name in _INTENT_TEXT.split() if name in params},
        amount=amount,
        capture_method=choice(params, "capture_method", "automatic", "automatic_async", "manual")
        or "automatic_async",
        currency=money,
        metadata=merged_metadata({}, params),
        status="requires_confirmation" if method else "requires_payment_method",
    )
    confirming = flag(params, "confirm")
    with CHANGING:
        save(store, intent)
        return (
            _authorise(store, intent, may_redirect="return_url" in params) if confirming else intent
        )


def update_intent(store: Store, key: str, params: Params) -> Record:
    check(params, f"amount currency capture_method {_INTENT_TEXT} {_INTENT_IGNORED}")
    with CHANGING:
        intent = find(store, "payment_intent", key, "intent")
        changes: Record = {name: params[name] for name in _INTENT_TEXT.split() if name in params}
        if "amount" in params:
            if intent["status"] not in _CONFIRMABLE:
                message = (
                    "This PaymentIntent's amount could not be updated because it has a status of "
                    f"{intent['status']}. You may only update the amount of a PaymentIntent with "
                    f"one of the following statuses: {', '.join(_CONFIRMABLE)}."
                )
                raise errors.invalid("amount", message, "payment_intent_unexpected_state")
            changes["amount"] = integer(params, "amount", low=1, high=MAX_AMOUNT)
        if "currency" in params:
            changes["currency"] = currency(params)
        if params.get("payment_method") and intent["status"] == "requires_payment_method":
            changes["status"] = "requires_confirmation"
        metadata = merged_metadata(intent["metadata"], params)
        return save(store, {**intent, **changes, "metadata": metadata})


def confirm_intent(store: Store, key: str, params: Params) -> Record:
    check(params, f"payment_method capture_method receipt_email {_INTENT_IGNORED} {_CONFIRM_ONLY}")
    with CHANGING:
        intent = find(store, "payment_intent", key, "intent")
        if intent["status"] not in _CONFIRMABLE:
            raise errors.wrong_state(intent, "confirm", _CONFIRMABLE)
        given: Record = {
            name: params[name] for name in ("payment_method", "receipt_email") if name in params
        }
        return _authorise(store, {**intent, **given}, may_redirect="return_url" in params)


def _authorise(store: Store, intent: Record, *, may_redirect: bool) -> Record:
    method = intent["payment_method"]
    if not method:
        message = (
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
            "either update the PaymentIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method or ConfirmationToken."
        )
        raise errors.invalid("payment_method", message, "payment_intent_unexpected_state")
    if method in _CHALLENGES and intent["status"] != "requires_action":
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": "", "return_url": None}}
        if not may_redirect:
            action = {
                "type": "use_stripe_sdk",
                "use_stripe_sdk": {"type": "three_d_secure_redirect"},
            }
        return save(store, {**intent, "status": "requires_action", "next_action": action})
    charge = objects.new_charge(new_id("ch"), int(time.time()), intent)
    if method in _DECLINES:
        raise _decline(store, intent, charge, _DECLINES[method])
    capturing = intent["capture_method"] != "manual"
    if capturing:
        charge |= objects.settled(charge, intent["amount"])
        save(store, balance.of_charge(charge, int(time.time())))
    save(store, charge)
    return save(
        store,
        {
            **intent,
            "amount_capturable": 0 if capturing else intent["amount"],
            "amount_received": intent["amount"] if capturing else 0,
            "last_payment_error": None,
            "latest_charge": charge["id"],
            "next_action": None,
            "status": "succeeded" if capturing else "requires_capture",
        },
    )


def _decline(store: Store, intent: Record, charge: Record, reason: str) -> errors.StripeError:
    failed = {
        **intent,
        "latest_charge": charge["id"],
        "payment_method": None,
        "status": "requires_payment_method",
    }
    refusal = errors.declined(charge["id"], failed, reason)
    told = {k: v for k, v in refusal.body["error"].items() if k != "payment_intent"}
    failed["last_payment_error"] = told
    save(
        store,
        {
            **charge,
            "failure_code": told["code"],
            "failure_message": told["message"],
            "paid": False,
            "status": "failed",
        },
    )
    save(store, failed)
    return refusal


def capture_intent(store: Store, key: str, params: Params) -> Record:
    check(params, "amount_to_capture final_capture statement_descriptor")
    with CHANGING:
        intent = find(store, "payment_intent", key, "intent")
        if intent["status"] != "requires_capture":
            raise errors.wrong_state(intent, "capture", ("requires_capture",))
        capturable = intent["amount_capturable"]
        amount = integer(params, "amount_to_capture", capturable, low=1, high=MAX_AMOUNT)
        if amount > capturable:
            message = (
                f"The amount_to_capture ({amount}) cannot be greater than the amount_capturable "
                f"({capturable}) of the PaymentIntent."
            )
            raise errors.invalid("amount_to_capture", message, "amount_too_large")
        charge = find(store, "charge", intent["latest_charge"], "charge")
        charge |= objects.settled(charge, amount)
        save(store, balance.of_charge(charge, int(time.time())))
        save(store, charge)
        settled = {"amount_capturable": 0, "amount_received": amount, "status": "succeeded"}
        return save(store, {**intent, **settled})


def cancel_intent(store: Store, key: str, params: Params) -> Record:
    check(params, "cancellation_reason")
    reason = choice(
        params, "cancellation_reason",
        "duplicate", "fraudulent", "requested_by_customer", "abandoned",
    )  # fmt: skip
    with CHANGING:
        intent = find(store, "payment_intent", key, "intent")
        if intent["status"] not in _CANCELLABLE:
            raise errors.wrong_state(intent, "cancel", _CANCELLABLE)
        if intent["status"] == "requires_capture":
            charge = find(store, "charge", intent["latest_charge"], "charge")
            save(store, {**charge, **objects.reversed_in_full(charge)})
        return save(
            store,
            {
                **intent,
                "amount_capturable": 0,
                "canceled_at": int(time.time()),
                "cancellation_reason": reason,
                "next_action": None,
                "status": "canceled",
            },
        )


def create_refund(store: Store, params: Params) -> Record:
    check(params, "amount charge payment_intent reason currency instructions_email origin")
    reason = choice(params, "reason", "duplicate", "fraudulent", "requested_by_customer")
    with CHANGING:
        charge = _charge_to_refund(store, params)
        uncaptured = charge["amount"] - charge["amount_captured"]
        left = charge["amount"] - charge["amount_refunded"]
        if charge["refunded"] or left <= 0:
            message = f"Charge {charge['id']} has already been refunded."
            raise errors.StripeError(400, message, executed=True, code="charge_already_refunded")
        amount = integer(params, "amount", left, low=1, high=MAX_AMOUNT)
        if amount > left:
            message = (
                f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
            )
            raise errors.invalid("amount", message)
        known = {"reason": reason, "metadata": merged_metadata({}, params)}
        if charge["payment_method"] in _REFUNDED_LATER:
            known["status"] = "pending"
        refund = objects.new_refund(new_id("re"), int(time.time()), charge, amount, **known)
        returned = charge["amount_refunded"] + amount
        whole = returned - uncaptured >= charge["amount_captured"]
        save(store, {**charge, "amount_refunded": returned, "refunded": whole})
        save(store, balance.of_refund(refund))
        return save(store, refund)


def _charge_to_refund(store: Store, params: Params) -> Record:
    if params.get("payment_intent"):
        intent = find(store, "payment_intent", params["payment_intent"], "payment_intent")
        if intent["status"] != "succeeded":
            message = (
                f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
            )
            raise errors.invalid("payment_intent", message)
        return find(store, "charge", intent["latest_charge"], "charge")
    if not params.get("charge"):
        message = "One of the following params should be provided for this request: payment_intent or charge."
        raise errors.StripeError(400, message, code="parameter_missing")
    charge = find(store, "charge", params["charge"], "id")
    if not charge["paid"]:
        message = f"Charge {charge['id']} was not successful and cannot be refunded."
        raise errors.invalid("charge", message)
    return charge
