"""Sync runs: how far each is, how it ended, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.admin import ReadOnlyAdmin
from catalog.admin.row_page import RowPage
from connectors.admin.asking import OneRow, button, may_ask, say_asked, who
from connectors.admin.progress import COUNTERS, bar, part, progress, state_badge, taken
from connectors.models import SyncRun
from connectors.runtime import queue
from observability.display import ago, correlation_link

AT_ONCE = 200


@admin.register(SyncRun)
class SyncRunAdmin(OneRow, RowPage, ReadOnlyAdmin):
    """Every pull, newest first, with live progress."""

    list_display = (
        "number", "of_stream", "state_now", "how_far", "changed", "held_back", "when", "time_taken",
        "what_to_do",
    )  # fmt: skip
    list_filter = ("state", "kind", "stream__connection")
    list_select_related = ("stream__connection",)
    list_before_template = "admin/connectors/syncrun/live.html"
    change_form_template = "admin/connectors/syncrun/change_form.html"
    search_fields = ("correlation_id",)
    search_help_text = "Correlation id, or #number"
    sortable_by = ()
    actions = ("retry", "confirm_deletions")
    fields = ()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.progress_view)
        address = path("progress/", view, name="connectors_syncrun_progress")
        return [address, *super().get_urls()]

    def progress_view(self, request: HttpRequest) -> HttpResponse:
        """`?id=1&id=2`: those runs, for the script."""
        if not self.has_view_permission(request):
            return JsonResponse({"runs": []}, status=403)
        ids = [int(i) for i in request.GET.getlist("id") if i.isascii() and i.isdigit()]
        runs = self.get_queryset(request).filter(pk__in=ids[:AT_ONCE])
        return JsonResponse(
            {"runs": [progress(run, run.asked_at) for run in runs]},
            headers={"Cache-Control": "no-store"},
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().lstrip("#")
        if term.isascii() and term.isdigit() and len(term) < 18:
            return queryset.filter(pk=int(term)), False
        return (queryset.filter(correlation_id=term) if term else queryset), False

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        times = (
            ("queued", row.queued_at),
            ("not before", row.not_before if row.state == SyncRun.State.QUEUED else None),
            ("started", row.started_at),
            ("finished", row.finished_at),
            ("changes asked for since", row.since),
            ("newest change seen", row.position),
        )
        return {
            "title": f"{row.get_kind_display().capitalize()} of {row.stream}",
            "subtitle": f"run #{row.pk}",
            "run": row,
            "may_ask": may_ask(request),
            "state": state_badge(row),
            "correlation": correlation_link(row.correlation_id),
            "bar": bar(row),
            "taken": part(row, "duration", taken(row, row.asked_at)),
            "counters": [(name, part(row, name, f"{getattr(row, name):,}")) for name in COUNTERS],
            "times": [(name, ago(moment, row.asked_at)) for name, moment in times if moment],
            "progress_address": reverse("admin:connectors_syncrun_progress"),
        }

    @admin.action(description="Retry failed runs", permissions=["ask"])
    def retry(self, request: HttpRequest, runs: QuerySet[SyncRun]) -> None:
        """Queue again what failed; it goes on from its own cursor."""
        failed = [run for run in runs if run.state == SyncRun.State.FAILED]
        for run in failed:
            queue.retry(run, who(request))
        if failed:
            say_asked(request, failed)
        else:
            messages.warning(request, "Nothing to retry: no failed run among them.")

    @admin.action(description="Confirm deletions of held runs", permissions=["ask"])
    def confirm_deletions(self, request: HttpRequest, runs: QuerySet[SyncRun]) -> None:
        """Ask for the same again, and that it may tombstone what the held run would have."""
        asked = [
            queue.ask(run.stream, run.kind, asked_by=who(request), allow_deletes=True)
            for run in runs
            if run.state == SyncRun.State.HELD
        ]
        if asked:
            say_asked(request, asked)
        else:
            messages.warning(request, "Nothing to confirm: no held run among them.")

    @admin.display(description="run")
    def number(self, run: SyncRun) -> SafeString:
        asked = f"{run.get_kind_display().lower()}, {run.asked_by}"
        return format_html('#{}<div class="hw-dim">{}</div>', run.pk, asked)

    @admin.display(description="stream")
    def of_stream(self, run: SyncRun) -> SafeString:
        return format_html(
            '{}<div class="hw-dim hw-mono">{}</div>', str(run.stream), run.record_key
        )

    @admin.display(description="state")
    def state_now(self, run: SyncRun) -> SafeString:
        return format_html(
            '{}<div class="hw-error" data-run="{}" data-part="error">{}</div>',
            state_badge(run),
            run.pk,
            run.error[:160],
        )

    @admin.display(description="records read")
    def how_far(self, run: SyncRun) -> SafeString:
        return bar(run)

    @admin.display(description="changed")
    def changed(self, run: SyncRun) -> SafeString:
        return part(run, "merged", f"{run.merged:,}")

    @admin.display(description="quarantined")
    def held_back(self, run: SyncRun) -> SafeString:
        return part(run, "quarantined", f"{run.quarantined:,}")

    @admin.display(description="began")
    def when(self, run: Any) -> SafeString:
        return ago(run.started_at or run.queued_at, run.asked_at)

    @admin.display(description="took")
    def time_taken(self, run: Any) -> SafeString:
        return part(run, "duration", taken(run, run.asked_at))

    @admin.display(description="")
    def what_to_do(self, run: SyncRun) -> SafeString | str:
        if run.state == SyncRun.State.FAILED:
            return button("retry", run.pk, "Retry", "Goes on from its own cursor")
        if run.state == SyncRun.State.HELD:
            return button("confirm_deletions", run.pk, "Confirm", "Let it tombstone the records")
        return ""


def latest_runs(runs: QuerySet[SyncRun]) -> dict[int, Any]:
    """Some runs with their streams by id, as `run_rows` shows them. One statement."""
    rows: Any = runs.select_related("stream__connection").annotate(asked_at=Now())
    return {run.pk: run for run in rows}


def run_rows(runs: Iterable[Any]) -> list[dict[str, Any]]:
    """Runs of `latest_runs`, for a table on another page."""
    return [
        {
            "run": run,
            "state": state_badge(run),
            "bar": bar(run),
            "taken": part(run, "duration", taken(run, run.asked_at)),
            "when": ago(run.started_at or run.queued_at, run.asked_at),
        }
        for run in runs
    ]
