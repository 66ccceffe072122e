"""From an entity field back to the member of the upstream's own record that fed it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from connectors.models import Connection
from connectors.runtime.connector import connector_class
from connectors.runtime.declare import Child, StreamSpec
from observability.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class RawMember:
    """One member of a raw payload: dotted path in the vendor's spelling, and what stands there."""

    path: str
    value: Any


def speaker(system: str, stream: str, entity: str) -> StreamSpec | Child | None:
    """The declaration behind a source; None when its connection or connector is gone."""
    row = Connection.objects.filter(slug=system).only("connector").first()
    return None if row is None else declared_in(row.connector, stream, entity)


def declared_in(connector: str, stream: str, entity: str) -> StreamSpec | Child | None:
    """The declaration of a stream or child in a connector; None when there is none any more."""
    try:
        specs = connector_class(connector).streams
    except ConfigurationError:
        return None
    for spec in specs:
        parts: tuple[StreamSpec | Child, ...] = (spec, *spec.children)
        for declared in parts:
            if declared.slug == stream and declared.entity == entity:
                return declared
    return None


def raw_members(system: str, stream: str, entity: str, field: str, payload: str) -> list[RawMember]:
    """The members of `payload` (JSON text) that feed an entity field; empty where unknown."""
    declared = speaker(system, stream, entity)
    return [] if declared is None else members_of(declared, field, payload)


def members_of(declared: StreamSpec | Child, field: str, payload: str) -> list[RawMember]:
    """The same, for a declaration at hand."""
    document = json.loads(payload)
    return [RawMember(path, _dig(document, path)) for path in declared.upstream_paths(field)]


def _dig(document: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(document, list):
            document = document[int(step)] if step.isdigit() and int(step) < len(document) else None
        elif isinstance(document, dict):
            document = document.get(step)
        else:
            return None
    return document
