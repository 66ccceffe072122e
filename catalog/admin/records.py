"""Source records: what each system says, as received."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog import masking
from catalog.admin.reading import ReadOnlyAdmin, TombstoneFilter, entity_link, in_words
from catalog.admin.row_page import once
from catalog.payload import pretty
from catalog.source import SourceRecord
from observability.display import ago, badge


@admin.register(SourceRecord)
class SourceRecordAdmin(ReadOnlyAdmin):
    """What each system says, as received."""

    list_display = ("record_key", "system", "about", "observed", "changed_there", "gone")
    list_filter = ("source", TombstoneFilter)
    list_select_related = ("source",)
    search_fields = ("record_key",)
    search_help_text = "The upstream's key, or the natural key, or the beginning of one"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        "system", "record_key", "about", "as_received", "mapped", "observed", "changed_there",
        "gone", "run", "event", "correlation", "contract",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).select_related("source")
        one = request.resolver_match is not None and "object_id" in request.resolver_match.kwargs
        return rows if one else rows.defer("payload", "fields", "payload_hash")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By either key, each through its own index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        by_record = queryset.filter(record_key__startswith=term)
        return by_record if by_record.exists() else queryset.filter(
            entity_key__startswith=term
        ), False

    @admin.display(description="system")
    def system(self, row: SourceRecord) -> SafeString:
        return format_html("{} {}", badge(row.source.system), row.source.stream)

    @admin.display(description="speaks about")
    def about(self, row: SourceRecord) -> SafeString:
        link = entity_link(row.source.entity, row.entity_key)
        return format_html("{} {}", row.source.entity, link)

    @admin.display(description="read")
    def observed(self, row: Any) -> SafeString:
        return ago(row.observed_at, row.asked_at)

    @admin.display(description="changed there")
    def changed_there(self, row: Any) -> SafeString:
        return ago(row.changed_at, row.asked_at)

    @admin.display(description="tombstone")
    def gone(self, row: Any) -> SafeString:
        return ago(row.deleted_at, row.asked_at)

    @admin.display(description="mapped fields")
    @once
    def mapped(self, row: SourceRecord) -> SafeString:
        return format_html_join("", "<div><b>{}</b> {}</div>", self._fields(row))

    @admin.display(description="payload as received")
    @once
    def as_received(self, row: SourceRecord) -> SafeString:
        source = row.source
        covered = masking.cover(source.system, source.stream, source.entity, row.entity_key)
        return pretty(row.payload, covered=covered)

    def _fields(self, row: SourceRecord) -> Iterator[tuple[str, str]]:
        about = row.source.entity
        for name, value in row.fields.items():
            yield name, in_words(masking.shown(about, name, value, row.entity_key))
