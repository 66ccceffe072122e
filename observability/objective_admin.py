"""Freshness objectives and calendars in the admin."""

from __future__ import annotations

from calendar import day_abbr
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from observability.calendars import Calendar
from observability.objectives import FreshnessObjective


@admin.register(FreshnessObjective)
class FreshnessObjectiveAdmin(ModelAdmin):  # type: ignore[misc]
    """What is promised; how well it is kept, the SLA page tells."""

    list_select_related = ("calendar",)
    list_display = ("name", "promise", "enabled")
    fields = (
        "name", "system", "stream", "data_class", "max_age_seconds", "target", "window_days",
        "calendar", "enabled",
    )  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002 (Django's)
        """Measurements are kept by the name."""
        return ("name",) if obj else ()


@admin.register(Calendar)
class CalendarAdmin(ModelAdmin):  # type: ignore[misc]
    """When promises hold."""

    list_display = ("name", "time_zone", "opens", "closes", "days")
    formfield_overrides: ClassVar = {ArrayField: {"widget": UnfoldAdminTextInputWidget}}
    nothing = "There are none: promises hold at every hour."

    @admin.display(description="weekdays")
    def days(self, row: Calendar) -> str:
        return ", ".join(day_abbr[number - 1] for number in row.weekdays) or "none"
