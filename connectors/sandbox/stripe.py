"""Simulated Stripe: customers, payment intents, charges, refunds, payouts, events (`/v1/…`).

Form-encoded requests, JSON answers, the key as Bearer or as the basic user. Each POST may carry an
`Idempotency-Key`; each answer carries a `Request-Id`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable
from threading import Lock
from typing import Any

import orjson

from connectors.sandbox import stripe_errors as errors
from connectors.sandbox import stripe_form, stripe_lists, stripe_objects, stripe_payouts
from connectors.sandbox.ids import opaque_id
from connectors.sandbox.sequence import Sequence
from connectors.sandbox.store import Collection, Store
from connectors.sandbox.stripe_endpoints import ENDPOINTS, SYSTEM, Endpoint
from connectors.sandbox.stripe_events import KEPT_FOR_ITSELF, record_event, webhook
from connectors.sandbox.stripe_objects import API_VERSION, Record
from connectors.sandbox.stripe_past import Past
from connectors.sandbox.stripe_payments import CAUSE, CHANGING
from connectors.sandbox.wire import Request, Response, Route
from connectors.sandbox.world import World

API_KEY = "sk_test_headwater"
KEY_LIFETIME_MS = 24 * 3600 * 1000
LONGEST_KEY = 255
WEBHOOK = webhook

_in_flight: set[str] = set()
_in_flight_lock = Lock()


def register(store: Store, world: World) -> None:
    past = Past(world)
    stripe_payouts.register(store, past)
    for base in (*_base_collections(world), *past.collections()):
        store.register(base)
        stripe_lists.register_sequence(store, base.name, Sequence(store, base))
    for name in KEPT_FOR_ITSELF:
        store.register(_empty(name))
    store.listeners.append(lambda change: record_event(store, change))


def _base_collections(world: World) -> list[Collection]:
    return [
        Collection(
            SYSTEM,
            "customers",
            world.n_customers,
            key=lambda k: world.customer(k).stripe_id,
            index=world.customer_by_stripe_id,
            build=lambda k: stripe_objects.customer(world.customer(k)),
            changed_ms=lambda k: world.changed_ms(k, world.n_customers),
        ),
        Collection(
            SYSTEM,
            "payment_intents",
            world.n_orders,
            key=lambda o: opaque_id("pi_", o),
            index=world.order_by_payment_id,
            build=lambda o: stripe_objects.order_intent(world, world.order(o)),
            changed_ms=world.order_placed_ms,
        ),
        Collection(
            SYSTEM,
            "charges",
            world.n_orders,
            key=lambda o: opaque_id("ch_", o),
            index=world.order_by_charge_id,
            build=lambda o: stripe_objects.order_charge(world, world.order(o)),
            changed_ms=world.order_placed_ms,
        ),
        _empty("events"),
    ]


def _empty(name: str) -> Collection:
    """Nothing in the base world: every record is made by a change."""
    return Collection(SYSTEM, name, 0, key=str, index=_none, build=_no_record, changed_ms=int)


def _none(_key: str) -> None:
    return None


def _no_record(index: int) -> Record:
    raise IndexError(index)


# -- answering: key, parameters, once-only, errors


def _serve(endpoint: Endpoint) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        request_id = f"req_{secrets.token_urlsafe(10)}"
        headers = {
            "Request-Id": request_id,
            "Stripe-Version": request.headers.get("Stripe-Version") or API_VERSION,
        }
        key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
        cause = CAUSE.set((request_id, key))
        try:
            _authenticate(request)
            status, body = (
                _once(request, endpoint, key, headers) if key else _call(request, endpoint)
            )
        except errors.StripeError as refusal:
            status, body = refusal.status, refusal.body
        finally:
            CAUSE.reset(cause)
        if status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
        return Response(status, orjson.dumps(body, option=orjson.OPT_INDENT_2), _JSON | headers)

    return answer


def _authenticate(request: Request) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    key = given.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(given).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key:
        raise errors.no_api_key()
    if not secrets.compare_digest(key.encode(), API_KEY.encode()):
        raise errors.wrong_api_key(key)


def _parameters(request: Request) -> dict[str, Any]:
    encoded = request.body.decode() if request.method == "POST" else request.query_string
    return stripe_form.decode(encoded)


def _call(request: Request, endpoint: Endpoint) -> tuple[int, Any]:
    params = _parameters(request)
    found = endpoint(request.store, params, request.match)
    return 200, stripe_lists.expanded(request.store, found, params.get("expand"))


def _once(
    request: Request, endpoint: Endpoint, key: str, headers: dict[str, str]
) -> tuple[int, Any]:
    """The first answer again for a repeated key. Refusals before any work began are not kept."""
    if len(key) > LONGEST_KEY:
        raise errors.key_too_long(key)
    with _in_flight_lock:
        if key in _in_flight:
            raise errors.key_in_use(key)
        _in_flight.add(key)
    try:
        headers["Idempotency-Key"] = key
        # By their meaning: the same parameters in another order are the same.
        given = json.dumps(_parameters(request), sort_keys=True)
        fingerprint = hashlib.sha256(given.encode()).hexdigest()
        now_ms = time.time_ns() // 1_000_000
        kept = request.store.get(SYSTEM, "idempotency_keys", key)
        if kept is not None and now_ms - kept["at_ms"] < KEY_LIFETIME_MS:
            if kept["path"] != request.path:
                raise errors.key_reused(key, kept["path"])
            if kept["fingerprint"] != fingerprint:
                raise errors.key_reused(key)
            headers["Idempotent-Replayed"] = "true"
            headers["Original-Request"] = kept["request_id"]
            return kept["status"], kept["body"]
        # The answer is kept with the work, or a kill between them would do the work twice.
        with CHANGING, request.store.together():
            try:
                status, body = _call(request, endpoint)
            except errors.StripeError as refusal:
                if not refusal.executed:
                    raise
                status, body = refusal.status, refusal.body
            answer = {"path": request.path, "fingerprint": fingerprint, "status": status,
                      "body": body, "at_ms": now_ms, "request_id": headers["Request-Id"]}  # fmt: skip
            request.store.put(SYSTEM, "idempotency_keys", key, answer)
        return status, body
    finally:
        with _in_flight_lock:
            _in_flight.discard(key)


def ERROR(request: Request, status: int, message: str) -> Response:
    """Scripted faults and unknown paths, in Stripe's words."""
    refusal = {
        401: lambda: errors.expired_api_key(API_KEY),
        404: lambda: errors.no_such_url(request.method, request.path),
        429: errors.rate_limited,
    }.get(status, lambda: errors.StripeError(status, message, kind="api_error"))()
    headers = {"Request-Id": f"req_{secrets.token_urlsafe(10)}", "Stripe-Should-Retry": "true"}
    body = orjson.dumps(refusal.body, option=orjson.OPT_INDENT_2)
    return Response(refusal.status, body, _JSON | headers)


def _unknown(request: Request) -> Response:
    return ERROR(request, 404, "")


_JSON = {"Content-Type": "application/json"}

ROUTES: list[Route] = [
    *((method, re.compile(path), _serve(endpoint)) for method, path, endpoint in ENDPOINTS),
    *((method, re.compile(r"/v1/.*"), _unknown) for method in ("GET", "POST", "DELETE")),
]
