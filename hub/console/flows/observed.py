"""What was really seen: who read and wrote what, and the flows that nothing configured explains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.urls import reverse

from catalog.entities import entities
from catalog.ownership import STEWARD
from catalog.sizes import Size
from connectors.auction import telling
from hub.auth.rights import ALL, rights_of
from hub.console.flows.graph import COMMANDS, DAYS, MOST, Consumer, Reads, System, Undeclared
from hub.usage.report import shown_as, unnamed
from observability import metrics
from observability.display import Tone

#: A field that many requests read counts them all: the entity was asked at least so often.
READS = """
SELECT coalesce(k.prefix, u.key), k.id, k.name, k.scopes, k.revoked_at, k.expires_at < now(),
       u.entity, u.requests, u.fields
FROM hub_apikey k FULL JOIN (
    SELECT key, entity, max(requests)::bigint AS requests, count(*)::int AS fields
    FROM (SELECT key, entity, field, sum(requests) AS requests FROM hub_fieldusage
          WHERE day > (now() AT TIME ZONE 'UTC')::date - %s GROUP BY 1, 2, 3) f
    GROUP BY 1, 2) u ON u.key = k.prefix
WHERE k.revoked_at IS NULL OR u.key IS NOT NULL
ORDER BY u.requests DESC NULLS LAST, k.name"""

WRITES = """
SELECT caller, operation, count(*) FROM (
    SELECT caller, operation FROM connectors_command ORDER BY id DESC LIMIT %s) latest
GROUP BY 1, 2"""

KEY = "key:"
#: In whose name the hub itself decides auctions, and people decide fields: no connection is behind these.
OURS = {telling.SYSTEM, STEWARD}


class Row(NamedTuple):
    """A key, or one entity of those that it reads."""

    key: str
    pk: int | None
    name: str | None
    scopes: list[str] | None
    revoked_at: datetime | None
    expired: bool | None
    entity: str | None
    requests: int | None
    fields: int | None


def writes() -> dict[tuple[str, str], int]:
    """Commands by (caller, operation), of the latest. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(WRITES, [COMMANDS])
        return {(caller, operation): count for caller, operation, count in cursor.fetchall()}


def readers(written: dict[tuple[str, str], int]) -> tuple[list[Consumer], int]:
    """The busiest keys, and everybody else who read, `MOST` in all; and how many there are beside them.

    One statement.
    """
    by_caller: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for (caller, operation), count in written.items():
        by_caller[caller][operation] = count
    found: dict[str, Consumer] = {}
    left_out: set[str] = set()
    with connection.cursor() as cursor:
        cursor.execute(READS, [DAYS])
        rows = [Row(*row) for row in cursor.fetchall()]
    for row in rows:
        if row.key not in found and len(found) >= MOST:
            left_out.add(row.key)
            continue
        consumer = found.get(row.key) or found.setdefault(row.key, _consumer(row))
        if row.entity in entities() and row.requests:
            may = _may(row, row.entity)
            consumer.reads[row.entity] = Reads(row.requests, row.fields or 0, may)
        if row.pk is not None:
            consumer.writes = by_caller[f"{KEY}{row.pk}"]
    return list(found.values()), len(left_out)


def undeclared(
    systems: Iterable[System],
    consumers: Iterable[Consumer],
    told: Iterable[str],
    sizes: Mapping[tuple[str, str], Size],
) -> list[Undeclared]:
    """Flows that were seen and that nothing explains; `told`: who else is called. One statement."""
    known = list(systems)
    return [
        *_sources(known, sizes),
        *_calls({system.slug for system in known} | set(told)),
        *_reads(consumers),
    ]


def _consumer(row: Row) -> Consumer:
    address = reverse("admin:hub_apikey_change", args=[row.pk]) if row.pk else ""
    if row.pk is None:
        kind = "token" if unnamed(row.key) == "token" else "unknown key"
        tone = Tone.GOOD if kind == "token" else Tone.BAD
        return Consumer(shown_as(row.key), kind, "", tone, f"{kind}: reads")
    tone, state = (Tone.GOOD, "reads") if row.requests else (Tone.QUIET, f"no reads in {DAYS} days")
    if row.revoked_at is not None:
        tone, state = Tone.QUIET, "revoked"
    elif row.expired:
        tone, state = Tone.QUIET, "expired"
    may = rights_of(tuple(row.scopes or ()))
    return Consumer(row.name or "", "API key", address, tone, state, everything=ALL in may.reads)


def _may(row: Row, entity: str) -> bool:
    """Whether its scopes cover it, as they are now. Tokens bring their own with each request."""
    if row.pk is None:
        return unnamed(row.key) == "token"
    reads = rights_of(tuple(row.scopes or ())).reads
    return ALL in reads or entity in reads


def _sources(systems: list[System], sizes: Mapping[tuple[str, str], Size]) -> Iterator[Undeclared]:
    """Records of streams that are configured no more: they are served still."""
    declared = {
        (system.slug, spec.slug)
        for system in systems
        for flow in system.inflows
        if flow.spec
        for spec in (flow.spec, *flow.spec.children)
    }
    for system, stream in sorted(sizes.keys() - declared):
        if system not in OURS and sizes[system, stream].count:
            yield Undeclared(
                f"{system}.{stream} → catalogue",
                f"source records that are merged: {sizes[system, stream]}; no connection has this stream",
                f"{reverse('admin:catalog_sourcerecord_changelist')}?source__system={system}",
            )


def _calls(known: set[str]) -> Iterator[Undeclared]:
    """Calls to what is neither a system nor a subscriber (any more)."""
    called = metrics.total_by("call_milliseconds", "system", minutes=24 * 60)
    for (system,), point in sorted(called.items()):
        if system not in known and system != metrics.OTHER:
            yield Undeclared(
                f"hub → {system}",
                f"{point.count:,} calls in a day, and neither a connection nor a subscriber has the name",
                f"{reverse('admin:observability_outgoingcall_changelist')}?q={system}",
            )


def _reads(consumers: Iterable[Consumer]) -> Iterator[Undeclared]:
    """Reads under a key that is gone, or that its scopes do not cover any more."""
    for consumer in consumers:
        for entity, read in consumer.reads.items():
            if not read.declared:
                yield Undeclared(
                    f"{entity} → {consumer.name}",
                    f"at least {read.requests:,} reads in {DAYS} days,"
                    " and no scope of a key that there is covers them",
                    consumer.address,
                )
