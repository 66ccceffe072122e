"""Akeneo's Events API: up to ten events in a delivery, each with the whole record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from connectors.webhooks.declare import Received, Scheme, Webhook
from connectors.webhooks.reading import decoder
from connectors.webhooks.schemes import AkeneoScheme

#: Subject of the action: the stream, and the member that holds the record key.
STREAMS = {"product": ("variants", "identifier"), "product_model": ("products", "code")}


class Data(msgspec.Struct):
    resource: msgspec.Raw


class Event(msgspec.Struct):
    """Akeneo, Events API, "Events format"."""

    action: str
    event_id: str
    data: Data
    event_datetime: datetime | None = None
    author: str | None = None


class Named(msgspec.Struct):
    """What identifies a resource; a product that is known by its UUID alone has neither."""

    identifier: str | None = None
    code: str | None = None


class Batch(msgspec.Struct):
    events: list[msgspec.Raw]


_batch, _event, _named = decoder(Batch), decoder(Event), decoder(Named)


class AkeneoWebhook(Webhook):
    """Events come in any order; `updated` inside the record, in seconds, tells the newer one.

    Two changes within a second are equally new by it; which one holds, only a fetch can tell.
    """

    scheme: ClassVar[Scheme] = AkeneoScheme()

    def split(self, body: bytes, headers: Mapping[str, str]) -> Sequence[bytes]:  # noqa: ARG002 (all is in the body)
        """See `Webhook`."""
        return [bytes(event) for event in _batch(body).events]

    def read(self, event: bytes, headers: Mapping[str, str]) -> Sequence[Received]:  # noqa: ARG002 (all is in the body)
        """See `Webhook`."""
        told = _event(event)
        origin = told.author or ""
        subject, _, verb = told.action.partition(".")
        stream, member = STREAMS.get(subject, ("", ""))
        if not stream:
            return [
                Received(told.event_id, told.action, occurred_at=told.event_datetime, origin=origin)
            ]
        key: str | None = getattr(_named(told.data.resource), member)
        if not key:
            raise ValueError(f"data.resource.{member} of event {told.action} is {key!r}, not a key")
        # A removal names the record and no more; asking for it finds it gone.
        payload = None if verb == "removed" else bytes(told.data.resource)
        return [
            Received(
                told.event_id,
                told.action,
                stream,
                key,
                payload,
                told.event_datetime,
                origin=origin,
            )
        ]
