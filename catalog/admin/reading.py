"""What every page of the catalogue shares: read-only rows, links by natural key, values in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import Model, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from catalog.entities import entity
from catalog.sizes import BoundedPaginator
from observability.display import correlation_link, to_the_second


def entity_url(name: str, key: str) -> str:
    """The page of one entity row."""
    options = entity(name)._meta
    return reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[quote(key)])


def entity_link(name: str, key: str) -> SafeString:
    """A link to the page of one entity row, by its natural key."""
    return format_html('<a class="hw-link hw-mono" href="{}">{}</a>', entity_url(name, key), key)


def in_words(value: Any) -> str:
    """A value for a list or a heading: of a localized text the English one, else any."""
    if isinstance(value, dict):
        english = next((text for locale, text in value.items() if locale.startswith("en")), None)
        value = english or next(iter(value.values()), "")
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime):
        return to_the_second(value)
    return "" if value is None else str(value)


def _row_link(page: str, pk: int | None, what: str) -> SafeString | str:
    if pk is None:
        return "–"
    address = reverse(f"admin:{page}_change", args=[pk])
    return format_html('<a class="hw-link" href="{}">{} #{}</a>', address, what, pk)


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Shows rows; nobody adds, changes or deletes them here."""

    show_full_result_count = False
    paginator = BoundedPaginator
    list_per_page = 50
    change_form_template = "admin/catalog/read_only.html"

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @admin.display(description="correlation id")
    def correlation(self, row: Any) -> SafeString:
        """For rows that have one: a link to everything under it."""
        return correlation_link(row.correlation_id)

    @admin.display(description="run")
    def run(self, row: Any) -> SafeString | str:
        """For rows that a sync run wrote."""
        return _row_link("connectors_syncrun", row.run_id, "run")

    @admin.display(description="event")
    def event(self, row: Any) -> SafeString | str:
        """For rows that an event wrote."""
        return _row_link("connectors_inboxevent", row.event_id, "event")

    @admin.display(description="source record")
    def source_record(self, row: Any) -> SafeString | str:
        """For rows that say which source record stood behind them."""
        return _row_link("catalog_sourcerecord", row.source_record_id, "source record")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows with the database's time beside them, by which ages are told."""
        rows: QuerySet[Any] = super().get_queryset(request).annotate(asked_at=Now())
        return rows


class TombstoneFilter(admin.SimpleListFilter):
    """Live rows unless asked otherwise."""

    title = "tombstones"
    parameter_name = "tombstones"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("only", "Tombstones only"), ("all", "With tombstones")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return queryset
        return queryset.filter(deleted_at__isnull=self.value() != "only")
