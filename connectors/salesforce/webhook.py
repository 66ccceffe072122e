"""Salesforce's Change Data Capture, relayed from its event bus to HTTP with Standard Webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

import msgspec

from connectors.salesforce.streams import long_id
from connectors.webhooks.declare import Received, Scheme, Webhook
from connectors.webhooks.reading import decoder, moment
from connectors.webhooks.schemes import StandardScheme

STREAMS = {
    "Account": "accounts",
    "Contact": "contacts",
    "Order": "orders",
    "Review__c": "reviews",
    "Auction_Lot__c": "lots",
}
OVERFLOW = "GAP_OVERFLOW"
#: The commit that an overflow names is the transaction's, whose records were stamped before it.
BEFORE_A_GAP = timedelta(minutes=5)


class Header(msgspec.Struct, rename="camel"):
    """`ChangeEventHeader` (Change Data Capture Developer Guide, "ChangeEventHeader Fields")."""

    entity_name: str
    change_type: str
    commit_timestamp: int
    transaction_key: str
    sequence_number: int = 1
    record_ids: list[str] = []
    change_origin: str | None = None


class Payload(msgspec.Struct):
    ChangeEventHeader: Header


class ChangeEvent(msgspec.Struct):
    payload: Payload


_event = decoder(ChangeEvent)


class SalesforceWebhook(Webhook):
    """An event carries the changed fields alone, so the record is fetched.

    The same guide on what else there is: a gap event (`GAP_UPDATE`, …) carries no fields and names
    its records, which are fetched as for any other. An overflow event, for what is past 100,000
    changes in a transaction, names none, and neither does the change of a field's type, which
    says `001*`: there the whole stream is read again from then on.
    """

    scheme: ClassVar[Scheme] = StandardScheme()
    #: For so long the event bus can be asked for past events ("Change Event Storage and Delivery").
    retention: ClassVar[timedelta | None] = timedelta(hours=72)

    def read(self, event: bytes, headers: Mapping[str, str]) -> Sequence[Received]:  # noqa: ARG002 (all is in the body)
        """See `Webhook`."""
        header = _event(event).payload.ChangeEventHeader
        stream = STREAMS.get(header.entity_name, "")
        committed = moment(header.commit_timestamp, 1000)
        kind = f"{header.entity_name}.{header.change_type}"
        # Events of a transaction may share a number: overflow has one for each object.
        known = f"{header.transaction_key}/{header.sequence_number}/{kind}"
        # `com/salesforce/api/rest/60.0;client=…`, where the caller named itself.
        origin = (header.change_origin or "").partition(";client=")[2]
        ids = dict.fromkeys(long_id(record) for record in header.record_ids)
        if "" in ids:
            raise ValueError(f"recordIds of event {known} hold an empty id")
        if header.change_type == OVERFLOW or not ids or any("*" in key for key in ids):
            since = committed - BEFORE_A_GAP
            return [
                Received(known, kind, stream, occurred_at=committed, gap_since=since, origin=origin)
            ]
        return [
            Received(f"{known}/{key}", kind, stream, key, occurred_at=committed, origin=origin)
            for key in ids
        ]
