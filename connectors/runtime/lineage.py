"""From an entity field back to the member of the upstream's own record that fed it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from catalog import masking
from connectors.models import Connection
from connectors.runtime.connector import Connector, connector_class
from connectors.runtime.declare import Child, StreamSpec, source
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


def open_members(connector: str, stream: str, entity: str = "") -> frozenset[str] | None:
    """Members of a stream's payloads that anybody may see; None: nothing in it concerns people.

    Those that feed public fields, and those by which a record is named and ordered. In a stream that
    concerns people any other member may hold personal data, mapped or not. Without a stream
    (a delivery that could not be read): what is so in every stream of the connector.
    """
    try:
        found = connector_class(connector)
    except ConfigurationError:
        return frozenset() if masking.concerns_people(entity) else None
    return _open_members(found, stream, entity)


@lru_cache(maxsize=512)
def _open_members(connector: type[Connector], stream: str, entity: str) -> frozenset[str] | None:
    told = [
        spec
        for spec in connector.streams
        if stream in ("", spec.slug, *(child.slug for child in spec.children))
    ]
    if not told:
        return frozenset() if masking.concerns_people(entity) else None
    parts = [(spec, part, at) for spec in told for part, at in _parts(spec)]
    if not any(masking.concerns_people(part.entity) for _, part, _ in parts):
        return None
    if not stream:
        return frozenset()
    opened, closed = set[str](), set[str]()
    for spec, part, at in parts:
        for name, how in part.fields.items():
            found = {at + path for path in source(how).paths}
            (closed if masking.is_personal(part.entity, name) else opened).update(found)
        if part is spec:
            opened.update((*spec.record_key, *spec.keeps))
            opened.update(spec.version.paths if spec.version else ())
        # A child's own source record begins with the child.
        elif part.slug == stream:
            for name, how in part.fields.items():
                mine = closed if masking.is_personal(part.entity, name) else opened
                mine.update(source(how).paths)
    return frozenset(opened - closed)


def _parts(spec: StreamSpec) -> Iterator[tuple[StreamSpec | Child, str]]:
    """The stream and its children, each with what stands before its members."""
    yield spec, ""
    for child in spec.children:
        yield child, f"{child.path}."


def open_to_all(system: str, stream: str, entity: str) -> frozenset[str] | None:
    """The same by the slug of a connection, for the floor below (`catalog.masking`)."""
    row = Connection.objects.filter(slug=system).only("connector").first()
    return open_members(row.connector if row else "", stream, entity)


def _dig(document: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(document, list):
            document = document[int(step)] if step.isdigit() and int(step) < len(document) else None
        elif isinstance(document, dict):
            document = document.get(step)
        else:
            return None
    return document
