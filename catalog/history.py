"""Revisions: which fields of a record changed, from what to what, through which event and run.

Values are kept as reverse deltas: a change stores the old and the new value of the fields that
it touched, and a creation stores none, because the first value of a field is the old value of
its next change, or what stands in the row today. That halves what a first sync writes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q

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

