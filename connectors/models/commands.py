"""Commands: writes that callers asked for, and their steps, which are their trace.

    accepted ──▶ sent ──▶ acknowledged ──▶ confirmed    all of it read back from its owners
        │         │
        └─────────┴──▶ refused    a definite no, and nothing of it is left behind
                  └──▶ failed     definite too: `problem` says what could not be taken back

A command is accepted when its caller's key and body are committed, sent when the first write (or
decision of ours) is written down as about to happen, acknowledged when all steps are done and the
caller's answer is fixed. Whoever works on it holds a lease, with a fencing token, by the
database's clock; when that ends, or `next_attempt_at` comes, the resident drain takes it up from
what its steps say.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from connectors.models.connection import Connection


class Command(models.Model):
    """One accepted write. See the module for its states."""

    class State(models.TextChoices):
        ACCEPTED = "accepted"
        SENT = "sent"
        ACKNOWLEDGED = "acknowledged"
        CONFIRMED = "confirmed"
        REFUSED = "refused"
        FAILED = "failed"

    #: Somebody has something to do still.
    OPEN: ClassVar = (State.ACCEPTED, State.SENT, State.ACKNOWLEDGED)
    #: The database's time when it was accepted here, or claimed; of no others.
    looked_at: datetime

    id = models.BigAutoField(primary_key=True)
    reference = models.TextField(unique=True, help_text="Its public id.")
    operation = models.TextField(help_text="Slug of the operation.")
    caller = models.TextField(help_text="Who asked; idempotency keys are the caller's own.")
    idempotency_key = models.TextField()
    fingerprint = models.TextField(help_text="SHA-256 of operation and params, as canonical JSON.")
    params = models.JSONField()
    state = models.TextField(
        choices=State.choices, default=State.ACCEPTED, db_default=State.ACCEPTED
    )
    status = models.PositiveSmallIntegerField(
        null=True, help_text="HTTP status of the caller's answer, from when it is fixed."
    )
    result = models.JSONField(null=True, help_text="What the caller is given, where it went well.")
    problem = models.JSONField(
        null=True, help_text="{code, detail, …}: what the caller is given otherwise."
    )
    correlation_id = models.TextField(default="", db_default="")
    repeats = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How often its caller asked for it again."
    )
    accepted_at = models.DateTimeField(db_default=Now())
    deadline_at = models.DateTimeField(help_text="So long its caller waits.")
    deferred_at = models.DateTimeField(
        null=True, help_text="When it became the drain's: its caller had a 202, or no answer."
    )
    sent_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True, help_text="When nothing was left to do.")
    attempts = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How often somebody took it up."
    )
    next_attempt_at = models.DateTimeField(
        db_default=Now(), help_text="From when on the drain takes it up, if nobody holds it."
    )
    lease_until = models.DateTimeField(null=True, help_text="Empty: nobody works on it.")
    token = models.BigIntegerField(
        default=0, db_default=0, help_text="Fencing token: grows with each claim."
    )
    waits_for = models.ForeignKey(
        Connection,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="The connection whose trouble it waits out.",
    )
    error_code = models.TextField(default="", db_default="")
    error = models.TextField(default="", db_default="", help_text="What it met last.")
    given_up_by = models.TextField(default="", db_default="")
    given_up_because = models.TextField(default="", db_default="")

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["idempotency_key", "caller"], name="command_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["next_attempt_at", "id"],
                name="command_due",
                condition=Q(state__in=["accepted", "sent", "acknowledged"]),
            ),
            models.Index(
                fields=["lease_until"],
                name="command_leases",
                condition=Q(lease_until__isnull=False),
            ),
            models.Index(fields=["state", "-id"], name="command_state"),
            models.Index(fields=["caller", "-id"], name="command_caller"),
            models.Index(fields=["correlation_id"], name="command_correlation"),
            models.Index(fields=["finished_at"], name="command_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.reference}"

    @property
    def answered(self) -> bool:
        """Whether the caller's answer is fixed: `status`, and `result` or `problem`."""
        return self.status is not None


class CommandStep(models.Model):
    """One step, or the undoing of one (`<step>.undo`). What a resume goes by.

    A write is `running` before it is sent: whoever finds it so does not know whether it arrived.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        WAITING = "waiting"  # known not to have been sent: its upstream is away
        DONE = "done"
        SKIPPED = "skipped"
        REFUSED = "refused"
        FAILED = "failed"
        UNDONE = "undone"

    class Kind(models.TextChoices):
        CHECK = "check"
        WRITE = "write"
        DECIDE = "decide"
        UNDO = "undo"

    id = models.BigAutoField(primary_key=True)
    command = models.ForeignKey(Command, on_delete=models.CASCADE, related_name="steps")
    name = models.TextField()
    kind = models.TextField(choices=Kind.choices)
    state = models.TextField(choices=State.choices)
    capability = models.TextField(default="", db_default="")
    connection = models.ForeignKey(
        Connection, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    stream = models.TextField(default="", db_default="")
    record_key = models.TextField(default="", db_default="", db_collation="C")
    idempotency_key = models.TextField(
        default="", db_default="", help_text="The same for each try; of writes alone."
    )
    body = models.TextField(default="", db_default="", help_text="Exactly what is sent.")
    started_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, help_text="When it was last about to be sent.")
    finished_at = models.DateTimeField(null=True)
    read_back_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    result = models.JSONField(null=True)
    error_code = models.TextField(default="", db_default="")
    error = models.TextField(default="", db_default="")

    class Meta:
        ordering: ClassVar = ["started_at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["command", "name"], name="command_step_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["idempotency_key"],
                name="command_step_key",
                condition=~Q(idempotency_key=""),
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.state}"
