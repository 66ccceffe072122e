"""Records held for breaking their contract."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from connectors.models.connection import Stream
from connectors.models.runs import SyncRun


class QuarantinedRecord(models.Model):
    """A record held because it breaks its contract or does not fit; the rest of the page went on.

    It leaves the quarantine when the same record later passes.
    """

    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="quarantine")
    record_key = models.TextField()
    payload = models.TextField(help_text="The record exactly as received.")
    path = models.TextField(help_text="Member of the record that breaks the contract.")
    reason = models.TextField()
    contract = models.CharField(max_length=64, default="")
    run = models.ForeignKey(SyncRun, on_delete=models.SET_NULL, null=True, related_name="+")
    correlation_id = models.CharField(max_length=64, default="")
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    times = models.PositiveIntegerField(default=1)

    class Meta:
        ordering: ClassVar = ["-last_seen_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["stream", "record_key"], name="quarantined_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["correlation_id"],
                name="quarantine_correlation",
                condition=~models.Q(correlation_id=""),
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.record_key}: {self.path}"
