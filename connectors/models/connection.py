"""What the hub is connected to: connections, and the streams of records that they offer."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models.functions import Now

from connectors.runtime.breaker import Breaker, Policy, breaker_of
from connectors.runtime.connector import Connector, connector_class
from connectors.runtime.declare import StreamSpec
from connectors.runtime.session import HubSession
from connectors.secrets import seal, unseal
from observability.errors import ConfigurationError
from observability.freshness import promise

SLUG = RegexValidator(r"^[a-z][a-z0-9_-]{0,62}$", "lower-case letters, digits, - and _ only")
LONGEST_WAIT = 7 * 24 * 3600
#: Beyond its time-outs: what a probe may take before its place is given to another.
MARGIN_SECONDS = 15.0


def waits(value: object) -> None:
    """Refuse what is no list of waits. Raises ValidationError."""
    if not isinstance(value, list) or not all(
        isinstance(item, (int, float)) and not isinstance(item, bool) and 0 <= item <= LONGEST_WAIT
        for item in value
    ):
        raise ValidationError(f"a list of seconds is wanted, each from 0 to {LONGEST_WAIT}")


def no_password(address: str) -> None:
    """Refuse an address with a user or a password in it: addresses are shown, and kept as they are.

    Raises ValidationError that does not repeat it.
    """
    if "@" in urlsplit(address).netloc:
        raise ValidationError("an address holds no user and no password; enter them as settings")


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
    breaker_enabled = models.BooleanField(
        default=True, db_default=True, help_text="While the system is down, leave it alone."
    )
    breaker_window_seconds = models.PositiveIntegerField(
        default=60,
        db_default=60,
        validators=[MinValueValidator(5), MaxValueValidator(3600)],
        help_text="The calls of the last so many seconds decide. 5 to 3600.",
    )
    breaker_minimum_calls = models.PositiveIntegerField(
        default=5,
        db_default=5,
        validators=[MinValueValidator(1), MaxValueValidator(10_000)],
        help_text="Fewer calls than this decide nothing.",
    )
    breaker_failure_share = models.FloatField(
        default=0.5,
        db_default=0.5,
        validators=[MinValueValidator(0.01), MaxValueValidator(1)],
        help_text="Opens when this share of them fails: 0.01 to 1. A refusal (4xx) is no failure.",
    )
    breaker_cooldown_seconds = models.PositiveIntegerField(
        default=15,
        db_default=15,
        validators=[MinValueValidator(1), MaxValueValidator(3600)],
        help_text="So long it is left alone before it is probed. 1 to 3600.",
    )
    breaker_probes = models.PositiveIntegerField(
        default=2,
        db_default=2,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="So many probes must go well before it is called as usual; no more run at once.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    paused_until = models.DateTimeField(
        null=True, editable=False, help_text="The upstream is left alone until then."
    )
    paused_because = models.TextField(default="", db_default="", editable=False)

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
        # Whoever enters settings wants them tried at once.
        self.paused_until, self.paused_because = None, ""

    @property
    def circuit_breaker(self) -> Breaker:
        """The breaker of this connection, with the row's settings."""
        policy = Policy(
            self.pk,
            window=self.breaker_window_seconds,
            minimum=self.breaker_minimum_calls,
            share=self.breaker_failure_share,
            cooldown=self.breaker_cooldown_seconds,
            probes=self.breaker_probes,
            lease=2 * self.timeout_seconds + MARGIN_SECONDS,
        )
        return breaker_of(self.slug, policy)

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
            breaker=self.circuit_breaker if self.breaker_enabled else None,
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
        help_text="A run that would tombstone more than this share is held for a person.",
    )
    reconcile_every_seconds = models.PositiveIntegerField(
        default=86_400,
        db_default=86_400,
        help_text="How often all records are compared with the upstream, in seconds. 0: never.",
    )
    reconcile_requests_per_second = models.FloatField(
        default=2.0,
        db_default=2.0,
        validators=[MinValueValidator(0.01)],
        help_text="A reconciliation asks no faster; and at most half of the connection's limit.",
    )
    retry_seconds = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        validators=[waits],
        help_text="Waits between the attempts of an event, in seconds, as [5, 30, 120]; each is"
        " the longest, a random part of it is waited. Empty: eight attempts in seventeen hours.",
    )

    stopped_at = models.DateTimeField(
        null=True, editable=False, help_text="Nothing of it is read or applied until it is resumed."
    )
    stopped_because = models.TextField(default="", db_default="", editable=False)

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
