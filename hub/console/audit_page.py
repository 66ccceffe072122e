"""The audit log in the admin: who did what to what, and what became of it; as CSV and JSON too."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter, TextFilter

from catalog.admin import ReadOnlyAdmin
from hub.console.settlement import Line, plain
from observability.audit import AuditEntry, Outcome
from observability.display import Tone, ago, badge, to_the_second

TONES = {
    Outcome.DONE: Tone.GOOD,
    Outcome.SHOWN: Tone.QUIET,
    Outcome.HELD: Tone.BUSY,
    Outcome.REFUSED: Tone.WARN,
    Outcome.FAILED: Tone.BAD,
}
COLUMNS = (
    "id", "at", "actor", "roles", "action", "page", "subject", "objects", "details", "reason",
    "outcome", "correlation_id", "address", "digest",
)  # fmt: skip
EXPORTS = {"csv": "text/csv; charset=utf-8", "json": "application/x-ndjson"}
AT_ONCE = 500


class ActorFilter(TextFilter):  # type: ignore[misc]
    """Entries of one person."""

    title = "who"
    parameter_name = "who"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = queryset.filter(actor=self.value()) if self.value() else queryset
        return rows


class OutcomeFilter(admin.SimpleListFilter):
    """By what became of it."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((str(v), str(label).capitalize()) for v, label in Outcome.choices),
                ("unknown", "Not known: cut off, or running")]  # fmt: skip

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(became="" if self.value() == "unknown" else self.value())


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Newest first. An action and its outcome are two entries, shown as one."""

    list_display = ("when", "who", "what", "which", "became_of", "reason")
    list_filter = (OutcomeFilter, ActorFilter, ("at", RangeDateTimeFilter))
    list_filter_submit = True
    list_before_template = "console/audit_export.html"
    search_fields = ("actor", "action", "subject", "page")
    search_help_text = "Who, what, where, one of the objects, or a correlation id"
    ordering = ("-id",)
    nothing = "Nobody has done anything yet."
    sortable_by = ()
    fields = (
        "when", "who", "what", "sort_of_thing", "objects", "said", "reason", "became_of",
        "address", "correlation", "chain",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Actions with their outcome beside them."""
        outcome = AuditEntry.objects.filter(of=OuterRef("pk")).values("outcome")[:1]
        actions: QuerySet[Any] = super().get_queryset(request).filter(of=None)
        found: QuerySet[Any] = actions.annotate(became=Coalesce(Subquery(outcome), "outcome"))
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(correlation_id=term) | Q(objects_named__contains=[term])
        for name in self.search_fields:
            found |= Q(**{f"{name}__icontains": term})
        return queryset.filter(found), False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export)
        address = path("export.<slug:form>", view, name="observability_auditentry_export")
        return [address, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With links to the same as a file."""
        name, shown_by = "admin:observability_auditentry_export", request.GET.urlencode()
        links = [(form.upper(), f"{reverse(name, args=[form])}?{shown_by}") for form in EXPORTS]
        shown: HttpResponse = super().changelist_view(
            request, {**(extra_context or {}), "export_links": links}
        )
        return shown

    def export(self, request: HttpRequest, form: str) -> StreamingHttpResponse:
        """What the list shows under these filters, all of it; the export is an entry itself."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if form not in EXPORTS:
            raise Http404(f"There is no export as {form}; there are {', '.join(EXPORTS)}.")
        rows = self.get_changelist_instance(request).get_queryset(request).order_by("id")
        told = as_csv(rows) if form == "csv" else as_json(rows)
        headers = {"Content-Disposition": f'attachment; filename="audit.{form}"'}
        return StreamingHttpResponse(told, content_type=EXPORTS[form], headers=headers)

    @admin.display(description="when")
    def when(self, row: Any) -> SafeString:
        return format_html(
            '{}<div class="hw-dim hw-nowrap">{}</div>',
            ago(row.at, row.asked_at),
            to_the_second(row.at),
        )

    @admin.display(description="who")
    def who(self, row: AuditEntry) -> SafeString:
        return format_html('{}<div class="hw-dim">{}</div>', row.actor, row.roles)

    @admin.display(description="what")
    def what(self, row: AuditEntry) -> SafeString:
        said = row.action.replace("_", " ")
        return format_html('{}<div class="hw-dim hw-mono hw-wrap">{}</div>', said, row.page)

    @admin.display(description="on which")
    def which(self, row: AuditEntry) -> SafeString:
        named = ", ".join(row.objects_named[:5])
        more = f" and {len(row.objects_named) - 5} more" if len(row.objects_named) > 5 else ""
        return format_html(
            '{}<div class="hw-mono hw-wrap">{}{}</div>', spoken(row.subject), named, more
        )

    @admin.display(description="on what")
    def sort_of_thing(self, row: AuditEntry) -> str:
        return spoken(row.subject) or "–"

    @admin.display(description="outcome")
    def became_of(self, row: Any) -> SafeString:
        if not row.became:
            return badge("not known", Tone.WARN, "It runs still, or was cut off.")
        return badge(Outcome(row.became).label, TONES[Outcome(row.became)])

    @admin.display(description="objects")
    def objects(self, row: AuditEntry) -> str:
        return ", ".join(row.objects_named) or "–"

    @admin.display(description="details")
    def said(self, row: AuditEntry) -> SafeString:
        if not row.details:
            return format_html("{}", "–")
        told = ((name.replace("_", " "), in_text(value)) for name, value in row.details.items())
        return format_html_join("", '<div class="hw-wrap"><b>{}</b> {}</div>', told)

    @admin.display(description="digest")
    def chain(self, row: AuditEntry) -> SafeString:
        return format_html('<span class="hw-mono hw-wrap">{}</span>', bytes(row.digest).hex())


def spoken(subject: str) -> str:
    """The sort of thing as the console calls it: `connectors.auctionbid` is an auction bid."""
    try:
        return str(apps.get_model(subject)._meta.verbose_name)
    except (LookupError, ValueError):
        return subject.replace("_", " ").replace("-", " ")


def in_text(value: Any) -> str:
    """What a form sent, without the signs of JSON."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {in_text(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(in_text, value))
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "–"}[value]
    return str(value)


def cells(row: Any) -> list[Any]:
    """One entry, in the order of `COLUMNS`."""
    return [
        row.pk, row.at.isoformat(), row.actor, row.roles, row.action, row.page, row.subject,
        row.objects_named, row.details, row.reason, row.became, row.correlation_id, row.address,
        bytes(row.digest).hex(),
    ]  # fmt: skip


def as_csv(rows: QuerySet[Any]) -> Iterator[str]:
    """The entries as a table."""
    table = csv.writer(Line())
    yield table.writerow(COLUMNS)
    for row in rows.iterator(AT_ONCE):
        texts = (json.dumps(c) if isinstance(c, (list, dict)) else str(c) for c in cells(row))
        yield table.writerow([plain(text) for text in texts])


def as_json(rows: QuerySet[Any]) -> Iterator[str]:
    """The entries, one JSON object a line."""
    for row in rows.iterator(AT_ONCE):
        yield json.dumps(dict(zip(COLUMNS, cells(row), strict=True))) + "\n"
