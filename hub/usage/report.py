"""Who still reads a field, and what a key reads: the questions before a removal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection

from catalog.entities import Entity, derived_fields, entities, entity, value_fields
from hub.auth.models import ApiKey
from hub.auth.tokens import COUNTED
from hub.usage.uses import Field

DAYS = 30

#: Requests of each key that read any of some fields. An operation that reads several counts once;
#: one that was not kept by name counts by the field that most requests read.
KEYS = """
WITH wanted AS (
    SELECT * FROM unnest(%(entities)s::text[], %(fields)s::text[]) w(entity, field)
), fields AS (
    SELECT u.key, u.entity || '.' || u.field AS field, sum(u.requests) AS requests,
        max(u.day) AS last
    FROM hub_fieldusage u JOIN wanted USING (entity, field)
    WHERE u.day > (now() AT TIME ZONE 'UTC')::date - %(days)s GROUP BY 1, 2
), runs AS (
    SELECT r.key, sum(r.requests) AS requests
    FROM hub_operationusage r JOIN hub_observedoperation o ON o.digest = r.operation_id
    WHERE o.reads && (SELECT array_agg(entity || '.' || field) FROM wanted)
        AND r.day > (now() AT TIME ZONE 'UTC')::date - %(days)s GROUP BY 1
)
SELECT f.key, k.name, k.revoked_at, max(f.last),
    greatest(max(f.requests), coalesce(max(r.requests), 0))::bigint,
    array_agg(f.field ORDER BY f.field)
FROM fields f LEFT JOIN runs r USING (key) LEFT JOIN hub_apikey k ON k.prefix = f.key
GROUP BY f.key, k.name, k.revoked_at ORDER BY 5 DESC, f.key"""

OPERATIONS = """
SELECT o.digest, o.name, o.text,
    ARRAY(SELECT r FROM unnest(o.reads) r WHERE r = ANY (%(fields)s) ORDER BY 1),
    coalesce((SELECT sum(u.requests) FROM hub_operationusage u WHERE u.operation_id = o.digest
        AND u.day > (now() AT TIME ZONE 'UTC')::date - %(days)s), 0)::bigint AS requests
FROM hub_observedoperation o WHERE o.reads && %(fields)s::text[]
    AND o.seen_at > now() - %(days)s * interval '1 day'
ORDER BY requests DESC, o.name, o.digest"""


@dataclass(frozen=True, slots=True)
class KeyTraffic:
    """Requests of a key, of the last days, that read any of the fields in question."""

    key: str
    name: str
    revoked: bool
    last_day: date
    requests: int
    fields: tuple[str, ...]

    @property
    def shown_as(self) -> str:
        """The key as people may see it."""
        return shown_as(self.key)


@dataclass(frozen=True, slots=True)
class OperationTraffic:
    """An operation that was used in the last days, and which of the fields it reads."""

    digest: str
    name: str
    text: str
    fields: tuple[str, ...]
    requests: int


def shown_as(key: str) -> str:
    """What usage is counted by, as people may see it: `hw_0123456789ab_…`, `jwt:shop`."""
    return key if key.startswith(COUNTED) else f"hw_{key}_…"


def unnamed(key: str) -> str:
    """The name of what has none: tokens are not issued here."""
    return "token" if key.startswith(COUNTED) else "(deleted)"


def keys_reading(fields: Sequence[Field], days: int = DAYS) -> list[KeyTraffic]:
    """The keys that read any of the fields, the busiest first."""
    asked = {"entities": [e for e, _ in fields], "fields": [f for _, f in fields], "days": days}
    return [
        KeyTraffic(key, name or unnamed(key), revoked is not None, last, requests, tuple(read))
        for key, name, revoked, last, requests, read in _rows(KEYS, asked)
    ]


def operations_reading(fields: Iterable[Field], days: int = DAYS) -> list[OperationTraffic]:
    """The operations that read any of the fields, the busiest first."""
    asked = {"fields": [".".join(field) for field in fields], "days": days}
    return [OperationTraffic(d, n, t, tuple(r), q) for d, n, t, r, q in _rows(OPERATIONS, asked)]


def counted_since() -> date | None:
    """The first day of which anything is known."""
    found: date | None = _rows("SELECT min(day) FROM hub_fieldusage", {})[0][0]
    return found


def fields_of_key(key: ApiKey, days: int = DAYS) -> list[tuple[str, int, date]]:
    """What a key reads: (field, requests, last day), the busiest first."""
    statement = """
        SELECT entity || '.' || field, sum(requests)::bigint, max(day) FROM hub_fieldusage
        WHERE key = %(key)s AND day > (now() AT TIME ZONE 'UTC')::date - %(days)s
        GROUP BY 1 ORDER BY 2 DESC, 1"""
    return _rows(statement, {"key": key.prefix, "days": days})


def named(text: str) -> Field:
    """`product.description` as a field. Raises LookupError that says what there is."""
    name, _, field = text.partition(".")
    cls = entity(name)
    known = contract_fields(cls)
    if field not in known:
        raise LookupError(f"{name} has no field {field!r}; it has {', '.join(sorted(known))}")
    return name, field


def contract_fields(cls: type[Entity]) -> set[str]:
    """The names by which usage is counted."""
    declared = cls.declaration
    own = {declared.key, "changed_at", "provenance", *(f.name for f in value_fields(cls))}
    return own | {*declared.parts, *(f.name for f in derived_fields(cls))}


def deprecated_fields() -> list[Field]:
    """All that is on its way out."""
    return [(n, f) for n, cls in entities().items() for f in cls.declaration.deprecated]


def _rows(statement: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
