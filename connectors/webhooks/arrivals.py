"""From a delivery to the rows of the inbox. What nobody can read is kept, as a dead letter."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from connectors.inbox.arrive import Arrival
from connectors.runtime.connector import Connector
from connectors.webhooks.declare import Received, Webhook
from connectors.webhooks.reading import plausible

#: Bytes of an id or a key. PostgreSQL refuses to index much longer ones, and would go on doing so.
LONGEST_NAME = 1000


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads what one kind of upstream sends."""

    webhook: Webhook
    #: Streams whose records have an order of their own, so that an event may carry them.
    ordered: frozenset[str]
    streams: frozenset[str]

    @classmethod
    def of(cls, connector: type[Connector], webhook: Webhook) -> Reader:
        """The reader of a connector that takes webhooks."""
        specs = connector.streams
        return cls(
            webhook,
            frozenset(s.slug for s in specs if s.version is not None),
            frozenset(s.slug for s in specs),
        )

    def read(self, body: bytes, headers: Mapping[str, str]) -> list[Arrival]:
        """The events of a delivery. One that nobody can read does the others no harm."""
        try:
            events = self.webhook.split(body, headers)
        except ValueError as error:
            return [unread(body, str(error))]
        arrivals = []
        for event in events:
            try:
                arrivals += self._event(event, headers)
            except ValueError as error:
                arrivals.append(unread(event, str(error)))
        return arrivals

    def read_anew(self, body: bytes, headers: Mapping[str, str]) -> list[Arrival]:
        """What was kept as unread, by the code of today. Raises ValueError: nobody can read it yet.

        It is one event, or a whole delivery that could not be taken apart.
        """
        try:
            return self._event(body, headers)
        except ValueError:
            events = list(self.webhook.split(body, headers))
            if events == [body]:
                raise
        return self.read(body, headers)

    def _event(self, event: bytes, headers: Mapping[str, str]) -> list[Arrival]:
        return [self._arrival(event, told) for told in self.webhook.read(event, headers)]

    def _arrival(self, event: bytes, received: Received) -> Arrival:
        stream = received.stream if received.stream in self.streams else ""
        for name in (received.event_id, received.record_key):
            if len(name.encode()) > LONGEST_NAME:
                raise ValueError(f"an id of {len(name.encode())} bytes: {name[:60]}…")
        if not received.event_id:
            # All events without one would be taken for the same.
            raise ValueError("the event has no id")
        return Arrival(
            event_id=received.event_id.replace("\x00", ""),
            body=bytes(event),
            kind=received.kind.replace("\x00", ""),
            stream=stream,
            record_key=received.record_key.replace("\x00", ""),
            key_only=received.payload is None or stream not in self.ordered,
            sequence=received.sequence,
            occurred_at=received.occurred_at and plausible(received.occurred_at),
            gap_since=received.gap_since,
            origin=received.origin.replace("\x00", ""),
        )


def unread(event: bytes, reason: str) -> Arrival:
    """An event as a dead letter, known by its content: its own id is not to be had."""
    digest = hashlib.blake2b(event, digest_size=16).hexdigest()
    # PostgreSQL's texts hold no NUL, and the reason quotes what the event says.
    reason = reason.replace("\x00", "") or "it cannot be read"
    return Arrival(f"unread-{digest}", bytes(event), unread=reason)
