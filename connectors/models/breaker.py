"""The state of a connection's circuit breaker, as all processes and people see it.

`connectors.runtime.breaker` documents the states and is the only writer.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from connectors.models.connection import Connection


class Breaker(models.Model):
    """A connection without a row has a breaker that was never open."""

    class State(models.TextChoices):
        CLOSED = "closed", "closed"
        OPEN = "open", "open"
        HALF_OPEN = "half_open", "half-open"

    connection = models.OneToOneField(
        Connection, on_delete=models.CASCADE, primary_key=True, related_name="breaker"
    )
    state = models.TextField(choices=State.choices, default=State.CLOSED, db_default=State.CLOSED)
    since = models.DateTimeField(db_default=Now(), help_text="When it came into this state.")
    down_since = models.DateTimeField(null=True, help_text="When it was last closed before.")
    reason = models.TextField(default="", db_default="")
    changed_by = models.TextField(default="", db_default="", help_text="A person, or the breaker.")
    retry_at = models.DateTimeField(
        null=True, help_text="The next probe is let through from then on. Empty: a person decides."
    )
    probing = models.PositiveIntegerField(default=0, db_default=0, help_text="Probes under way.")
    probe_until = models.DateTimeField(null=True, help_text="Those that last longer are lost.")
    passed = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Probes that went well."
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["retry_at"], name="breaker_not_closed", condition=~models.Q(state="closed")
            )
        ]

    def __str__(self) -> str:
        return f"breaker of {self.connection.slug}: {self.get_state_display()}"
