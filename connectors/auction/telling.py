"""What was decided, as contributions of the system `headwater` to the catalogue.

They are staged in the transaction of the decision, so that no bid stands that the catalogue lacks,
and every value of a lot has a source record, as if an upstream had said it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction

from catalog.merge import Cause
from catalog.source import source_id
from catalog.stage import Contribution, Told, apply_contributions, payload_hash
from connectors.models import AuctionBid, AuctionLot
from connectors.runtime import wake
from observability.freshness import advance, promise

SYSTEM = "headwater"
ENTITIES = {"lots": "lot", "bids": "bid"}
CONTRACT = "auction.1"
#: What we decide ourselves does not age.
ALWAYS_SECONDS = 2_000_000_000

#: Our own sources, those that were registered.
KNOWN = f"SELECT stream, id FROM catalog_source WHERE system = '{SYSTEM}'"  # noqa: S608 (our own)

_ENCODE = msgspec.json.Encoder(decimal_format="string").encode


def tell(
    lot: AuctionLot,
    bids: Sequence[AuctionBid],
    at: datetime,
    known: Mapping[str, int],
    correlation_id: str,
) -> None:
    """Stage and merge a lot's standing and the bids that changed, in the caller's transaction.

    `known` is what `KNOWN` came to.
    """
    sources = _sources(known, at)
    said = [_sentence(sources["lots"], lot.lot, _lot(lot), lot.version, Told(at, correlation_id))]
    said += [
        _sentence(sources["bids"], bid.key, _bid(bid), lot.version, Told(at, bid.correlation_id))
        for bid in bids
    ]
    apply_contributions(
        said, Cause(correlation_id=correlation_id), entities=[*ENTITIES.values()], contract=CONTRACT
    )
    transaction.on_commit(wake.CHANGES.ring)


def _sentence(
    source: int, key: str, fields: dict[str, Any], version: int, told: Told
) -> Contribution:
    payload = _ENCODE({"key": key, "version": version, **fields})
    return Contribution(
        source_id=source,
        record_key=key,
        entity_key=key,
        payload=payload,
        payload_hash=payload_hash(payload),
        fields=fields,
        version=version,
        changed_at=told.observed_at,
        told=told,
    )


def _lot(lot: AuctionLot) -> dict[str, Any]:
    said = {
        "current_price": lot.price,
        "leading_bidder": lot.leader or None,
        "bid_count": lot.accepted,
        # Until a lot is closed, its upstream says what state it is in.
        "status": lot.outcome or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _bid(bid: AuctionBid) -> dict[str, Any]:
    said = {
        "lot": bid.lot,
        "sequence": bid.sequence,
        "bidder": bid.bidder,
        "amount": bid.amount,
        "currency": bid.currency,
        "placed_at": bid.entered_at,
        "status": bid.state,
        "reason": (bid.problem or {}).get("code"),
    }
    return {name: value for name, value in said.items() if value is not None}


def _sources(known: Mapping[str, int], at: datetime) -> Mapping[str, int]:
    """The ids of our own sources, registered on first use."""
    if ENTITIES.keys() <= known.keys():
        return known
    found: dict[str, int] = {}
    for stream, entity in ENTITIES.items():
        found[stream] = source_id(SYSTEM, stream, entity)
        promise(SYSTEM, stream, ALWAYS_SECONDS)
        advance(SYSTEM, stream, at)
    return found
