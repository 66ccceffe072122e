"""What an outage affects: entities, fields, operations, and the share of the last hour's requests.

Filled in once, when the incident is opened, in the process that opened it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from graphene.utils.str_converters import to_camel_case

from catalog.entities import entities
from hub import drawn, traffic
from observability.incidents import Incident

MOST_ASKED = 50


def fill_in(incident: int, **_: Any) -> None:
    """Receiver of `observability.incidents.opened`."""
    row = Incident.objects.filter(pk=incident, kind=Incident.Kind.SYSTEM_DOWN).first()
    if row is not None:
        row.affected = of_outage(row.system)
        row.save(update_fields=["affected"])


def of_outage(system: str) -> dict[str, Any]:
    """`fields` {entity: its fields that the system may supply}, `entities`, `operations` that may read
    them, `asked` [{operation, times}] of the last hour, and their `share` of all requests (0 to 1, or
    None where nothing was counted).
    """
    drawn.forget()
    fields: dict[str, list[str]] = defaultdict(list)
    for (entity, field), streams in sorted(drawn.supply().items()):
        if any(supplier == system for supplier, _ in streams):
            fields[entity].append(field)
    counted = traffic.last_hour()
    hit = [o for o in counted if any(s == system for s, _ in drawn.streams(o.made_of))]
    total = sum(o.times for o in counted)
    return {
        "entities": sorted(fields),
        "fields": fields,
        "operations": list(_operations(system)),
        "asked": [{"operation": o.name, "times": o.times} for o in hit[:MOST_ASKED]],
        "share": round(sum(o.times for o in hit) / total, 4) if total else None,
    }


def _operations(system: str) -> Iterator[str]:
    for name, cls in sorted(entities().items()):
        whole = drawn.of_record(cls, parts=True)
        if any(supplier == system for supplier, _ in drawn.streams(whole)):
            plural = cls.declaration.plural
            yield f"GET /api/v1/{plural}"
            yield f"GraphQL {to_camel_case(name)}, {to_camel_case(plural)}"
