"""What the hub is connected to, how far each stream has been read, and every pull of it.

A sync run is a row of work as well as its record:

    queued ──claim──▶ running ──▶ done | held (mass delete, wants a person) | failed
      ▲                  │
      └── retry, or lease expired: the next claimer goes on from the run's own cursor

Claims carry a lease and a fencing token, both by the database's clock: a worker that slept past
its lease finds its token outdated, and its page transaction is rolled back.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models.functions import Now

from connectors.runtime.connector import Connector, connector_class
from connectors.runtime.declare import StreamSpec
from connectors.runtime.session import HubSession
from connectors.secrets import seal, unseal
from observability.errors import ConfigurationError
from observability.freshness import promise

SLUG = RegexValidator(r"^[a-z][a-z0-9_-]{0,62}$", "lower-case letters, digits, - and _ only")


class Connection(models.Model):
    """A configured, credentialed instance of a connector."""

    slug = models.CharField(max_length=63, unique=True, validators=[SLUG])
    connector = models.CharField(max_length=63, help_text="Slug of the connector (its folder).")
    name = models.CharField(max_length=200)
    base_url = models.URLField(max_length=500)
    settings = models.JSONField(default=dict, blank=True, help_text="Members that are not secret.")
    secrets = models.TextField(blank=True, default="", editable=False)
    requests_per_second = models.FloatField(null=True, blank=True, help_text="Empty: no limit.")
    timeout_seconds = models.FloatField(default=30)
    max_body_bytes = models.PositiveIntegerField(default=32 * 1024 * 1024)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.name or self.slug

    def configure(self, values: dict[str, Any]) -> None:
        """Validate settings and secrets together and keep the secret ones encrypted.

        Raises ConfigurationError that names each wrong member.
        """
        declared = connector_class(self.connector).Settings
        secret = declared.secret_names()
        try:
            declared(**values)
        except ValueError as error:
            raise ConfigurationError(str(error), connection=self.slug) from error
        self.settings = {k: v for k, v in values.items() if k not in secret}
        self.secrets = seal({k: v for k, v in values.items() if k in secret})

    def open(self) -> Connector:
        """The connector, ready to speak to the upstream through the one session class."""
        cls = connector_class(self.connector)
        try:
            settings = cls.Settings(**self.settings, **unseal(self.secrets, self.slug))
        except ValueError as error:
            raise ConfigurationError(
                f"connection {self.slug} is not configured as {cls.label} needs it: {error}",
                connection=self.slug,
            ) from error
        session = HubSession(
            self.slug,
            self.base_url,
            auth=cls.auth(settings, self.base_url),
            requests_per_second=self.requests_per_second,
            timeout=(5.0, self.timeout_seconds),
            max_body_bytes=self.max_body_bytes,
        )
        return cls(session, settings)


class Stream(models.Model):
    """One collection of records of a connection, and how often it is read."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="streams")
    slug = models.CharField(max_length=63, validators=[SLUG])
    enabled = models.BooleanField(default=True)
    interval_seconds = models.PositiveIntegerField(default=60)
    objective_seconds = models.PositiveIntegerField(
        default=300, help_text="Freshness objective: values older than this are marked stale."
    )
    lookback_seconds = models.PositiveIntegerField(
        default=5, help_text="Window before the cursor that is read again on purpose."
    )
    delete_guard_share = models.FloatField(
        default=0.2,
        help_text="A full refresh that would tombstone more than this share is held for a person.",
    )

    class Meta:
        ordering: ClassVar = ["connection", "slug"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["connection", "slug"], name="stream_once")
        ]

    def __str__(self) -> str:
        return f"{self.connection.slug}.{self.slug}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep what was promised where ages are judged, in one transaction with the row."""
        with transaction.atomic():
            super().save(*args, **kwargs)
            for declared in (self.spec, *self.spec.children):
                promise(self.connection.slug, declared.slug, self.objective_seconds)

    @property
    def spec(self) -> StreamSpec:
        """The declaration in the connector's code."""
        return connector_class(self.connection.connector).stream(self.slug)


class Checkpoint(models.Model):
    """How far a stream is applied, committed with the data that it covers.

    `position` is the newest change time that the upstream itself has told us (its clock);
    `watermark` the database time at which the last complete run began.
    """

    stream = models.OneToOneField(Stream, on_delete=models.CASCADE, related_name="checkpoint")
    position = models.DateTimeField(null=True)
    watermark = models.DateTimeField(null=True)
    full_refresh_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.stream} up to {self.position}"


class SyncRun(models.Model):
    """One pull: what was asked, how far it is, how it ended. See the module for its states."""

    class Kind(models.TextChoices):
        INCREMENTAL = "incremental"
        FULL = "full", "full refresh"
        RECORD = "record", "one record"

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

    def __str__(self) -> str:
        return f"{self.stream} {self.record_key}: {self.path}"
