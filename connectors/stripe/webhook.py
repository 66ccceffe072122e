"""Stripe's events: an object as it was, without an order of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

import msgspec

from connectors.webhooks.declare import Received, Scheme, Webhook
from connectors.webhooks.reading import decoder, moment
from connectors.webhooks.schemes import StripeScheme

STREAMS = {
    "payment_intent": "payments",
    "refund": "refunds",
    "payout": "payouts",
    "customer": "accounts",
}


class Refund(msgspec.Struct):
    id: str


class Refunds(msgspec.Struct):
    data: list[Refund] = []


class Object(msgspec.Struct):
    """`refunds` is embedded in a charge by api versions before 2022-11-15."""

    id: str = ""
    object: str = ""
    refunds: Refunds | None = None


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
        changed = _changed(told.data.object)
        if any(stream and not key for stream, key in changed):
            raise ValueError(f"data.object.id of event {told.type} is missing")
        return [
            Received(
                f"{told.id}/{place}" if place else told.id,
                told.type,
                stream,
                key,
                occurred_at=moment(told.created),
                origin=(told.request and told.request.idempotency_key) or "",
            )
            for place, (stream, key) in enumerate(changed)
        ]


def _changed(told: Object) -> list[tuple[str, str]]:
    """Stream and record key of each of our records that an event's object speaks about.

    A charge is no record of ours: its payment has events of its own, and its refunds have with newer
    api versions. Older ones tell of a refund by the charge that embeds it.
    """
    embedded = told.refunds.data if told.refunds else []
    refunds = [("refunds", refund.id) for refund in embedded]
    return refunds or [(STREAMS.get(told.object, ""), told.id)]
