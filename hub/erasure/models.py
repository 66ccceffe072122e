"""One erasure: how far it is, and its certificate. What names the person goes with the last step."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class Erasure(models.Model):
    """`done` {step: what it erased} is its progress; `sealed` what is searched for, until the end."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"

    id = models.BigAutoField(primary_key=True)
    entity = models.TextField()
    key = models.TextField(default="", blank=True, help_text="Natural key; empty once it is done.")
    digest = models.TextField(help_text="By it the key is recognised later (catalog.suppression).")
    sealed = models.TextField(default="", blank=True)
    state = models.TextField(choices=State.choices, default=State.RUNNING, db_default="running")
    done = models.JSONField(default=dict)
    asked_by = models.TextField()
    approved_by = models.TextField(default="", blank=True)
    reason = models.TextField(default="", blank=True)
    correlation_id = models.TextField(default="", blank=True)
    begun_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    certificate = models.JSONField(null=True)
    signature = models.TextField(default="", blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["entity", "digest"],
                name="one_erasure_running",
                condition=models.Q(state="running"),
            )
        ]

    def __str__(self) -> str:
        return f"erasure #{self.pk} of a {self.entity}"
