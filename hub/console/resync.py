"""From entity rows back to the source records that speak about them, to fetch those again."""

from __future__ import annotations

from collections.abc import Iterable

from catalog.entities import Entity
from catalog.source import SourceRecord
from connectors.models import Stream, SyncRun
from connectors.runtime import queue
from observability.errors import ConfigurationError


def resync(rows: Iterable[Entity], asked_by: str) -> list[SyncRun]:
    """Ask for one run for each source record of the rows (of one entity); each only once."""
    chosen = list(rows)
    if not chosen:
        return []
    records = SourceRecord.objects.filter(
        source__entity=chosen[0].declaration.name, entity_key__in=[row.key for row in chosen]
    ).values_list("source__system", "source__stream", "record_key")
    streams = list(Stream.objects.select_related("connection"))
    wanted = dict.fromkeys(
        place
        for system, stream, key in records
        if (place := _fetched_by(streams, system, stream, key)) is not None
    )
    return [
        queue.ask(stream, SyncRun.Kind.RECORD, asked_by=asked_by, record_key=key)
        for stream, key in wanted
    ]


def _fetched_by(
    streams: list[Stream], system: str, slug: str, key: str
) -> tuple[Stream, str] | None:
    """The stream that fetches a record, and by which key: a child comes with its parent."""
    for stream in streams:
        if stream.connection.slug != system:
            continue
        if stream.slug == slug:
            return stream, key
        try:
            children = stream.spec.children
        except ConfigurationError:
            continue
        if any(child.slug == slug for child in children):
            return stream, key.rpartition("/")[0]
    return None
