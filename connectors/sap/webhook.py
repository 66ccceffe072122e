"""SAP S/4HANA's business events: CloudEvents that carry keys only, over a Standard Webhooks relay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from connectors.runtime.declare import StreamSpec
from connectors.sap import streams
from connectors.webhooks.declare import Received, Scheme, Webhook
from connectors.webhooks.reading import decoder
from connectors.webhooks.schemes import StandardScheme

#: Object of the event's type: the stream. `data` holds the members of its record key.
STREAMS: Mapping[str, StreamSpec] = {
    "Product": streams.PRODUCTS,
    "BusinessPartner": streams.CUSTOMERS,
    "SalesOrder": streams.ORDERS,
    # One condition record has its validity in another entity set; ours is keyed by it alone.
    "SlsPrcgConditionRecord": streams.PRICES,
    # No event of S/4HANA's own: a relay makes it of material documents, for material and plant.
    "MaterialStock": streams.STOCK,
}


class CloudEvent(msgspec.Struct):
    """CloudEvents 1.0, in its JSON format."""

    id: str
    type: str
    time: datetime | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")


_event, _members = decoder(CloudEvent), decoder(dict[str, object])


class SapWebhook(Webhook):
    """`sap.s4.beh.product.v1.Product.Changed.v1` says that a record changed; it has to be fetched."""

    scheme: ClassVar[Scheme] = StandardScheme()

    def read(self, event: bytes, headers: Mapping[str, str]) -> Sequence[Received]:  # noqa: ARG002 (all is in the body)
        """See `Webhook`."""
        told = _event(event)
        # sap.s4.beh.<name>.v1.<Object>.<Action>.v1
        steps = told.type.rsplit(".", 3)
        spec = STREAMS.get(steps[1]) if len(steps) == 4 else None
        if spec is None:
            return [Received(told.id, told.type, occurred_at=told.time)]
        key = _key(spec, _members(told.data), told.type)
        return [Received(told.id, told.type, spec.slug, key, occurred_at=told.time)]


def _key(spec: StreamSpec, data: Mapping[str, object], kind: str) -> str:
    values = []
    for member in spec.record_key:
        value = data.get(member)
        if not isinstance(value, str) or not value:
            raise ValueError(f"data.{member} of event {kind} is {value!r}, not a key")
        values.append(value)
    return "/".join(values)
