"""Who did what, when, to what: an append-only log, written before anything is done.

What a person does is two entries: one before it is begun, in a commit of its own, and one with what
became of it (`of` names the first). An action that has no second entry was cut off. If the
first cannot be written, the action is refused (`NotWrittenError`).

The database keeps it: a trigger refuses UPDATE, DELETE and TRUNCATE to everybody, the owner of
the table included, and gives each entry its time, and a digest over itself and the one before it.
`broken()` follows the chain. Old entries go by one function of the database
(`headwater_prune_audit`), which writes an entry about it. Whoever may drop triggers can get around
all of this; the chain shows it then, to whoever has noted a digest elsewhere (each is logged).

Details hold names, numbers and choices: no secrets, no personal data, no texts that a form was sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import structlog
from django.db import DatabaseError, connection, models, transaction

from observability import context
from observability.errors import NotWrittenError

log = structlog.get_logger(__name__)

MOST_OBJECTS = 200


class Outcome(models.TextChoices):
    """What became of it; empty while it is not known."""

    DONE = "done"
    SHOWN = "shown", "answered with a page"
    HELD = "held", "waits for a second person"
    REFUSED = "refused"
    FAILED = "failed"


class AuditEntry(models.Model):
    """One entry. Times, numbers and digests are the database's own (a trigger sets them)."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(editable=False)
    actor = models.TextField(help_text="User name; of a command: who is logged in to the machine.")
    roles = models.TextField(default="", help_text="The groups of the person at that time.")
    action = models.TextField()
    page = models.TextField(default="", help_text="Path of the page, or the command.")
    subject = models.TextField(default="", help_text="What sort of thing.")
    objects_named = models.JSONField(default=list, help_text="Which ones: keys and numbers.")
    details = models.JSONField(default=dict)
    reason = models.TextField(default="")
    correlation_id = models.TextField(default="")
    address = models.TextField(default="", help_text="Where the request came from.")
    outcome = models.TextField(choices=Outcome.choices, default="", blank=True)
    of = models.BigIntegerField(null=True, help_text="The entry whose outcome this is.")
    previous = models.BinaryField(editable=False)
    digest = models.BinaryField(editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "audit log"
        indexes: ClassVar = [
            models.Index(fields=["of"], name="audit_of", condition=models.Q(of__isnull=False)),
            models.Index(fields=["actor", "-id"], name="audit_actor"),
            models.Index(fields=["correlation_id"], name="audit_correlation"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.actor}: {self.action}"


INSERT = """
INSERT INTO observability_auditentry
    (at, actor, roles, action, page, subject, objects_named, details, reason, correlation_id,
     address, outcome, of, previous, digest)
VALUES (now(), %(actor)s, %(roles)s, %(action)s, %(page)s, %(subject)s, %(objects)s::jsonb,
        %(details)s::jsonb, %(reason)s, %(correlation_id)s, %(address)s, %(outcome)s, %(of)s, '', '')
RETURNING id, encode(digest, 'hex')"""

BROKEN = """
SELECT id FROM (
    SELECT e.id, e.digest <> headwater_audit_digest(e)
        OR e.previous <> lag(e.digest, 1, e.previous) OVER (ORDER BY e.id) AS wrong
    FROM observability_auditentry e) looked_at
WHERE wrong ORDER BY id LIMIT %s"""


def record(
    actor: str,
    action: str,
    subject: str = "",
    details: Mapping[str, Any] | None = None,
    reason: str = "",
    *,
    roles: str = "",
    page: str = "",
    objects: Sequence[Any] = (),
    address: str = "",
    outcome: str = "",
    of: int | None = None,
) -> int:
    """Write one entry; its number. In its own commit, unless the caller has a transaction open.

    Raises NotWrittenError: whoever cannot write may not act.
    """
    named = [str(one)[:200] for one in objects]
    said = dict(details or {})
    if len(named) > MOST_OBJECTS:
        said["objects"] = len(named)
    values = {
        "actor": actor, "roles": roles, "action": action, "page": page[:500], "subject": subject,
        "objects": _json(named[:MOST_OBJECTS]), "details": _json(said), "reason": reason[:2000],
        "correlation_id": context.current_id() or "", "address": address, "outcome": outcome,
        "of": of,
    }  # fmt: skip
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(INSERT, {k: _plain(v) for k, v in values.items()})
            number, digest = cursor.fetchone()
    except DatabaseError as error:
        log.exception("the audit log cannot be written", action=action)
        raise NotWrittenError(
            "the audit log cannot be written, so nothing was done; try again, or tell whoever looks"
            " after the database"
        ) from error
    log.info("audit", entry=number, digest=digest, action=action, outcome=outcome)
    return int(number)


def ended(entry: int, actor: str, action: str, outcome: str, **details: Any) -> None:
    """What became of an action. It is done by now: what cannot be written is logged."""
    try:
        record(actor, action, details=details, outcome=outcome, of=entry)
    except NotWrittenError:
        log.error("an action has no outcome in the audit log", entry=entry, outcome=outcome)  # noqa: TRY400 (it has one above)


def broken(limit: int = 100) -> list[int]:
    """Entries that are not what was written, or do not follow the one before them."""
    with connection.cursor() as cursor:
        cursor.execute(BROKEN, [limit])
        return [int(number) for (number,) in cursor.fetchall()]


def prune(days: int) -> int:
    """Let entries go that are older; how many. Audited by the database itself."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT headwater_prune_audit(%s)", [days])
        return int(cursor.fetchone()[0])


def _plain(value: Any) -> Any:
    # PostgreSQL's text holds no NUL.
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value


def _json(value: Any) -> str:
    return json.dumps(value, default=str).replace("\\u0000", "\\ufffd")
