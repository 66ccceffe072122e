"""Akeneo's Events API: up to ten events in a delivery, each with the whole record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from connectors.webhooks.declare import Received, Scheme, Webhook
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
    author: str = ""


class Batch(msgspec.Struct):
    events: list[msgspec.Raw]


_batch, _event = msgspec.json.Decoder(Batch).decode, msgspec.json.Decoder(Event).decode
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class AkeneoWebhook(Webhook):
    """Events come in any order; `updated` inside the record, in seconds, tells the newer one."""

    scheme: ClassVar[Scheme] = AkeneoScheme()

    def split(self, body: bytes, headers: Mapping[str, str]) -> Sequence[bytes]:  # noqa: ARG002 (all is in the body)
        """See `Webhook`."""
        return [bytes(event) for event in _batch(body).events]

    def read(self, event: bytes, headers: Mapping[str, str]) -> Sequence[Received]:  # noqa: ARG002 (all is in the body)
        """See `Webhook`."""
        told = _event(event)
        subject, _, verb = told.action.partition(".")
        stream, member = STREAMS.get(subject, ("", ""))
        if not stream:
            return [Received(told.event_id, told.action, occurred_at=told.event_datetime)]
        key = msgspec.json.decode(_keys(told.data.resource).get(member, b"null"))
        if not isinstance(key, str):
            raise ValueError(f"data.resource.{member} is {key!r}, not a key")  # noqa: TRY004 (bad input)
        return [
            Received(
                told.event_id,
                told.action,
                stream,
                key,
                # A removal names the record and no more; asking for it finds it gone.
                None if verb == "removed" else bytes(told.data.resource),
                told.event_datetime,
                origin=told.author,
            )
        ]
