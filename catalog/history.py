"""Revisions: which fields of a record changed, from what to what, through which event and run.

Values are kept as reverse deltas: a change stores the old and the new value of the fields that
it touched, and a creation stores none, because the first value of a field is the old value of
its next change, or what stands in the row today. That halves what a first sync writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any

from django.db import models
from django.db.models import Max, Min, Q

from catalog.entities import Entity, spelled, value_fields


class Revision(models.Model):
    """One change of one entity row. Append-only."""

    class Kind(models.TextChoices):
        CREATED = "created"
        CHANGED = "changed"
        DELETED = "deleted"
        RESTORED = "restored"

    id = models.BigAutoField(primary_key=True)
    entity = models.TextField()
    key = models.TextField(db_collation="C")
    kind = models.TextField(choices=Kind.choices)
    at = models.DateTimeField()
    changes = models.JSONField(default=dict, help_text="{field: [old value, new value]}")
    source_record_id = models.BigIntegerField(null=True)
    run_id = models.BigIntegerField(null=True)
    event_id = models.BigIntegerField(null=True)
    correlation_id = models.TextField(default="")

    class Meta:
        indexes = [
            models.Index(fields=["key", "entity"], name="revision_record"),
            # Those of a run are told apart by nothing else: PostgreSQL keeps a value that repeats once.
            models.Index(
                fields=["correlation_id", "id"],
                name="revision_correlation",
                condition=~models.Q(correlation_id=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.entity} {self.key} {self.kind}"


def timeline(
    row: Entity, limit: int = 200, *, field: str = "", before: int | None = None
) -> list[Revision]:
    """The record's revisions, newest first: those that touched a field, those before one of them.

    Coming, going and coming back touch every field.
    """
    found = Revision.objects.filter(key=row.key, entity=row.declaration.name)
    if field:
        found = found.filter(Q(changes__has_key=field) | ~Q(kind=Revision.Kind.CHANGED))
    if before is not None:
        found = found.filter(pk__lt=before)
    return list(found.order_by("-id")[:limit])


def as_json(row: Entity) -> dict[str, Any]:
    """The row's values as history and source records spell them (JSON types only)."""
    return {f.name: _plain(row, f) for f in value_fields(type(row))}


def _plain(row: Entity, field: models.Field[Any, Any]) -> Any:
    value = getattr(row, field.attname)
    if value is None or isinstance(value, (str, bool, int, float, dict, list)):
        return value
    if isinstance(value, Decimal):
        return spelled(value, field)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


SET_BY = """
SELECT DISTINCT ON (f.field) f.field, r.* FROM catalog_revision r
CROSS JOIN LATERAL (SELECT jsonb_object_keys(r.changes)
                    UNION ALL SELECT '' WHERE r.kind = 'created') f (field)
WHERE r.key = %(key)s AND r.entity = %(entity)s AND (%(moment)s::timestamptz IS NULL
    OR r.id < COALESCE((SELECT min(u.id + 0) FROM catalog_revision u WHERE u.key = r.key
        AND u.entity = r.entity AND u.at > %(moment)s::timestamptz), 9223372036854775807))
ORDER BY f.field, r.id DESC"""


def set_by(row: Entity, moment: datetime | None = None) -> dict[str, Revision]:
    """{field: the revision that gave it the value that it has, or had at the moment}. One statement.

    Under "" the revision that made the row, which speaks for all fields that none has changed.
    """
    given = {"key": row.key, "entity": row.declaration.name, "moment": moment}
    found = Revision.objects.raw(SET_BY, given)
    return {revision.field: revision for revision in found}  # type: ignore[attr-defined]


def last_of(revisions: Iterable[Revision]) -> dict[str, Revision]:
    """The same from a record's whole history at hand, newest first."""
    found: dict[str, Revision] = {}
    for revision in revisions:
        made = [""] if revision.kind == Revision.Kind.CREATED else []
        for field in (*revision.changes, *made):
            found.setdefault(field, revision)
    return found


def changed_since(
    keys: Mapping[str, Collection[str]], moment: datetime
) -> set[tuple[str, str, str]]:
    """(entity, key, field) of what was changed after a moment, of the records of {entity: keys}."""
    wanted = [Q(entity=name, key__in=some) for name, some in keys.items() if some]
    if not wanted:
        return set()
    later = Revision.objects.filter(reduce(or_, wanted), at__gt=moment)
    return {
        (name, key, field)
        for name, key, changes in later.values_list("entity", "key", "changes")
        for field in changes
    }


def steps(row: Entity, moment: datetime) -> tuple[datetime | None, datetime | None]:
    """The time of the last change at or before a moment, and that of the first after it."""
    times = Revision.objects.filter(key=row.key, entity=row.declaration.name).aggregate(
        before=Max("at", filter=Q(at__lt=moment)), after=Min("at", filter=Q(at__gt=moment))
    )
    return times["before"], times["after"]
