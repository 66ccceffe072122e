"""The integration architecture document: what is connected, how, who owns what, and what if not.

Markdown as GitHub reads it. It is made of what runs, so that it cannot be out of date: make it anew
whenever it is wanted. It holds no address, no credential and no data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from catalog.ownership import Others, OwnershipRule
from connectors.commands.declare import offered
from hub.console.flows.graph import COMMANDS, DAYS, Consumer, Map, System
from observability.display import duration
from observability.objectives import FreshnessObjective
from observability.uses import UseLimit

Row = Sequence[object]


def architecture(shown: Map) -> str:
    """The whole document. Two statements beside those of the map."""
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    parts = [
        "# Integration architecture",
        f"Made by Headwater of its own configuration and traffic, {made}. Drawn: `architecture.svg`.",
        *_systems(shown),
        *_flows(shown),
        *_ownership(shown),
        *_freshness(shown),
        *_degradation(shown),
        *_consumers(shown),
        *_undeclared(shown),
    ]
    return "\n\n".join(parts) + "\n"


def _systems(shown: Map) -> Iterator[str]:
    yield "## Systems"
    yield _table(
        ("system", "kind", "state", "streams", "can be written to"),
        (
            (
                one.slug,
                one.label,
                one.state,
                ", ".join(flow.name for flow in one.inflows) or "none",
                ", ".join(flow.capability for flow in one.outflows) or "no",
            )
            for one in shown.systems
        ),
    )


def _flows(shown: Map) -> Iterator[str]:
    yield "## Flows into the catalogue"
    yield _table(
        ("stream", "feeds", "mechanism", "records", "may vanish at once", "state"),
        (
            (
                f"{system.slug}.{flow.name}",
                ", ".join(flow.entities),
                flow.how,
                flow.size if flow.size is not None else "none yet",
                f"{flow.stream.delete_guard_share:.0%}",
                flow.state,
            )
            for system in shown.systems
            for flow in system.inflows
        ),
    )
    yield "## Flows back"
    yield (
        "Each is accepted under an idempotency key, carried out step by step, and read back from its"
        f" owner. Times are those of the latest {COMMANDS:,} commands."
    )
    yield _table(
        ("write", "goes to", "entity", "by operation", "times"),
        (
            (flow.capability, system.slug, flow.entity, ", ".join(flow.operations), flow.times)
            for system in shown.systems
            for flow in system.outflows
        ),
    )


def _ownership(shown: Map) -> Iterator[str]:
    yield "## Ownership"
    yield (
        "A system that neither owns a field nor is a fallback of it cannot change it; what it says is"
        " kept, and shown as a conflict. Where there is no rule the first connected system decides."
    )
    yield _table(
        ("entity", "field", "narrowed to", "owner", "when silent", "others"),
        (_rule(rule) for node in shown.entities for rule in node.rules),
    )
    without = [node.name for node in shown.entities if not node.rules]
    if without:
        yield f"Without a rule: {', '.join(without)}."


def _rule(rule: OwnershipRule) -> Row:
    return (
        rule.entity,
        rule.field or "every field",
        ", ".join(f"{name} {value}" for name, value in rule.narrowed.items()) or "nothing",
        rule.owner,
        ", ".join(rule.fallbacks) or "nobody",
        Others(rule.others).label,
    )


def _freshness(shown: Map) -> Iterator[str]:
    yield "## Freshness"
    yield _table(
        ("stream", "promised maximum age", "now"),
        (
            (
                f"{system.slug}.{flow.name}",
                duration(flow.stream.objective_seconds),
                "never read" if flow.lag is None else duration(flow.lag),
            )
            for system in shown.systems
            for flow in system.inflows
        ),
    )
    yield "Objectives, which alerts and the service levels go by:"
    yield _table(
        ("objective", "about", "target", "window", "calendar"),
        (
            (
                row.name,
                " ".join(filter(None, (row.system, row.stream, row.data_class))) or "every stream",
                f"{row.target:.3%}",
                f"{row.window_days} days",
                row.calendar or "always",
            )
            for row in FreshnessObjective.objects.filter(enabled=True).select_related("calendar")
        ),
    )


def _degradation(shown: Map) -> Iterator[str]:
    yield "## When a system is down"
    yield (
        "Reads never ask a system: they serve what is known, marked with age and reason. The breaker of"
        " a connection opens as below; writes wait in the hub or are refused, as each operation says."
    )
    yield _table(
        ("system", "breaker opens at", "of at least", "within", "probed after"),
        (_breaker(one) for one in shown.systems),
    )
    yield _table(
        ("operation", "while a system that it needs is down"),
        (
            (one.slug, "202, done later" if one.while_open == "buffer" else "503, nothing is begun")
            for one in offered()
        ),
    )
    yield "Older values than these are refused to callers that name their use:"
    yield _table(
        ("use", "data class", "maximum age"),
        (
            (
                row.use,
                row.data_class,
                "any" if row.max_age_seconds is None else duration(row.max_age_seconds),
            )
            for row in UseLimit.objects.all()
        ),
    )


def _breaker(one: System) -> Row:
    row = one.connection
    if not row.breaker_enabled:
        return (one.slug, "never", "", "", "")
    return (
        one.slug,
        f"{row.breaker_failure_share:.0%} failures",
        f"{row.breaker_minimum_calls} calls",
        duration(row.breaker_window_seconds),
        duration(row.breaker_cooldown_seconds),
    )


def _consumers(shown: Map) -> Iterator[str]:
    yield "## Consumers"
    if not shown.consumers:
        yield "None are known, or who made this may not see them."
        return
    yield f"Reads are those of {DAYS} days, at least."
    yield _table(
        ("consumer", "kind", "state", "reads", "writes"),
        (
            (
                one.name,
                one.kind,
                one.state,
                _read_by(one),
                ", ".join(sorted(one.writes)) or "nothing",
            )
            for one in shown.consumers
        ),
    )


def _read_by(one: Consumer) -> str:
    if one.told or (one.everything and one.kind.startswith("subscriber")):
        return "told of " + (", ".join(one.told) or "everything")
    read = ", ".join(f"{name} ({reads.requests:,})" for name, reads in sorted(one.reads.items()))
    return read or "nothing"


def _undeclared(shown: Map) -> Iterator[str]:
    yield "## Undeclared flows"
    if not shown.undeclared:
        yield "None: everything that was seen is configured."
        return
    yield _table(("flow", "why"), ((one.what, one.why) for one in shown.undeclared))


def _table(head: Row, rows: Iterable[Row]) -> str:
    """A table of GitHub Flavored Markdown (4.10, "Tables"): a pipe in a cell is escaped."""
    lines = [_line(head), "|" + " --- |" * len(head), *(_line(row) for row in rows)]
    return "\n".join(lines) if len(lines) > 2 else "None."


def _line(cells: Row) -> str:
    told = (" ".join(str(cell).split()).replace("|", "\\|") for cell in cells)
    return "| " + " | ".join(told) + " |"
