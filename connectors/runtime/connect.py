"""Connects a system: its connection, its streams as declared, and their freshness objectives."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from catalog.source import source_id
from connectors.models import Connection, Stream
from connectors.models.connection import no_password
from connectors.runtime.connector import connector_class
from observability.errors import ConfigurationError


@transaction.atomic
def connect(
    slug: str,
    connector: str,
    base_url: str,
    values: dict[str, Any],
    *,
    name: str = "",
    requests_per_second: float | None = None,
) -> Connection:
    """Create or update a connection and the streams that its connector declares.

    `values` are the members of the connector's Settings, secrets among them. A stream that
    exists keeps what an operator has set. Raises ConfigurationError.
    """
    cls = connector_class(connector)
    try:
        no_password(base_url)
    except ValidationError as error:
        raise ConfigurationError(error.messages[0], connection=slug) from error
    row, _ = Connection.objects.get_or_create(
        slug=slug,
        defaults={
            "connector": connector,
            "name": name or cls.label,
            "requests_per_second": requests_per_second,
            "base_url": base_url,
        },
    )
    row.base_url = base_url
    row.configure(values)
    row.save()
    add_streams(row)
    return row


def add_streams(row: Connection) -> None:
    """Give a connection a row for each stream that its connector declares and it lacks."""
    for spec in connector_class(row.connector).streams:
        Stream.objects.get_or_create(
            connection=row,
            slug=spec.slug,
            defaults={
                "interval_seconds": int(spec.interval.total_seconds()),
                "objective_seconds": int(spec.objective.total_seconds()),
                "lookback_seconds": int(spec.lookback.total_seconds()),
            },
        )
        for declared in (spec, *spec.children):
            source_id(row.slug, declared.slug, declared.entity)
