"""Freshness objectives: in which share of the time what changes upstream is here soon enough."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from observability.calendars import Calendar
from observability.display import duration


class FreshnessObjective(models.Model):
    """What is promised of some streams, and in which share of the minutes.

    It is about the streams that system, stream and data class narrow it to, each judged alone, and
    all of them together: a minute is good if none of them is late in it.
    """

    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[
            RegexValidator(r"^[a-z][a-z0-9_-]{0,62}$", "lower-case letters, digits, - and _")
        ],
        help_text="Its measurements are kept by this name, which therefore stays.",
    )
    system = models.CharField(max_length=63, blank=True, default="", help_text="Empty: every one.")
    stream = models.CharField(max_length=63, blank=True, default="", help_text="Empty: every one.")
    data_class = models.CharField(
        max_length=63,
        blank=True,
        default="",
        help_text="Streams that feed fields of this class, for example price. Empty: every one.",
    )
    max_age_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="A change that is not applied after so long is late. Empty: what the stream"
        " promises.",
    )
    target = models.FloatField(
        default=0.99,
        validators=[MinValueValidator(0.5), MaxValueValidator(0.99999)],
        help_text="Share of the minutes that shall be good, for example 0.99.",
    )
    window_days = models.PositiveIntegerField(
        default=28,
        validators=[MinValueValidator(1), MaxValueValidator(366)],
        help_text="Over so many days.",
    )
    calendar = models.ForeignKey(
        Calendar,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        help_text="Only minutes inside it count. Empty: all do.",
    )
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def promise(self) -> str:
        """In a sentence: `price, within 5 min, in 99 % of the minutes of 28 days (workdays)`."""
        place = (
            ".".join(filter(None, (self.system, self.stream))) or self.data_class or "all streams"
        )
        soon = "as each stream promises"
        if self.max_age_seconds is not None:
            soon = f"within {duration(self.max_age_seconds)}"
        when = f" ({self.calendar})" if self.calendar else ""
        return f"{place}, {soon}, in {100 * self.target:g} % of the minutes of {self.window_days} days{when}"
