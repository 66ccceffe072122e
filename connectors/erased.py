"""What arrives about an erased person is kept nowhere on this floor either."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from catalog import suppression
from connectors.drift.breaches import Broken
from connectors.models import InboxEvent, Stream

NOTE = "about an erased person"


def forget(events: Iterable[int], **_signal: Any) -> None:
    """Empty the events that told of one; in the transaction that applies them."""
    InboxEvent.objects.filter(pk__in=list(events)).update(
        body=b"{}", record=None, headers={}, note=NOTE
    )


def held(stream: Stream, broken: Iterable[Broken]) -> Sequence[Broken]:
    """Without records that an erasure found: what breaks its contract does not reach the catalogue."""
    records = list(broken)
    if not records or not suppression.guarded_door():
        return records
    place = suppression.place(stream.connection.slug, stream.slug)
    gone = suppression.suppressed(place, {one.record_key for one in records})
    return [one for one in records if one.record_key not in gone]


def take_part() -> None:
    """Listen to the catalogue's door."""
    suppression.dropped.connect(forget, dispatch_uid="erased")
