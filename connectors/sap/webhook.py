"""SAP S/4HANA's business events: CloudEvents that carry keys only, over a Standard Webhooks relay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from connectors.webhooks.declare import Received, Scheme, Webhook
from connectors.webhooks.schemes import StandardScheme

#: Object of the event's type: the stream, and the member of `data` that holds its record key.
STREAMS = {
    "Product": ("products", "Product"),
    "BusinessPartner": ("customers", "BusinessPartner"),
    "SalesOrder": ("orders", "SalesOrder"),
    "SlsPrcgConditionRecord": ("prices", "ConditionRecord"),
    "MaterialStock": ("stock", "Material"),
}


class CloudEvent(msgspec.Struct):
    """CloudEvents 1.0, in its JSON format."""

    id: str
    type: str
    time: datetime | None = None
    data: dict[str, Any] = {}


_decode = msgspec.json.Decoder(CloudEvent).decode


class SapWebhook(Webhook):
    """`sap.s4.beh.product.v1.Product.Changed.v1` says that a record changed; it has to be fetched."""

    scheme: ClassVar[Scheme] = StandardScheme()

    def read(self, event: bytes, headers: Mapping[str, str]) -> Sequence[Received]:  # noqa: ARG002 (all is in the body)
        """See `Webhook`."""
        told = _decode(event)
        # sap.s4.beh.<name>.v1.<Object>.<Action>.v1
        steps = told.type.split(".")
        stream, member = STREAMS.get(steps[-3] if len(steps) > 3 else "", ("", ""))
        key = told.data.get(member) if member else None
        if stream and not isinstance(key, str):
            raise ValueError(f"data.{member} of event {told.type} is {key!r}, not a key")
        return [Received(told.id, told.type, stream, key or "", occurred_at=told.time)]
