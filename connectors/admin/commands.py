"""Commands in the admin: the life of each write, its steps as a trace, and what to do about one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog import masking
from catalog.admin import ReadOnlyAdmin
from catalog.admin.row_page import RowPage
from catalog.payload import pretty
from connectors.admin.asking import OneRow, who
from connectors.admin.command_trace import TONES, trace
from connectors.commands import actions
from connectors.commands.declare import operations
from connectors.models import Command, CommandStep
from observability.display import ago, badge, correlation_link, duration, exact

CHANGE = "connectors.change_command"
#: Callers of so many commands are offered as a filter.
LATEST = 1000


class OperationFilter(admin.SimpleListFilter):
    """Commands of one operation."""

    title = "operation"
    parameter_name = "operation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(slug, f"{one.title} ({slug})") for slug, one in sorted(operations().items())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(operation=self.value()) if self.value() else queryset


class CallerFilter(admin.SimpleListFilter):
    """Commands of one of the latest callers."""

    title = "caller"
    parameter_name = "caller"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        latest = Command.objects.order_by("-id").values_list("caller", flat=True)[:LATEST]
        return [(caller, caller) for caller in sorted({*latest, self.value() or ""} - {""})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(caller=self.value()) if self.value() else queryset


class OpenFilter(admin.SimpleListFilter):
    """Commands that are not at their end."""

    title = "end"
    parameter_name = "end"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("open", "Not at its end"), ("waiting", "Waiting for a later try")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        found = queryset.filter(state__in=Command.OPEN)
        return found.exclude(error_code="") if self.value() == "waiting" else found


@admin.register(Command)
class CommandAdmin(OneRow, RowPage, ReadOnlyAdmin):
    """Newest first."""

    nothing = "Nobody has written anything through the hub yet."
    list_display = ("what", "state_now", "caller", "trouble", "when", "took")
    list_filter = (OpenFilter, "state", OperationFilter, CallerFilter)
    list_select_related = ("waits_for",)
    search_fields = ("reference",)
    search_help_text = "Reference, idempotency key or correlation id, as a whole"
    change_form_template = "admin/connectors/command/change_form.html"
    sortable_by = ()
    actions = ("try_now",)
    fields = ()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.give_up_view)
        address = path("<path:object_id>/give-up/", view, name="connectors_command_give_up")
        return [address, *super().get_urls()]

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Support reads; who may change commands decides about them."""
        return request.user.has_perm(CHANGE)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        one = request.resolver_match is not None and "object_id" in request.resolver_match.kwargs
        return rows if one else rows.defer("params", "result", "problem")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        # One index each.
        found = [
            Command.objects.filter(**{name: term}).values("pk")
            for name in ("reference", "correlation_id", "idempotency_key")
        ]
        return queryset.filter(pk__in=found[0].union(*found[1:])), False

    def give_up_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """POST with `reason`: nothing more is tried, and what was done is taken back."""
        if request.method != "POST" or not self.has_decide_permission(request):
            raise PermissionDenied
        reason = request.POST.get("reason", "").strip()
        if not reason:
            messages.error(request, "Say why: the reason is kept with the command.")
        elif not object_id.isdigit() or not actions.give_up(int(object_id), who(request), reason):
            messages.warning(
                request, "It has come to its end, or somebody works on it now. Look again."
            )
        else:
            messages.success(request, "Given up. What was done is taken back now.")
        address = reverse("admin:connectors_command_change", args=[object_id])
        return HttpResponseRedirect(address)

    @admin.action(description="Try again now", permissions=["decide"])
    def try_now(self, request: HttpRequest, rows: QuerySet[Command]) -> None:
        """Have the drain take these up at once."""
        count = actions.try_now(list(rows.values_list("pk", flat=True)))
        if count:
            messages.success(request, f"Tried now: {count}.")
        else:
            messages.warning(request, "Nothing to try: at its end, or somebody works on it now.")

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """See `RowPage`."""
        operation = operations().get(row.operation)
        unfinished = row.state in (Command.State.ACCEPTED, Command.State.SENT)
        steps = trace(row)
        answer = row.result if row.result is not None else row.problem
        return {
            "title": operation.title if operation else row.operation,
            "subtitle": row.reference,
            "row": row,
            "error": masking.told(row.error, masking.cover_names()),
            "state": self.state_now(row),
            "may_decide": self.has_decide_permission(request),
            "to_try": row.state in Command.OPEN,
            "to_give_up": unfinished,
            "give_up_address": reverse("admin:connectors_command_give_up", args=[row.pk]),
            "trace": [one for one in steps if one["step"].state != CommandStep.State.SKIPPED],
            "skipped": [
                one["step"].name for one in steps if one["step"].state == CommandStep.State.SKIPPED
            ],
            "correlation": correlation_link(row.correlation_id),
            "times": [
                (name, exact(moment))
                for name, moment in (
                    ("accepted", row.accepted_at), ("caller waits until", row.deadline_at),
                    ("left to the drain", row.deferred_at), ("sent", row.sent_at),
                    ("acknowledged", row.acknowledged_at), ("confirmed", row.confirmed_at),
                    ("ended", row.finished_at),
                    ("next try", None if row.finished_at else row.next_attempt_at),
                )
                if moment is not None
            ],
            "payloads": [("What was asked", _pretty(row.params))]
            + ([] if answer is None else [(f"Answer ({row.status})", _pretty(answer))]),
        }  # fmt: skip

    @admin.display(description="command")
    def what(self, row: Command) -> SafeString:
        return format_html('{}<div class="hw-dim hw-mono">{}</div>', row.operation, row.reference)

    @admin.display(description="state")
    def state_now(self, row: Command) -> SafeString:
        undoing = row.state == Command.State.SENT and row.status is not None
        return badge("sent, being taken back" if undoing else row.state, TONES[row.state])

    @admin.display(description="trouble")
    def trouble(self, row: Command) -> SafeString | str:
        if not row.error_code:
            return "–"
        return format_html(
            '<code class="hw-mono">{}</code> {}<div class="hw-error">{}</div>',
            row.error_code,
            f"waits for {row.waits_for}" if row.waits_for else "",
            masking.told(row.error, masking.cover_names())[:200],
        )

    @admin.display(description="accepted")
    def when(self, row: Any) -> SafeString:
        return ago(row.accepted_at, row.asked_at)

    @admin.display(description="took")
    def took(self, row: Any) -> str:
        answered = row.acknowledged_at or row.finished_at
        if answered is None:
            return f"{duration((row.asked_at - row.accepted_at).total_seconds())} so far"
        return f"{(answered - row.accepted_at).total_seconds() * 1000:,.0f} ms"


def _pretty(value: Any) -> SafeString:
    covered = masking.cover_names()
    if isinstance(value, dict):
        # A refusal quotes what it refuses.
        value = {
            name: masking.told(text, covered) if isinstance(text, str) else text
            for name, text in value.items()
        }
    return pretty(json.dumps(value, ensure_ascii=False), covered=covered)
