"""What is wrong, since when, and what it affects: one row for each trouble, from its beginning to
its end.

Whoever finds a trouble opens it by (kind, system, stream, subject); finding it again counts. There is
one open incident of each, which a constraint holds; what is resolved stays as a record for a year and more. Systems
and streams are named by slug. What is affected is known on the floors above: they listen to
`opened` and fill `affected` in.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.dispatch import Signal

from observability.context import current_id

#: Sent after the commit that opened an incident, with `incident`, its id.
opened = Signal()


class Incident(models.Model):
    """One trouble. `details` is the finder's; `affected` {entities, fields, operations, share}."""

    class Kind(models.TextChoices):
        SYSTEM_DOWN = "system_down", "system down"
        CONTRACT_DRIFT = "contract_drift", "contract drift"
        CONFLICT_RISE = "conflict_rise", "rise of conflicts"

    kind = models.TextField(help_text="What sort of trouble, for example system_down.")
    system = models.TextField(help_text="Slug of the system.")
    stream = models.TextField(default="", blank=True, db_default="", help_text="Empty: all of it.")
    subject = models.TextField(
        default="", blank=True, db_default="", help_text="What more tells it apart, if anything."
    )
    title = models.TextField()
    cause = models.TextField(default="", blank=True, db_default="")
    details = models.JSONField(default=dict, blank=True, db_default={})
    affected = models.JSONField(default=dict, blank=True, db_default={})
    count = models.PositiveIntegerField(
        default=1, db_default=1, help_text="How often it was found."
    )
    opened_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    next_look_at = models.DateTimeField(null=True, help_text="When the hub looks again by itself.")
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.TextField(default="", blank=True, db_default="")
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.TextField(default="", blank=True, db_default="")
    correlation_id = models.TextField(
        default="", blank=True, db_default="", help_text="Under which it was first found."
    )

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "system", "stream", "subject"],
                name="one_open_incident",
                condition=Q(resolved_at__isnull=True),
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["correlation_id"],
                name="incident_correlation",
                condition=~Q(correlation_id=""),
            )
        ]

    def __str__(self) -> str:
        return self.title


FIND = """
INSERT INTO observability_incident AS i
    (kind, system, stream, subject, title, cause, details, next_look_at, correlation_id)
VALUES (%(kind)s, %(system)s, %(stream)s, %(subject)s, %(title)s, %(cause)s, %(details)s::jsonb,
        %(next_look_at)s, %(correlation)s)
ON CONFLICT (kind, system, stream, subject) WHERE resolved_at IS NULL DO UPDATE
SET title = excluded.title, cause = excluded.cause, details = excluded.details, count = i.count + 1,
    last_seen_at = now(), next_look_at = excluded.next_look_at
RETURNING id, count"""

KEPT_DAYS = 400
PRUNE = f"""
DELETE FROM observability_incident WHERE id IN (
    SELECT id FROM observability_incident WHERE resolved_at < now() - interval '{KEPT_DAYS} days'
    ORDER BY id LIMIT 5000)"""  # noqa: S608 (our own constants)


def find(
    kind: str,
    system: str,
    title: str,
    *,
    stream: str = "",
    subject: str = "",
    cause: str = "",
    details: dict[str, Any] | None = None,
    next_look_at: datetime | None = None,
) -> int:
    """Open an incident, or count one that is open; its id. In the caller's transaction."""
    said = {
        "kind": kind,
        "system": system,
        "stream": stream,
        "subject": subject,
        "title": title,
        "cause": cause,
        "details": _json(details or {}),
        "next_look_at": next_look_at,
        "correlation": current_id() or "",
    }
    with connection.cursor() as cursor:
        cursor.execute(FIND, said)
        pk, count = cursor.fetchone()
    if count == 1:
        transaction.on_commit(partial(_tell, pk))
    return int(pk)


def resolve(kind: str, system: str, *, stream: str = "", subject: str = "", by: str = "") -> int:
    """End the open incident, if there is one; how many ended. In the caller's transaction."""
    return Incident.objects.filter(
        kind=kind, system=system, stream=stream, subject=subject, resolved_at__isnull=True
    ).update(resolved_at=Now(), resolved_by=by, next_look_at=None)


def prune() -> int:
    """Delete some of those that ended long ago, for a breaker may open every minute; how many."""
    with connection.cursor() as cursor:
        cursor.execute(PRUNE)
        return int(cursor.rowcount)


def _tell(pk: int) -> None:
    # Whoever finds a trouble must not fail because of those who want to know of it.
    opened.send_robust(sender=Incident, incident=pk)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, default=str)
