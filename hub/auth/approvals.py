"""What waits for a second person: an action above its blast radius, as it was asked for.

    waiting ──▶ approved    another person said yes, and it was run: `outcome`
       ├──────▶ declined    another person said no
       ├──────▶ withdrawn   its asker did
       └──────▶ expired     nobody decided in time (by the database's clock)

The form as it was sent is kept sealed, because a filter may name anything; it is thrown away when the
row is decided.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.contrib.auth.models import User
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

#: So long a yes can still be given.
OPEN_FOR = timedelta(hours=24)


class Approval(models.Model):
    """One action that waits, or was decided about. `radius` counts what `unit` names."""

    class State(models.TextChoices):
        WAITING = "waiting"
        APPROVED = "approved"
        DECLINED = "declined"
        WITHDRAWN = "withdrawn"
        EXPIRED = "expired"

    id = models.BigAutoField(primary_key=True)
    action = models.TextField(help_text="Name of the action in hub/console/approvals.py.")
    says = models.TextField(help_text="What it would do, as it was counted when it was asked for.")
    radius = models.BigIntegerField()
    limit = models.BigIntegerField(help_text="Above it a second person is needed.")
    unit = models.TextField()
    path = models.TextField()
    query = models.TextField(default="", blank=True)
    form = models.TextField(help_text="The form as it was sent, sealed.")
    asked_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    reason = models.TextField(default="", blank=True)
    expires_at = models.DateTimeField(db_default=Now() + models.Value(OPEN_FOR))
    state = models.TextField(choices=State.choices, default=State.WAITING, db_default="waiting")
    decided_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decided_because = models.TextField(default="", blank=True)
    outcome = models.TextField(default="", blank=True)
    correlation_id = models.TextField(default="", blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~Q(decided_by=F("asked_by")) | Q(state="withdrawn"),
                name="approval_by_another",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["expires_at"], name="approval_open", condition=Q(state="waiting"))
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.says}"


def expire_due() -> int:
    """End those that nobody decided about in time; how many."""
    due = Approval.objects.filter(state=Approval.State.WAITING, expires_at__lte=Now())
    return due.update(state=Approval.State.EXPIRED, form="", decided_at=Now())


def decide(pk: int, state: str, by: User, because: str) -> bool:
    """Take a waiting row to `state`; False where it waits no more, or it is one's own to approve."""
    rows = Approval.objects.filter(pk=pk, state=Approval.State.WAITING, expires_at__gt=Now())
    own = (
        rows.filter(asked_by=by) if state == Approval.State.WITHDRAWN else rows.exclude(asked_by=by)
    )
    return bool(own.update(state=state, decided_by=by, decided_at=Now(), decided_because=because))
