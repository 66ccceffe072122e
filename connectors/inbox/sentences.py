"""A claimed event becomes what its system says: the record in it, validated and mapped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catalog.stage import Contribution, Told, payload_hash, version_of
from connectors.drift.breaches import Broken
from connectors.inbox.events import Event
from connectors.models import Connection
from connectors.runtime.connector import Connector, connector_class
from connectors.runtime.declare import StreamSpec
from connectors.runtime.prepare import Prepared, Preparer
from connectors.webhooks.declare import Received
from observability.errors import ConfigurationError, ContractError


@dataclass(slots=True)
class Said:
    """One event, understood: what its record says, or that it is gone (`contributions` empty)."""

    event: Event
    target: Target
    digest: bytes = b""
    contributions: tuple[Contribution, ...] = ()
    #: {record key: version} of a record whose nested records are withdrawn where it lacks them.
    parents: Mapping[str, int] | None = None
    #: Another event of the same record and version says otherwise.
    unordered: bool = False
    #: Where it is to be reported: what was tolerated in it, or noticed.
    prepared: Prepared | None = None

    @property
    def moment(self) -> datetime:
        """When it was true: the time of the question, or of the event."""
        return self.event.asked_at or self.event.received_at

    @property
    def version(self) -> int:
        """By the source's own ordering; what is gone is as new as the question."""
        if self.contributions:
            return self.contributions[0].version
        return version_of(self.moment)

    @property
    def place(self) -> tuple[int, str]:
        """(source, record key): whose order is kept."""
        return self.target.preparer.source, self.event.record_key


class DepartureError(ContractError):
    """The record of an event departs from its contract, and is not to be applied."""

    def __init__(self, message: str, broken: Broken, **more: Any) -> None:
        super().__init__(message, **more)
        self.broken = broken


class Target:
    """The stream of a connection that events speak about."""

    def __init__(self, connection: Connection, stream: str) -> None:
        self.system = connection.slug
        self.connector: type[Connector] = connector_class(connection.connector)
        self.spec: StreamSpec = self.connector.stream(stream)
        self.preparer = Preparer(self.system, self.spec)

    def read(self, event: Event) -> Said:
        """What an event says. Raises ContractError that names the member, and what a defect raises."""
        if event.gone:
            return Said(event, self)
        record = self._record(event)
        digest = payload_hash(record)
        moment = event.asked_at or event.received_at
        prepared = Prepared([event.record_key])
        told = Told(moment, event.correlation_id, event_id=event.id)
        said = self.preparer.judged(
            event.record_key, record, digest, version_of(moment), prepared, known=True, told=told
        )
        if self.preparer.watch.due():
            aliases = self.preparer.rules().aliases
            prepared.look = self.preparer.watch.look([(event.record_key, record)], aliases)
        if said is None:
            raise self._breach(event, prepared.broken[0])
        departs = bool(prepared.tolerated or (prepared.look and prepared.look.differs))
        return Said(
            event,
            self,
            digest,
            tuple(said),
            prepared.parents,
            prepared=prepared if departs else None,
        )

    def _record(self, event: Event) -> bytes:
        if event.record is not None:
            return event.record
        for received in self.received(event):
            if received.event_id == event.event_id and received.payload is not None:
                return received.payload
        raise self._unreadable(event, "the event holds no record, and none was fetched")

    def received(self, event: Event) -> list[Received]:
        """The event read again, by the code of today. Raises ContractError."""
        webhook = self.connector.webhook
        if webhook is None:
            raise ConfigurationError(
                f"connector {self.connector.slug} takes no webhooks", connection=self.system
            )
        try:
            return list(webhook.read(event.body, json.loads(event.headers)))
        except ValueError as error:
            raise self._unreadable(event, str(error)) from error

    def _unreadable(self, event: Event, reason: str) -> ContractError:
        return ContractError(
            reason, connection=self.system, stream=self.spec.slug, record=event.record_key
        )

    def _breach(self, event: Event, broken: Broken) -> ContractError:
        path, reason = broken.path, broken.reason
        return DepartureError(
            f"{path}: {reason}" if path else reason,
            broken,
            connection=self.system,
            stream=self.spec.slug,
            record=event.record_key,
            path=path or None,
        )


class Targets:
    """The streams by connection and slug, each looked up once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], Target] = {}
        self._connections: dict[int, Connection] = {}

    def of(self, event: Event) -> Target:
        """Raises ConfigurationError where the connector declares no such stream."""
        place = (event.connection_id, event.stream)
        if place not in self._known:
            self._known[place] = Target(self._connection(event.connection_id), event.stream)
        return self._known[place]

    def _connection(self, pk: int) -> Any:
        if pk not in self._connections:
            self._connections[pk] = Connection.objects.get(pk=pk)
        return self._connections[pk]
