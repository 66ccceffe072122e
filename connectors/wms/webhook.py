"""The warehouse's events: the new level, numbered without gaps, by Standard Webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from connectors.webhooks.declare import Received, Scheme, Webhook
from connectors.webhooks.reading import decoder
from connectors.webhooks.schemes import StandardScheme


class Place(msgspec.Struct):
    sku: str
    warehouse: str


class Event(msgspec.Struct):
    type: str
    timestamp: datetime
    data: msgspec.Raw
    sequence: int | None = None


_event, _place = decoder(Event), decoder(Place)


class WmsWebhook(Webhook):
    """`stock.changed` carries the whole level, as the list of levels has it."""

    scheme: ClassVar[Scheme] = StandardScheme()
    headers: ClassVar[tuple[str, ...]] = ("webhook-id",)

    def read(self, event: bytes, headers: Mapping[str, str]) -> Sequence[Received]:
        """See `Webhook`."""
        told = _event(event)
        identifier = headers.get("webhook-id", "")
        if not identifier:
            raise ValueError("header webhook-id, by which a repetition is known, is missing")
        if told.type != "stock.changed":
            return [
                Received(identifier, told.type, occurred_at=told.timestamp, sequence=told.sequence)
            ]
        place = _place(told.data)
        if not place.sku or not place.warehouse or "/" in place.warehouse:
            raise ValueError(f"data.sku {place.sku!r}, data.warehouse {place.warehouse!r}: no key")
        return [
            Received(
                identifier,
                told.type,
                "stock",
                f"{place.warehouse}/{place.sku}",
                bytes(told.data),
                told.timestamp,
                told.sequence,
            )
        ]
