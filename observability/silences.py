"""Silences: for a while nobody is told of some incidents, because of planned work or on request.

One for planned maintenance also says so in reads (`observability.degradation`): values of the system
that are older than promised are so because of the maintenance. What is still wrong when a silence
ends is told then.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

#: Whether a system (`{system}`) is in planned maintenance in a minute (`{at}`): what was said of it only
#: afterwards was no plan.
COVERED = """EXISTS (
        SELECT FROM observability_silence q WHERE q.maintenance AND q.system = {system}
            AND GREATEST(q.starts_at, q.made_at) <= {at} AND q.until > {at})"""
#: When the last maintenance of it before then was over; null: there was none.
OVER = """(
        SELECT max(q.until) FROM observability_silence q WHERE q.maintenance
            AND q.system = {system} AND q.until <= {at} AND q.made_at < q.until)"""
#: A window that nobody would forget in earnest.
LONGEST = timedelta(days=30)


class Silence(models.Model):
    """From when until when nobody is told, of what, why and who said so."""

    system = models.TextField(
        blank=True, default="", db_default="", help_text="Slug of the system. Empty: all."
    )
    stream = models.TextField(
        blank=True, default="", db_default="", help_text="Slug of the stream. Empty: all of it."
    )
    kind = models.TextField(
        blank=True, default="", db_default="", help_text="Of this rule alone. Empty: of all."
    )
    starts_at = models.DateTimeField(db_default=Now(), verbose_name="from")
    until = models.DateTimeField()
    maintenance = models.BooleanField(
        default=True,
        db_default=True,
        help_text="The whole system is in planned maintenance: reads say so of its values.",
    )
    reason = models.TextField(help_text="Shown to whoever reads values that grow old meanwhile.")
    made_by = models.TextField(default="", db_default="", editable=False)
    made_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-until"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(until__gt=F("starts_at")), name="silence_lasts")
        ]
        indexes: ClassVar = [models.Index(fields=["until"], name="silence_until")]

    def __str__(self) -> str:
        place = ".".join(part for part in (self.system, self.stream) if part) or "everything"
        return f"{self.kind or 'all'} of {place} until {self.until:%Y-%m-%d %H:%M} UTC"

    def clean(self) -> None:
        """Refuse what would silence nothing, everything for ever, or lie to readers."""
        wrong: dict[str, str] = {}
        # Missing where the form refused them, and the database's to say where they were left out.
        begins: Any = self.starts_at
        ends: Any = self.until
        if isinstance(begins, datetime) and isinstance(ends, datetime):
            if ends <= begins:
                wrong["until"] = "It has to end after it begins."
            elif ends - begins > LONGEST:
                wrong["until"] = f"At most {LONGEST.days} days; make another one then."
        if self.stream and not self.system:
            wrong["system"] = "Name the system of the stream."
        if self.maintenance and not self.system:
            wrong["system"] = "Name the system that is in maintenance."
        if self.maintenance and (self.stream or self.kind):
            wrong["maintenance"] = (
                "Maintenance is of a whole system; leave stream and kind empty, or switch this off."
            )
        if wrong:
            raise ValidationError(wrong)


def end(rows: models.QuerySet[Silence]) -> int:
    """End windows that run, and drop those that have not begun; how many."""
    dropped, _ = rows.filter(starts_at__gte=Now()).delete()
    return dropped + rows.filter(until__gt=Now()).update(until=Now())
