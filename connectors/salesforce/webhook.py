"""Salesforce's Change Data Capture, relayed from its event bus to HTTP with Standard Webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import msgspec

from connectors.salesforce.streams import long_id
from connectors.webhooks.declare import Received, Scheme, Webhook
from connectors.webhooks.schemes import StandardScheme

STREAMS = {"Account": "accounts", "Contact": "contacts", "Review__c": "reviews"}
#: The commit that a gap event names may not be the first that is missing.
BEFORE_A_GAP = timedelta(minutes=5)


class Header(msgspec.Struct, rename="camel"):
    """`ChangeEventHeader` (Change Data Capture Developer Guide, "Change Event Message Structure")."""

    entity_name: str
    change_type: str
    commit_timestamp: int
    transaction_key: str
    sequence_number: int = 1
    record_ids: list[str] = []
    commit_user: str = ""


class Payload(msgspec.Struct):
    ChangeEventHeader: Header


class ChangeEvent(msgspec.Struct):
    payload: Payload


_decode = msgspec.json.Decoder(ChangeEvent).decode


class SalesforceWebhook(Webhook):
    """An event carries the changed fields alone, so the record is fetched.

    A gap event (`GAP_UPDATE`, …) carries none and names its records; an overflow event, past
    100,000 changes in a transaction, names no record: the stream is read again from then on.
    """

    scheme: ClassVar[Scheme] = StandardScheme()
    #: Change events are kept for three days (the same guide, "Considerations").
    retention: ClassVar[timedelta | None] = timedelta(hours=72)

    def read(self, event: bytes, headers: Mapping[str, str]) -> Sequence[Received]:  # noqa: ARG002 (all is in the body)
        """See `Webhook`."""
        header = _decode(event).payload.ChangeEventHeader
        stream = STREAMS.get(header.entity_name, "")
        committed = datetime.fromtimestamp(header.commit_timestamp / 1000, UTC)
        known = f"{header.transaction_key}/{header.sequence_number}"
        kind = f"{header.entity_name}.{header.change_type}"
        ids = [long_id(record) for record in header.record_ids]
        if header.change_type == "GAP_OVERFLOW" or not ids:
            since = committed - BEFORE_A_GAP
            return [Received(known, kind, stream, occurred_at=committed, gap_since=since)]
        return [
            Received(
                f"{known}/{key}",
                kind,
                stream,
                key,
                occurred_at=committed,
                origin=header.commit_user,
            )
            for key in ids
        ]
