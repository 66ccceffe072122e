"""What an outage affects: entities, fields, operations, and the share of requests since yesterday.

Filled in once, when the incident is opened, in the process that opened it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connection
from graphene.utils.str_converters import to_camel_case

from catalog.entities import entities
from hub import suppliers
from hub.usage.uses import Field
from observability.incidents import Incident

MOST_ASKED = 50

ASKED = """
SELECT o.name, o.reads, sum(u.requests)
FROM hub_operationusage u JOIN hub_observedoperation o ON o.digest = u.operation_id
WHERE u.day >= (now() AT TIME ZONE 'UTC')::date - 1
GROUP BY o.digest ORDER BY 3 DESC, 1"""


def fill_in(incident: int, **_: Any) -> None:
    """Receiver of `observability.incidents.opened`."""
    row = Incident.objects.filter(pk=incident, kind=Incident.Kind.SYSTEM_DOWN).first()
    if row is not None:
        row.affected = of_outage(row.system)
        row.save(update_fields=["affected"])


def of_outage(system: str) -> dict[str, Any]:
    """What hangs on a system; see `of_fields`."""
    return of_fields(supplied_by(system))


def supplied_by(system: str, stream: str = "") -> list[Field]:
    """The fields that a system, or one stream of it, may supply."""
    suppliers.forget()
    return sorted(
        field
        for field, streams in suppliers.supply().items()
        if any(s == system and stream in ("", t) for s, t in streams)
    )


def of_fields(wanted: Sequence[Field]) -> dict[str, Any]:
    """`fields` {entity: its fields among the wanted}, `entities`, `operations` that may read them,
    `asked` [{operation, times}] since yesterday, and their `share` of all requests (0 to 1, or
    None where nothing was counted).
    """
    fields: dict[str, list[str]] = defaultdict(list)
    for entity, field in wanted:
        fields[entity].append(field)
    counted, among = _asked(), frozenset(wanted)
    hit = [(name, times) for name, reads, times in counted if _reads(reads, among)]
    total = sum(times for _, _, times in counted)
    return {
        "entities": sorted(fields),
        "fields": fields,
        "operations": list(_operations(among)),
        "asked": [{"operation": name, "times": times} for name, times in hit[:MOST_ASKED]],
        "share": round(sum(times for _, times in hit) / total, 4) if total else None,
    }


def _reads(reads: Iterable[Field], among: frozenset[Field]) -> bool:
    return not among.isdisjoint(suppliers.behind(reads))


def _asked() -> list[tuple[str, list[Field], int]]:
    """(operation, what it reads, requests), the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(ASKED)
        return [
            (name, [(e, f) for e, _, f in (path.partition(".") for path in reads)], int(times))
            for name, reads, times in cursor.fetchall()
        ]


def _operations(among: frozenset[Field]) -> Iterator[str]:
    for name, cls in sorted(entities().items()):
        if _reads(suppliers.record(cls), among):
            plural = cls.declaration.plural
            yield f"GET /api/v1/{plural}"
            yield f"GraphQL {to_camel_case(name)}, {to_camel_case(plural)}"
