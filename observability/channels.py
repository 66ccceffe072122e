"""Who is told of incidents, and where: channels, and the path along which a trouble escalates.

What is sent waits on the floor above, which opens outgoing connections and says how
(`observability.telling.deliver_by`). A message is committed together with the note of who was told what (`Told`), so none is lost
and none is sent twice.

Nobody gets a message for each incident. A channel gets one at most in `every_seconds`, which says all
that is new since; incidents that are part of another, silenced, or acknowledged are not told.
"""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator, URLValidator, validate_email
from django.db import models
from django.db.models.functions import Now

from observability.alerts import AlertRule
from observability.incidents import Incident


class Channel(models.Model):
    """A place where people are told. What `address` and the secret are depends on the kind.

        kind      address                 secret
        email     addresses, by commas    none
        slack     none                    the address of an incoming webhook, which whoever has may use
        webhook   its address             made here, shown once: signs as Standard Webhooks 1.0 says
        sentry    none                    a DSN; empty: the process's own (SENTRY_DSN)

    `secrets` is encrypted as those of connections are; it is read on the floor above alone.
    """

    class Kind(models.TextChoices):
        EMAIL = "email", "e-mail"
        SLACK = "slack", "Slack, or what takes its webhooks"
        WEBHOOK = "webhook", "signed webhook (Standard Webhooks)"
        SENTRY = "sentry", "Sentry event"

    slug = models.SlugField(
        max_length=63,
        unique=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9_-]{0,62}$", "lower-case letters, digits, - _")],
    )
    kind = models.TextField(choices=Kind.choices)
    address = models.TextField(blank=True, default="", db_default="")
    secrets = models.TextField(blank=True, default="", editable=False)
    enabled = models.BooleanField(default=True)
    every_seconds = models.PositiveIntegerField(
        default=300,
        db_default=300,
        help_text="At most one message in so many seconds; it says all that is new.",
    )
    rules = models.ManyToManyField(
        AlertRule,
        blank=True,
        related_name="channels",
        help_text="Told at once of these, beside what the escalation path says.",
    )
    told_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.slug

    @property
    def addresses(self) -> list[str]:
        """Of an e-mail channel."""
        return [one.strip() for one in self.address.split(",") if one.strip()]

    def clean(self) -> None:
        """Refuse an address that nothing could be sent to."""
        try:
            if self.kind == self.Kind.EMAIL:
                for one in self.addresses:
                    validate_email(one)
            elif self.kind == self.Kind.WEBHOOK:
                URLValidator(schemes=["http", "https"])(self.address)
        except ValidationError as error:
            raise ValidationError({"address": error.messages}) from error
        if self.kind == self.Kind.EMAIL and not self.addresses:
            raise ValidationError({"address": "Enter at least one e-mail address."})
        if self.kind in (self.Kind.SLACK, self.Kind.SENTRY) and self.address:
            raise ValidationError({"address": "This kind has none: what it needs is its secret."})


class Escalation(models.Model):
    """One step of the path: who is told after how many minutes in which nobody acknowledged."""

    severity = models.TextField(choices=Incident.Severity.choices, default=Incident.Severity.PAGE)
    system = models.TextField(blank=True, default="", help_text="Of this system alone.")
    after_minutes = models.PositiveIntegerField(
        default=0, help_text="0: at once. Else so long after, if nobody has acknowledged it."
    )
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="steps")
    who = models.TextField(blank=True, default="", help_text="Who reads it, as: on duty this week.")

    class Meta:
        verbose_name = "escalation step"
        ordering: ClassVar = ["severity", "system", "after_minutes", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["severity", "system", "after_minutes", "channel"], name="escalation_once"
            )
        ]

    def __str__(self) -> str:
        after = f"after {self.after_minutes} minutes" if self.after_minutes else "at once"
        return f"{self.severity}, {after}: {self.who or self.channel}"


class Told(models.Model):
    """What a channel was told last about an incident."""

    class State(models.TextChoices):
        OPEN = "open"
        RESOLVED = "resolved"

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="told")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="told")
    state = models.TextField(choices=State.choices)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["incident", "channel"], name="told_once")
        ]

    def __str__(self) -> str:
        return f"{self.channel} of incident {self.incident_id}: {self.state}"
