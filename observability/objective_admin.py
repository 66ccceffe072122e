"""Freshness objectives and calendars in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from observability.calendars import Calendar
from observability.objectives import FreshnessObjective


@admin.register(FreshnessObjective)
class FreshnessObjectiveAdmin(ModelAdmin):  # type: ignore[misc]
    """What is promised; how well it is kept, the SLA page tells."""

    list_select_related = ("calendar",)
    list_display = ("name", "promise", "enabled")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002 (Django's)
        """Measurements are kept by the name."""
        return ("name",) if obj else ()


@admin.register(Calendar)
class CalendarAdmin(ModelAdmin):  # type: ignore[misc]
    """When promises hold."""

    list_display = ("name", "time_zone", "opens", "closes", "weekdays")
