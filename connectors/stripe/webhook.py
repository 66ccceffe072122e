"""Stripe's events: an object as it was, without an order of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

import msgspec

from connectors.webhooks.declare import Received, Scheme, Webhook
from connectors.webhooks.reading import decoder, moment
from connectors.webhooks.schemes import StripeScheme

STREAMS = {"payment_intent": "payments", "customer": "accounts"}


class Object(msgspec.Struct):
    id: str = ""
    object: str = ""


class Data(msgspec.Struct):
    object: Object


class Cause(msgspec.Struct):
    idempotency_key: str | None = None


class Event(msgspec.Struct):
    """Stripe API reference, "The Event object"."""

    id: str
    type: str
    created: int
    data: Data
    request: Cause | None = None


_event = decoder(Event)


class StripeWebhook(Webhook):
    """Events come in any order and objects carry no version, so the object is fetched again."""

    scheme: ClassVar[Scheme] = StripeScheme()
    #: Stripe, "Webhook event delivery behaviors": delivery is tried for up to three days.
    retention: ClassVar[timedelta | None] = timedelta(days=3)

    def read(self, event: bytes, headers: Mapping[str, str]) -> Sequence[Received]:  # noqa: ARG002 (all is in the body)
        """See `Webhook`."""
        told = _event(event)
        stream = STREAMS.get(told.data.object.object, "")
        if stream and not told.data.object.id:
            raise ValueError(f"data.object.id of event {told.type} is missing")
        return [
            Received(
                told.id,
                told.type,
                stream,
                told.data.object.id,
                occurred_at=moment(told.created),
                origin=(told.request and told.request.idempotency_key) or "",
            )
        ]
