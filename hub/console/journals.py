"""The journals in the admin: what was asked of other systems, and what was asked of us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.admin import ReadOnlyAdmin
from connectors.models import Connection, Subscriber
from observability.calls import OutgoingCall
from observability.display import Tone, ago, badge
from observability.received import BROKEN, ReceivedRequest


class OfIdAdmin(ReadOnlyAdmin):
    """Rows that are looked for by their correlation id."""

    search_fields = ("correlation_id",)
    search_help_text = "Correlation id, as a whole"
    ordering = ("-id",)
    sortable_by = ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(correlation_id=term) if term else queryset), False

    @admin.display(description="when")
    def when(self, row: Any) -> SafeString:
        return ago(row.at, row.asked_at)

    @admin.display(description="took")
    def took(self, row: Any) -> str:
        return f"{row.milliseconds:,.1f} ms"

    @admin.display(description="request")
    def request_line(self, row: Any) -> SafeString:
        return format_html('<span class="hw-mono">{} {}</span>', row.method, row.path)


class SystemFilter(admin.SimpleListFilter):
    """Calls to one system: a connection or a subscriber."""

    title = "system"
    parameter_name = "system"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        slugs = Connection.objects.values_list("slug").union(Subscriber.objects.values_list("slug"))
        return [(slug, slug) for (slug,) in sorted(slugs)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(system=self.value()) if self.value() else queryset


class FailedFilter(admin.SimpleListFilter):
    """Those that failed."""

    title = "outcome"
    parameter_name = "outcome"
    failed: Q = ~Q(error="")

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("failed", "Failed only")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(self.failed) if self.value() == "failed" else queryset


class BrokenFilter(FailedFilter):
    """Answers of 500 and above."""

    failed = Q(status__gte=BROKEN)


@admin.register(OutgoingCall)
class OutgoingCallAdmin(OfIdAdmin):
    """Every attempt of a call to another system, of the last week."""

    list_display = ("when", "system", "request_line", "outcome", "took", "size", "correlation")
    list_filter = (SystemFilter, FailedFilter)
    fields = (
        "when", "system", "operation", "request_line", "outcome", "took", "size", "left",
        "correlation",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="outcome")
    def outcome(self, row: OutgoingCall) -> SafeString:
        status = "no answer" if row.status is None else row.status
        return badge(status, Tone.BAD if row.error else Tone.GOOD, row.error)

    @admin.display(description="sent, received")
    def size(self, row: OutgoingCall) -> str:
        return f"{row.sent_bytes:,} B, {row.received_bytes:,} B"

    @admin.display(description="left of the rate limit")
    def left(self, row: OutgoingCall) -> str:
        return "not told" if row.headroom is None else f"{row.headroom:.0%}"


@admin.register(ReceivedRequest)
class ReceivedRequestAdmin(OfIdAdmin):
    """Requests that changed something, refused webhooks and failures, of the last week."""

    list_display = ("when", "request_line", "outcome", "took", "correlation")
    list_filter = (BrokenFilter,)
    fields = list_display
    readonly_fields = fields

    @admin.display(description="outcome")
    def outcome(self, row: ReceivedRequest) -> SafeString:
        good, refused = row.status < 400, row.status < BROKEN
        return badge(row.status, Tone.GOOD if good else Tone.WARN if refused else Tone.BAD)
