"""What is configured. Each function says how many statements it takes; none asks an upstream."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from django.urls import reverse

from catalog.entities import entities
from catalog.ownership import OwnershipRule
from catalog.sizes import Size, entity_sizes
from connectors.admin.streams import declared
from connectors.commands.declare import Write, operations
from connectors.models import Connection, Stream, Subscriber
from connectors.runtime.connector import Connector, installed
from connectors.runtime.declare import StreamSpec
from hub.console.flows.graph import MOST, Consumer, Inflow, Node, Outflow, System
from observability.display import Tone, duration
from observability.incidents import Incident
from observability.judging import Standing, standings

UNKNOWN = "connector is not installed"
#: Source records by (system, stream).
Sizes = Mapping[tuple[str, str], Size]


def systems(times: Mapping[str, int], sizes: Sizes) -> list[System]:
    """Every connection with its streams; `times` is {operation: commands}. Four statements."""
    troubled, known = _troubles(), standings()
    found = {row.pk: _system(row, troubled) for row in Connection.objects.order_by("slug")[:MOST]}
    streams = Stream.objects.filter(connection__in=found).select_related("connection")
    for stream in streams.order_by("connection__slug", "slug"):
        place = stream.connection.slug, stream.slug
        inflow = _inflow(stream, known.get(place), sizes.get(place), troubled)
        found[stream.connection_id].inflows.append(inflow)
    for system in found.values():
        cls = installed().get(system.connection.connector)
        system.outflows = _outflows(cls, times) if cls else []
    return list(found.values())


def nodes() -> list[Node]:
    """Every entity with its rules. Two statements."""
    rules: defaultdict[str, list[OwnershipRule]] = defaultdict(list)
    for rule in OwnershipRule.objects.order_by("entity", "field", "pk"):
        rules[rule.entity].append(rule)
    sizes = entity_sizes()
    return [
        Node(
            name,
            str(cls._meta.verbose_name_plural),
            sizes[name],
            tuple(dict.fromkeys(rule.owner for rule in rules[name])),
            tuple(rules[name]),
            cls.declaration.data_class,
        )
        for name, cls in entities().items()
    ]


def subscribers() -> list[Consumer]:
    """Every endpoint that is told of changes. One statement."""
    return [_subscriber(row) for row in Subscriber.objects.order_by("slug")]


def how(stream: Stream, spec: StreamSpec | None) -> str:
    """The sync mechanism in words: `webhooks; what changed every 1 min; compared every 1 d`."""
    cls = installed().get(stream.connection.connector)
    if spec is None or cls is None:
        return UNKNOWN
    every = duration(stream.interval_seconds)
    said = ["webhooks"] if cls.webhook is not None else []
    said.append(f"what changed every {every}" if spec.incremental else f"all of it every {every}")
    if stream.reconcile_every_seconds:
        said.append(f"compared every {duration(stream.reconcile_every_seconds)}")
    return "; ".join(said)


def _troubles() -> dict[tuple[str, str], Incident]:
    """The first open incident of each (system, stream); one statement."""
    found: dict[tuple[str, str], Incident] = {}
    for row in Incident.objects.filter(resolved_at=None, part_of=None).order_by("id")[:500]:
        found.setdefault((row.system, row.stream), row)
    return found


def _system(row: Connection, troubled: Mapping[tuple[str, str], Incident]) -> System:
    cls = installed().get(row.connector)
    trouble = troubled.get((row.slug, ""))
    tone, state = Tone.GOOD, "connected"
    if cls is None:
        tone, state = Tone.BAD, UNKNOWN
    elif not row.enabled:
        tone, state = Tone.QUIET, "switched off"
    elif trouble is not None:
        tone, state = Tone.BAD, trouble.title
    return System(row, cls.label if cls else row.connector, tone, state)


def _inflow(
    stream: Stream,
    standing: Standing | None,
    size: Size | None,
    troubled: Mapping[tuple[str, str], Incident],
) -> Inflow:
    spec = declared(stream)
    fed = (spec.entity, *(child.entity for child in spec.children)) if spec else ()
    lag = standing.freshness.lag_seconds if standing else None
    trouble = troubled.get((stream.connection.slug, stream.slug))
    verdict = standing.verdict() if standing else None
    tone, state = Tone.GOOD, "in time"
    if spec is None:
        tone, state = Tone.BAD, UNKNOWN
    elif not stream.enabled:
        tone, state = Tone.QUIET, "switched off"
    elif stream.stopped_at is not None:
        tone, state = Tone.BAD, f"stopped: {stream.stopped_because}"
    elif trouble is not None:
        tone, state = Tone.BAD, trouble.title
    elif lag is None:
        tone, state = Tone.QUIET, "never read"
    elif verdict is None:
        tone, state = Tone.QUIET, "not judged lately"
    elif verdict.maintenance:
        tone, state = Tone.QUIET, "in maintenance"
    elif verdict.late:
        tone, state = Tone.BAD, "late"
    entity_names = tuple(dict.fromkeys(fed))
    return Inflow(stream, spec, entity_names, how(stream, spec), lag, size, tone, state)


def _outflows(cls: type[Connector], times: Mapping[str, int]) -> list[Outflow]:
    used: defaultdict[str, list[str]] = defaultdict(list)
    for operation in operations().values():
        for step in operation.steps:
            if isinstance(step, Write) and operation.slug not in used[step.capability]:
                used[step.capability].append(operation.slug)
    return [
        Outflow(
            one.slug,
            cls.stream(one.stream).entity,
            tuple(used[one.slug]),
            sum(times.get(slug, 0) for slug in used[one.slug]),
        )
        for one in cls.capabilities
    ]


def _subscriber(row: Subscriber) -> Consumer:
    tone, state = Tone.GOOD, "told of changes"
    if not row.enabled:
        tone, state = Tone.QUIET, row.disabled_because or "switched off"
    elif row.failing_since is not None:
        tone, state = Tone.BAD, "does not answer"
    return Consumer(
        row.slug,
        f"subscriber ({row.kind})",
        reverse("admin:connectors_subscriber_change", args=[row.pk]),
        tone,
        state,
        everything=not row.entities,
        told=tuple(_known(row.entities)),
    )


def _known(names: Iterable[str]) -> list[str]:
    return [name for name in names if name in entities()]
