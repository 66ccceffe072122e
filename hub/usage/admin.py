"""Field usage in the admin: who reads a field, and what a key reads."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin

from catalog.entities import entities
from catalog.sizes import BoundedPaginator
from hub.auth.models import ApiKey
from hub.usage import report
from hub.usage.models import FieldUsage

MOST_SHOWN = 200


@admin.register(FieldUsage)
class FieldUsageAdmin(ModelAdmin):  # type: ignore[misc]
    """Requests by day, key and field; looked at, never changed."""

    list_display = ("day", "path", "reader", "requests", "deprecated")
    list_filter = ("entity", "day")
    search_fields = ("=field", "=entity", "=key")
    date_hierarchy = "day"
    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[FieldUsage]:
        self._names = dict(ApiKey.objects.values_list("prefix", "name"))
        found: QuerySet[FieldUsage] = super().get_queryset(request)
        return found

    @admin.display(description="Field", ordering="field")
    def path(self, row: FieldUsage) -> str:
        return f"{row.entity}.{row.field}"

    @admin.display(description="API key", ordering="key")
    def reader(self, row: FieldUsage) -> str:
        return f"{self._names.get(row.key) or report.unnamed(row.key)} ({report.shown_as(row.key)})"

    @admin.display(description="Goes on")
    def deprecated(self, row: FieldUsage) -> Any:
        cls = entities().get(row.entity)
        marked = cls.declaration.deprecated.get(row.field) if cls else None
        return marked.sunset if marked else "–"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def read_by(key: ApiKey) -> str:
    """What a key has read in the last days, as a table for its page; deprecated fields first."""
    found = report.fields_of_key(key)
    if not found:
        return f"nothing in the last {report.DAYS} days"
    going = {".".join(field) for field in report.deprecated_fields()}
    found.sort(key=lambda row: row[0] not in going)
    rows = format_html_join(
        "",
        "<tr><td>{}{}</td><td>{}</td><td>{}</td></tr>",
        (
            (field, " (deprecated)" if field in going else "", requests, last)
            for field, requests, last in found[:MOST_SHOWN]
        ),
    )
    return format_html(
        "<table><thead><tr><th>Field</th><th>Requests in {} days</th><th>Last day</th></tr></thead>"
        "<tbody>{}</tbody></table>",
        report.DAYS,
        rows,
    )
