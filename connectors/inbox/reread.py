"""Reads a delivery anew that nobody could read when it came: only a replay brings one here."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.db import DataError, connection, transaction

from connectors.inbox.arrive import INSERT, Arrival
from connectors.inbox.events import BOX, Event
from connectors.models import Connection, Message
from connectors.runtime import wake
from connectors.runtime.connector import connector_class
from connectors.webhooks.arrivals import Reader
from observability.errors import ConfigurationError, ContractError

NOTHING_NEW = "read anew: its events are in the inbox already"

# As old as the delivery: what came since is newer.
BACKDATE = "UPDATE connectors_inboxevent SET received_at = %s WHERE id = %s"


def arrivals_of(event: Event) -> list[Arrival]:
    """What the delivery holds, by the code of today. Raises ContractError."""
    row = Connection.objects.get(pk=event.connection_id)
    connector = connector_class(row.connector)
    if connector.webhook is None:
        raise ConfigurationError(
            f"connector {connector.slug} takes no webhooks", connection=row.slug
        )
    reader = Reader.of(connector, connector.webhook)
    try:
        return reader.read_anew(bytes(event.body), json.loads(event.headers))
    except ValueError as error:
        raise ContractError(str(error) or "it cannot be read", connection=row.slug) from error


def put_anew(event: Event, arrivals: Sequence[Arrival]) -> list[int] | None:
    """End the delivery and put its events into the inbox, in one transaction; their ids.

    None: the lease was lost. Raises ContractError for what cannot be stored.
    """
    try:
        with transaction.atomic():
            if not BOX.finish({event.id: event.token}, Message.State.APPLIED):
                return None
            ids = [id_ for arrival in arrivals if (id_ := _insert(event, arrival)) is not None]
            _note(event, ids)
            for bell in (wake.INBOX, wake.UPSTREAM):
                wake.notify(bell)
    except DataError as error:
        raise ContractError(f"it cannot be stored: {error}") from error
    return ids


def _insert(event: Event, arrival: Arrival) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"{INSERT} RETURNING id",
            (
                event.connection_id,
                *arrival.row(),
                event.headers,
                event.correlation_id,
                *arrival.outcome(),
            ),
        )
        found = cursor.fetchone()
        if found is None:
            return None
        cursor.execute(BACKDATE, [event.received_at, found[0]])
    return int(found[0])


def _note(event: Event, ids: Sequence[int]) -> None:
    state, note = Message.State.SUPERSEDED, NOTHING_NEW
    if ids:
        state = Message.State.APPLIED
        note = "read anew: " + ", ".join(f"#{id_}" for id_ in ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE connectors_inboxevent SET state = %s, note = %s WHERE id = %s",
            [state, note, event.id],
        )
