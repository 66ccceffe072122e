"""How far each stream has been read, and every pull, reconciliation and remap of it.

A sync run is a row of work as well as its record:

    queued ──claim──▶ running ──▶ done | held (mass delete, wants a person) | failed
      ▲                  │
      └── retry, or lease expired: the next claimer goes on from the run's own cursor

Claims carry a lease and a fencing token, both by the database's clock: a worker that slept past
its lease finds its token outdated, and its page transaction is rolled back.

A remap reads what is stored and calls nobody; a reconciliation reads the whole stream at leisure,
beside the runs that keep it fresh.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from connectors.models.connection import Stream


class Checkpoint(models.Model):
    """How far a stream is applied, committed with the data that it covers.

    `position` is the newest change time that the upstream itself has told us (its clock);
    `watermark` the database time at which the last complete run began. `verified_through` is when
    the last reconciliation began, `exactness` the share of records (0 to 1) that it found here as
    they should have been.
    """

    stream = models.OneToOneField(Stream, on_delete=models.CASCADE, related_name="checkpoint")
    position = models.DateTimeField(null=True)
    watermark = models.DateTimeField(null=True)
    full_refresh_at = models.DateTimeField(null=True)
    verified_through = models.DateTimeField(null=True)
    exactness = models.FloatField(null=True)
    updated_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.stream} up to {self.position}"


class SyncRun(models.Model):
    """One pull: what was asked, how far it is, how it ended. See the module for its states."""

    class Kind(models.TextChoices):
        INCREMENTAL = "incremental"
        FULL = "full", "full refresh"
        BACKFILL = "backfill"
        RECORD = "record", "one record"
        REMAP = "remap"
        RECONCILE = "reconcile", "reconciliation"

    #: Kinds that move a stream's checkpoint; they take turns on it.
    KEEPS_FRESH: ClassVar = (Kind.INCREMENTAL, Kind.FULL, Kind.BACKFILL)
    #: Kinds that read all there is: what they do not see is gone.
    READS_ALL: ClassVar = (Kind.FULL, Kind.RECONCILE)

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        HELD = "held"
        FAILED = "failed"

    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="runs")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    record_key = models.TextField(blank=True, default="")
    state = models.CharField(max_length=20, choices=State.choices, default=State.QUEUED)
    asked_by = models.CharField(max_length=200, default="schedule")
    allow_deletes = models.BooleanField(default=False, help_text="Passes the mass-delete guard.")
    correlation_id = models.CharField(max_length=64, default="")

    attempts = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)
    token = models.BigIntegerField(default=0, help_text="Fencing token: grows with each claim.")

    since = models.DateTimeField(null=True, help_text="Changes from here on were asked for.")
    cursor = models.TextField(null=True, help_text="The page that comes next.")
    position = models.DateTimeField(null=True, help_text="Newest change time seen in this run.")
    pages = models.PositiveIntegerField(default=0)
    expected = models.PositiveIntegerField(null=True, help_text="Records, where the upstream tells")
    read = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    stored = models.PositiveIntegerField(default=0)
    quarantined = models.PositiveIntegerField(default=0)
    tombstoned = models.PositiveIntegerField(default=0)
    merged = models.PositiveIntegerField(default=0, help_text="Entity rows that changed.")
    compared = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Records held against what is stored."
    )
    missed = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Of these: not as they should have been; now they are."
    )

    queued_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=64, blank=True, default="")
    error = models.TextField(blank=True, default="")

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(
                fields=["not_before", "id"],
                name="sync_run_due",
                condition=models.Q(state__in=["queued", "running"]),
            ),
            models.Index(fields=["stream", "-id"], name="sync_run_of_stream"),
            models.Index(
                fields=["correlation_id"],
                name="sync_run_correlation",
                condition=~models.Q(correlation_id=""),
            ),
        ]
        constraints: ClassVar = [
            # Asking twice for the same pull is asking once.
            models.UniqueConstraint(
                fields=["stream", "kind", "record_key"],
                name="one_run_waiting",
                condition=models.Q(state="queued"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.stream} #{self.pk}"

    @property
    def share_done(self) -> float | None:
        """0 to 1 where the size is known."""
        if self.state == self.State.DONE:
            return 1.0
        return min(1.0, self.read / self.expected) if self.expected else None


class SeenPage(models.Model):
    """The record keys of one page of a full refresh: what was not seen is gone upstream."""

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="seen_pages")
    number = models.PositiveIntegerField()
    keys = models.JSONField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "number"], name="seen_page_once")
        ]

    def __str__(self) -> str:
        return f"page {self.number} of run {self.run_id}"
