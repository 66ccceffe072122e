"""What is decided about drift, and what was noticed of it without a breach of contract."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from connectors.models.connection import Stream
from observability.incidents import Incident


class DriftPolicy(models.Model):
    """What happens to a record that departs from its contract; without a row it is quarantined.

    The nearest row decides: of the member and the breach, of the member, of the stream and the
    breach, of the stream. Where a record departs in several ways, the strictest action holds.
    """

    class Breach(models.TextChoices):
        ANY = "", "any"
        MISSING = "missing", "the member is missing"
        WRONG_TYPE = "wrong_type", "its value is of another type"
        UNKNOWN = "unknown", "the contract does not know it"

    class Action(models.TextChoices):
        """From the mildest to the strictest."""

        ACCEPT = "accept", "accept and report"
        DROP = "drop", "drop the value"
        QUARANTINE = "quarantine", "quarantine the record"
        STOP = "stop", "stop the stream"

    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="policies")
    path = models.TextField(
        blank=True, default="", verbose_name="member",
        help_text="Dotted, in the vendor's spelling, without the places in lists"
        " (to_Item.results.Material). Empty: the whole stream.",
    )  # fmt: skip
    breach = models.TextField(choices=Breach.choices, blank=True, default=Breach.ANY)
    action = models.TextField(choices=Action.choices, default=Action.QUARANTINE)
    note = models.TextField(blank=True, default="", help_text="Why, for whoever reads it next.")

    class Meta:
        verbose_name_plural = "drift policies"
        ordering: ClassVar = ["stream", "path", "breach"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["stream", "path", "breach"], name="drift_policy_once")
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.path or 'every member'}: {self.get_action_display()}"

    def clean(self) -> None:
        """Refuse what could not be kept."""
        allowed = (self.Action.ACCEPT, self.Action.STOP)
        if self.breach == self.Breach.UNKNOWN and self.action not in allowed:
            raise ValidationError(
                {
                    "action": "A member that the contract does not know is read by nobody, and"
                    " looked for in a sample of records: accept and report it, or stop the stream."
                }
            )


class FieldAlias(models.Model):
    """For a while a member of the contract is read under the name that the upstream has given it.

    What is stored stays as received. It ends when the contract names the new member, when its
    time is up, or when somebody ends it.
    """

    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="aliases")
    path = models.TextField(help_text="The contract's member, dotted, in the vendor's spelling.")
    renamed = models.TextField(
        help_text="What the upstream calls it now: the last step of the path."
    )
    evidence = models.TextField(blank=True, default="")
    accepted_by = models.CharField(max_length=200)
    accepted_at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_because = models.TextField(blank=True, default="")

    class Meta:
        verbose_name_plural = "field aliases"
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["stream", "path"], name="one_alias_in_force",
                condition=Q(ended_at__isnull=True),
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.stream} {self.path} as {self.renamed}"


class MemberChange(models.Model):
    """A member that appeared in a stream's records or vanished from them, and broke no contract.

    Counted in samples, so `records` says that it happened and how clearly, not how often.
    `values` are what the first ones held before (vanished) or hold now (appeared), by record key.
    """

    class Change(models.TextChoices):
        APPEARED = "appeared"
        VANISHED = "vanished"

    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="member_changes")
    path = models.TextField()
    change = models.TextField(choices=Change.choices)
    records = models.PositiveIntegerField(default=0)
    first_record = models.TextField()
    last_record = models.TextField()
    values = models.JSONField(default=dict)
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    reported_at = models.DateTimeField(null=True, help_text="When the report of a week named it.")

    class Meta:
        ordering: ClassVar = ["-last_seen_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["stream", "path", "change"], name="member_change_once"
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.stream} {self.path} {self.change}"


class OfDrift(models.Manager[Incident]):
    """Incidents of drift alone."""

    def get_queryset(self) -> models.QuerySet[Incident]:
        return super().get_queryset().filter(kind=Incident.Kind.CONTRACT_DRIFT)


class DriftIncident(Incident):
    """An incident of drift, with what this floor can do about it. The same table."""

    objects: ClassVar[Any] = OfDrift()

    class Meta:
        proxy = True
        ordering: ClassVar = ["-id"]
        verbose_name = "drift incident"
