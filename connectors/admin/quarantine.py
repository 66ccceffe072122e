"""Records that are held for breaking their contract."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog import masking
from catalog.admin import ReadOnlyAdmin
from catalog.admin.row_page import once
from catalog.payload import pretty
from connectors.admin.asking import OneRow, button, run_link, say_asked, who
from connectors.models import DriftIncident, QuarantinedRecord, Stream, SyncRun
from connectors.runtime import queue
from connectors.runtime.lineage import open_members
from observability.display import ago


class StreamFilter(admin.RelatedFieldListFilter):
    """Streams are named with their connection, which is read with them."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        streams = Stream.objects.select_related("connection")
        return [(row.pk, str(row)) for row in streams.order_by("connection__slug", "slug")]


@admin.register(QuarantinedRecord)
class QuarantineAdmin(OneRow, ReadOnlyAdmin):
    """Where each record breaks its contract, how, and what it looked like."""

    list_display = ("record", "stream", "where", "why", "last_seen", "times", "what_to_do")
    list_filter = ("stream__connection", ("stream", StreamFilter))
    list_select_related = ("stream__connection",)
    change_form_template = "admin/connectors/quarantinedrecord/change_form.html"
    search_fields = ("record_key",)
    search_help_text = "The upstream's key, or the beginning of it"
    ordering = ("-last_seen_at", "-id")
    nothing = "Every record that was read keeps its contract."
    sortable_by = ()
    actions = ("resync_record",)
    fields = (
        "stream", "record_key", "where", "why", "drift", "marked_payload", "contract", "first_seen",
        "last_seen", "times", "from_run", "correlation",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).select_related("stream__connection")
        one = request.resolver_match is not None and "object_id" in request.resolver_match.kwargs
        return rows if one else rows.defer("payload")

    @admin.display(description="what to do")
    @once
    def drift(self, row: QuarantinedRecord) -> SafeString | str:
        """Where it is said how many depart so, what hangs on it, and how to go on."""
        found = DriftIncident.objects.filter(
            system=row.stream.connection.slug, stream=row.stream.slug
        )
        one = found.filter(details__path=row.path).order_by("-id").first()
        if one is None:
            return "–"
        address = reverse("admin:connectors_driftincident_change", args=[one.pk])
        return format_html('<a class="hw-link" href="{}">{}</a>', address, one.title)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(record_key__startswith=term) if term else queryset), False

    @admin.action(description="Resync these records", permissions=["ask"])
    def resync_record(self, request: HttpRequest, rows: QuerySet[QuarantinedRecord]) -> None:
        """Fetch each record again; one that passes leaves the quarantine."""
        say_asked(
            request,
            [
                queue.ask(
                    row.stream,
                    SyncRun.Kind.RECORD,
                    asked_by=who(request),
                    record_key=row.record_key,
                )
                for row in rows
            ],
        )

    @admin.display(description="record")
    def record(self, row: QuarantinedRecord) -> SafeString:
        return format_html('<span class="hw-mono">{}</span>', row.record_key)

    @admin.display(description="member")
    def where(self, row: QuarantinedRecord) -> SafeString:
        return format_html('<code class="hw-mono">{}</code>', row.path or "the record as a whole")

    @admin.display(description="reason")
    def why(self, row: QuarantinedRecord) -> SafeString:
        told = masking.told(row.reason, self._cover(row))
        return format_html('<span class="hw-error">{}</span>', told)

    @admin.display(description="first seen")
    def first_seen(self, row: Any) -> SafeString:
        return ago(row.first_seen_at, row.asked_at)

    @admin.display(description="last seen")
    def last_seen(self, row: Any) -> SafeString:
        return ago(row.last_seen_at, row.asked_at)

    @admin.display(description="run")
    def from_run(self, row: QuarantinedRecord) -> SafeString | str:
        return run_link(row.run_id) if row.run_id else "–"

    @admin.display(description="payload as received")
    @once
    def marked_payload(self, row: QuarantinedRecord) -> SafeString:
        return pretty(row.payload, [row.path], covered=self._cover(row))

    def _cover(self, row: QuarantinedRecord) -> masking.Cover | None:
        opened = open_members(row.stream.connection.connector, row.stream.slug)
        return masking.but_for(opened, str(row.stream), row.record_key)

    @admin.display(description="")
    def what_to_do(self, row: QuarantinedRecord) -> SafeString:
        return button("resync_record", row.pk, "Resync", "Fetch this record again")
