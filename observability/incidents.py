"""What is wrong, since when, and what it affects: one row for each trouble, from its beginning to
its end.

Whoever finds a trouble opens it by (kind, system, stream, subject); finding it again counts. There is
one open incident of each, which a constraint holds; what is resolved stays as a record for a year and more. Systems
and streams are named by slug. What is affected is known on the floors above: they listen to
`opened` and fill `affected` in.

    open ──▶ acknowledged ──▶ resolved, by itself or with the incident that caused it (`part_of`)
     ▲                          │
     └── found again within REOPENED_MINUTES: the same incident goes on, and counts

Its kind is the slug of an `AlertRule`, which says how severe it is, who is told and what to do.
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

    class Severity(models.TextChoices):
        """A page wakes somebody, a ticket waits for the morning, a note is only listed."""

        PAGE = "page"
        TICKET = "ticket"
        NOTE = "note"

    kind = models.TextField(help_text="What sort of trouble: the slug of a rule.")
    severity = models.TextField(
        choices=Severity.choices, default=Severity.TICKET, db_default=Severity.TICKET
    )
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
    reopened_at = models.DateTimeField(
        null=True, help_text="When it was found again soon after it had ended."
    )
    next_look_at = models.DateTimeField(null=True, help_text="When the hub looks again by itself.")
    part_of = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="parts",
        help_text="What caused it: it is not told by itself, and ends with it.",
    )
    silenced_until = models.DateTimeField(null=True, help_text="Nobody is told before then.")
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.TextField(default="", blank=True, db_default="")
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.TextField(default="", blank=True, db_default="")
    correlation_id = models.TextField(
        default="", blank=True, db_default="", help_text="Under which it was first found."
    )
    hop = models.TextField(
        default="",
        blank=True,
        db_default="",
        help_text="The first that failed (observability/pack.py).",
    )
    pack = models.JSONField(default=dict, blank=True, db_default={})

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

    @property
    def place(self) -> str:
        """`sap.products`, `sap`, or `the hub` where it is about no system."""
        return ".".join(part for part in (self.system, self.stream) if part) or "the hub"


#: What is found again so soon after it ended has not ended: it flaps.
REOPENED_MINUTES = 10
WITH_CAUSE = "it ended with its cause"

FIND = f"""
WITH again AS (
    UPDATE observability_incident i
    SET resolved_at = NULL, resolved_by = '', reopened_at = now(), part_of_id = NULL,
        title = %(title)s, cause = %(cause)s, details = %(details)s::jsonb, count = i.count + 1,
        last_seen_at = now(), next_look_at = %(next_look_at)s
    WHERE i.resolved_at IS NOT NULL AND i.id = (
        SELECT e.id FROM observability_incident e
        WHERE e.kind = %(kind)s AND e.system = %(system)s AND e.stream = %(stream)s
          AND e.subject = %(subject)s
          AND e.resolved_at > now() - interval '{REOPENED_MINUTES} minutes'
          AND NOT EXISTS (
              SELECT FROM observability_incident o WHERE o.kind = e.kind AND o.system = e.system
              AND o.stream = e.stream AND o.subject = e.subject AND o.resolved_at IS NULL)
        ORDER BY e.id DESC LIMIT 1)
    RETURNING i.id
), made AS (
    INSERT INTO observability_incident AS i
        (kind, system, stream, subject, title, cause, details, next_look_at, correlation_id,
         severity)
    SELECT %(kind)s, %(system)s, %(stream)s, %(subject)s, %(title)s, %(cause)s, %(details)s::jsonb,
        %(next_look_at)s::timestamptz, %(correlation)s,
        COALESCE((SELECT severity FROM observability_alertrule WHERE slug = %(kind)s), 'ticket')
    WHERE NOT EXISTS (SELECT FROM again)
    ON CONFLICT (kind, system, stream, subject) WHERE resolved_at IS NULL DO UPDATE
    SET title = excluded.title, cause = excluded.cause, details = excluded.details,
        count = i.count + 1, last_seen_at = now(), next_look_at = excluded.next_look_at
    RETURNING i.id, i.count
)
SELECT id, count FROM made UNION ALL SELECT id, 0 FROM again"""  # noqa: S608 (our own constant)

# What explains an incident is open, about the same system (or the hub), and about no other stream.
# The first of them is the cause; what is itself a part stands for its own cause.
GROUP = """
UPDATE observability_incident i SET part_of_id = cause.id
FROM observability_incident part
CROSS JOIN LATERAL (
    SELECT COALESCE(r.part_of_id, r.id) AS id
    FROM observability_alertrule rule JOIN observability_incident r ON r.kind = ANY (rule.explained_by)
    WHERE rule.slug = part.kind AND r.resolved_at IS NULL AND r.id <> part.id
      AND COALESCE(r.part_of_id, r.id) <> part.id AND r.system IN ('', part.system)
      AND (r.stream = '' OR part.stream = '' OR r.stream = part.stream)
    ORDER BY r.opened_at, r.id LIMIT 1) cause
WHERE i.id = part.id AND part.resolved_at IS NULL AND part.part_of_id IS DISTINCT FROM cause.id"""

# They are looked at afresh: what is still wrong then is wrong for a reason of its own.
END_PARTS = """
WITH ended AS (
    UPDATE observability_incident i
    SET resolved_at = now(), resolved_by = %(by)s, next_look_at = NULL
    FROM observability_incident cause
    WHERE cause.id = i.part_of_id AND i.resolved_at IS NULL AND cause.resolved_at IS NOT NULL
    RETURNING i.kind, i.system, i.stream, i.subject
)
DELETE FROM observability_alertstate s USING ended e, observability_alertrule r
WHERE r.id = s.rule_id AND r.slug = e.kind
  AND (s.system, s.stream, s.subject) = (e.system, e.stream, e.subject)"""

# What was silenced until a moment ago keeps that moment: from then on people are told.
HUSH = """
UPDATE observability_incident i SET silenced_until = said.until
FROM (
    SELECT o.id, COALESCE(max(s.until),
        CASE WHEN o.silenced_until > now() THEN now() ELSE o.silenced_until END) AS until
    FROM observability_incident o
    LEFT JOIN observability_silence s ON s.starts_at <= now() AND s.until > now()
        AND s.system IN ('', o.system) AND s.stream IN ('', o.stream) AND s.kind IN ('', o.kind)
    WHERE o.resolved_at IS NULL GROUP BY o.id) said
WHERE i.id = said.id AND i.silenced_until IS DISTINCT FROM said.until"""


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
    """Open an incident, or count one that is open or has just ended; its id. In the caller's
    transaction.
    """
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


def acknowledge(rows: models.QuerySet[Incident], by: str) -> int:
    """Somebody looks after these; how many nobody did before."""
    return rows.filter(acknowledged_at=None, resolved_at=None).update(
        acknowledged_at=Now(), acknowledged_by=by
    )


def look_after() -> None:
    """Put open incidents under what caused them, end those whose cause has ended, and silence."""
    with connection.cursor() as cursor:
        cursor.execute(END_PARTS, {"by": WITH_CAUSE})
        cursor.execute(GROUP)
        cursor.execute(HUSH)


def _tell(pk: int) -> None:
    # Whoever finds a trouble must not fail because of those who want to know of it.
    opened.send_robust(sender=Incident, incident=pk)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, default=str)
