"""What a change at an upstream breaks for those who read us, before anything is deployed.

    upstream member -> mappings -> entity fields -> REST and GraphQL -> operations -> API keys
                                                 -> caches, subscribers

Where a contract demands the member, its records are held in quarantine: everything that they feed
keeps its last value and grows stale. Otherwise the fields that it feeds are empty from then on, or
another system's, where the ownership rules have one to fall back on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from django.db.models import Q
from graphql import DocumentNode, OperationDefinitionNode

from catalog.entities import Reference, entities, related, value_fields
from connectors.contracts import reach
from connectors.contracts.actions import Changes
from connectors.contracts.diff import Severity
from connectors.contracts.reach import Reached
from connectors.drift.breaches import UNKNOWN
from connectors.models import DriftIncident, Subscriber
from connectors.runtime.connector import connector_class
from hub.contract.shown import Shown, in_graphql, in_rest, owners_of
from hub.graphql.documents import checked
from hub.reads import persisted
from hub.usage import report
from hub.usage.uses import Field, fields_of

#: Of the JSON form; raised when a member of it is renamed or goes.
FORM = 1


@dataclass(frozen=True, slots=True)
class Hit:
    """An entity field. `stale`: it keeps its last value; `empty`: it has none from then on.

    `via` is the field that it hangs on, where it is a part that is reached by a broken reference.
    `also_from`: other streams that feed it, as connector/stream.
    """

    entity: str
    field: str
    effect: Literal["stale", "empty"]
    via: str
    also_from: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OperationHit:
    """A document that reads broken fields: trusted by the manifest, or seen in the last 30 days."""

    id: str
    name: str
    known: Literal["trusted", "observed"]
    fields: tuple[str, ...]
    requests: int


@dataclass(frozen=True, slots=True)
class CacheHit:
    """Kept answers that show a broken field: of these tags, as old as the data class allows."""

    data_class: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Impact:
    """All of it. Empty where nothing uses what changes."""

    mappings: tuple[Reached, ...] = ()
    fields: tuple[Hit, ...] = ()
    #: Entity fields of the same records, which are in quarantine with it.
    held_up: tuple[str, ...] = ()
    rest: tuple[Shown, ...] = ()
    graphql: tuple[str, ...] = ()
    operations: tuple[OperationHit, ...] = ()
    keys: tuple[report.KeyTraffic, ...] = ()
    caches: tuple[CacheHit, ...] = ()
    subscribers: tuple[str, ...] = ()

    @property
    def breaks(self) -> bool:
        """Whether anything uses what changes."""
        return bool(self.mappings)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {"form": FORM, "breaks": self.breaks, "days": report.DAYS, **asdict(self)}


def impact_of(system: str, stream: str, member: str) -> Impact:
    """What breaks where a member of a stream's records is renamed, goes, or changes its type.

    `system` is the slug of a connection or a connector. Raises SpecificationError.
    """
    return walked(reach.using(f"{system}/{stream}", member))


def impact_of_incident(incident: DriftIncident) -> Impact:
    """What hangs on the member that departs. Raises SpecificationError."""
    said = incident.details
    if said.get("breach") == UNKNOWN:
        return Impact()  # the contract does not know it, so nobody reads it
    return impact_of(incident.system, incident.stream, said.get("path") or "")


def impact_of_renamings(texts: Iterable[str]) -> Impact:
    """What breaks by renamings, each as `A.b=c`. Raises SpecificationError."""
    return walked([found for text in texts for found in reach.renamed(text)])


def impact_of_changes(changes: Changes) -> Impact:
    """What breaks by the breaking ones of published changes."""
    return walked(
        [
            reach.of_change(connector_class(slug), stream, change)
            for (slug, stream), some in changes.items()
            for change in some
            if change.severity is Severity.BREAKING
        ]
    )


def walked(reached: Sequence[Reached]) -> Impact:
    """All that hangs on the members."""
    mappings = tuple(dict.fromkeys(reached))
    if not mappings:
        return Impact()
    hits = _hits(mappings)
    fields = [(hit.entity, hit.field) for hit in hits]
    held = {name for one in mappings if one.demanded for name in one.whole}
    names = {entity for entity, _ in fields}
    return Impact(
        mappings=mappings,
        fields=tuple(hits),
        held_up=tuple(sorted(held - {".".join(field) for field in fields})),
        rest=tuple(sorted({shown for field in fields for shown in in_rest(field)})),
        graphql=tuple(sorted({shown for field in fields for shown in in_graphql(field)})),
        operations=tuple(_operations(fields)),
        keys=tuple(report.keys_reading(fields)),
        caches=tuple(_caches(fields)),
        subscribers=tuple(_subscribers(names)),
    )


def _hits(mappings: Sequence[Reached]) -> list[Hit]:
    feeding, found = reach.mapped_by(), dict[Field, Hit]()
    for one in mappings:
        # The record's key, its version: every field of it hangs on them.
        fed = [name for name in one.feeds if "." in name] or one.whole
        for name in fed:
            entity, _, field = name.partition(".")
            others = tuple(s for s in feeding[name] if s != f"{one.connector}/{one.stream}")
            hit = Hit(entity, field, "stale" if one.demanded else "empty", "", others)
            found.setdefault((entity, field), hit)
            for owner, part in _parts_by(entity, field):
                found.setdefault((owner, part), Hit(owner, part, hit.effect, name, ()))
    return [found[key] for key in sorted(found)]


def _parts_by(entity: str, name: str) -> Iterable[Field]:
    """The parts that are reached by a reference: without `price.variant` a variant has no prices."""
    cls = entities()[entity]
    field = next((f for f in value_fields(cls) if f.name == name), None)
    if isinstance(field, Reference):
        part = str(field.remote_field.related_name)
        owner = related(cls, name).declaration
        if part in owner.parts:
            yield owner.name, part


def _operations(fields: Sequence[Field]) -> Iterable[OperationHit]:
    wanted = set(fields)
    for identifier, text in sorted(persisted.trusted().items()):
        document = checked(text)
        read = wanted & fields_of(document) if isinstance(document, DocumentNode) else set()
        if read and isinstance(document, DocumentNode):
            named = tuple(sorted(".".join(field) for field in read))
            yield OperationHit(identifier, _name(document), "trusted", named, 0)
    for seen in report.operations_reading(fields):
        yield OperationHit(seen.digest, seen.name, "observed", seen.fields, seen.requests)


def _name(document: DocumentNode) -> str:
    names = [
        d.name.value
        for d in document.definitions
        if isinstance(d, OperationDefinitionNode) and d.name
    ]
    return f"GraphQL {', '.join(names) or '(unnamed)'}"


def _caches(fields: Sequence[Field]) -> Iterable[CacheHit]:
    found: dict[str, dict[str, None]] = {}
    for entity, field in fields:
        tags = found.setdefault(entities()[entity].declaration.class_of(field), {})
        for owner in owners_of(entity):
            tags |= dict.fromkeys((entities()[owner].declaration.plural, f"{owner}:*"))
    return [CacheHit(data_class, tuple(sorted(tags))) for data_class, tags in sorted(found.items())]


def _subscribers(names: set[str]) -> list[str]:
    """Who is told of changes of these entities, and is told no more."""
    told = Subscriber.objects.filter(enabled=True)
    wanted = Q(entities=[]) | Q(entities__overlap=sorted(names))
    return list(told.filter(wanted).order_by("slug").values_list("slug", flat=True))
