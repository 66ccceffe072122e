"""How many values of a field changed within five minutes, by the system that brought them.

The peak of each hour is kept: a price list that changes every Monday is usual, a mapping that reads
the wrong member is not. Counted by the catalogue (`connectors.changing`), judged by an alert rule.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

WINDOW_MINUTES = 5


class FieldChanges(models.Model):
    """The most values of a field that changed in any five minutes of an hour; the last look's, too."""

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    system = models.TextField()
    stream = models.TextField()
    entity = models.TextField()
    field = models.TextField()
    peak = models.PositiveIntegerField(help_text="Values changed in the worst five minutes.")
    now = models.PositiveIntegerField(help_text="In the five minutes before it was last counted.")
    emptied = models.PositiveIntegerField(help_text="Of those: values that went away.")
    remapped = models.PositiveIntegerField(
        help_text="Of those: derived again from what was stored."
    )
    records = models.PositiveIntegerField(help_text="Records that the stream speaks about.")
    counted_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["system", "stream", "entity", "field", "hour"],
                name="field_changes_of_an_hour",
            )
        ]

    def __str__(self) -> str:
        return f"{self.entity}.{self.field} of {self.system}: {self.peak}"
