"""When a promise holds: days of the week and hours in a time zone, without holidays.

A price list that changes on workdays is not late on a Sunday. Minutes are judged by the local clock:
of the hour that daylight saving repeats both count, and the one that it skips has no minutes.
"""

from __future__ import annotations

from datetime import time
from typing import ClassVar
from zoneinfo import available_timezones

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models

MIDNIGHT = time(0, 0)


def known_zone(name: str) -> None:
    """Refuse what is no time zone. Raises ValidationError."""
    if name not in available_timezones():
        raise ValidationError(f"{name!r} is no time zone; write for example Europe/Berlin or UTC")


def days_of_week(days: list[int]) -> None:
    """Refuse what are no days. Raises ValidationError."""
    if not days or len(set(days)) != len(days) or not set(days) <= set(range(1, 8)):
        raise ValidationError("write each day once, from 1 (Monday) to 7 (Sunday), as 1,2,3,4,5")


def every_day() -> list[int]:
    return list(range(1, 8))


class Calendar(models.Model):
    """Times at which something is promised. From midnight to midnight is the whole day."""

    name = models.CharField(max_length=100, unique=True)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[known_zone])
    weekdays = ArrayField(
        models.SmallIntegerField(),
        default=every_day,
        validators=[days_of_week],
        help_text="ISO 8601 days, from 1 (Monday) to 7 (Sunday), for example 1,2,3,4,5.",
    )
    opens = models.TimeField(
        default=MIDNIGHT, help_text="Local time; the first minute that counts."
    )
    closes = models.TimeField(
        default=MIDNIGHT,
        help_text="Local time; the first minute that does not count. Before `opens`: the next day.",
    )
    holidays = ArrayField(
        models.DateField(),
        default=list,
        blank=True,
        help_text="Local days that do not count, for example 2026-12-25,2026-12-26.",
    )

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


#: Whether calendar `c` holds at a moment, as SQL; a missing calendar holds always.
INSIDE = """(c.id IS NULL OR (
    EXTRACT(ISODOW FROM {moment} AT TIME ZONE c.time_zone) = ANY (c.weekdays)
    AND ({moment} AT TIME ZONE c.time_zone)::date <> ALL (c.holidays)
    AND CASE WHEN c.opens < c.closes
        THEN ({moment} AT TIME ZONE c.time_zone)::time >= c.opens
         AND ({moment} AT TIME ZONE c.time_zone)::time < c.closes
        ELSE ({moment} AT TIME ZONE c.time_zone)::time >= c.opens
          OR ({moment} AT TIME ZONE c.time_zone)::time < c.closes END))"""
