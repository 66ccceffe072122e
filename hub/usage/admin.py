"""Field usage in the admin: who reads a field, and what a key reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateFilter

from catalog.entities import entities
from catalog.sizes import BoundedPaginator
from hub.auth.models import ApiKey
from hub.usage import report
from hub.usage.models import FieldUsage

MOST_SHOWN = 200


class EntityFilter(admin.SimpleListFilter):
    """By one of the entities that there are: to look for those that were read would read every row."""

    title = "entity"
    parameter_name = "entity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(name, name) for name in sorted(entities())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(entity=self.value()) if self.value() else queryset


@admin.register(FieldUsage)
class FieldUsageAdmin(ModelAdmin):  # type: ignore[misc]
    """Requests by day, key and field; looked at, never changed."""

    list_display = ("day", "path", "reader", "requests", "deprecated")
    list_filter = (EntityFilter, ("day", RangeDateFilter))
    list_filter_submit = True
    search_fields = ("=field", "=entity", "=key")
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
