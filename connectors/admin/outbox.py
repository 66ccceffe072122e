"""What was told, is to be told, and could not be told."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog.admin import ReadOnlyAdmin
from catalog.explain import database_now
from catalog.payload import pretty
from connectors.models import Message, OutboxCommand
from observability.display import Tone, ago, badge

TONES = {
    Message.State.APPLIED: Tone.GOOD,
    Message.State.DEAD: Tone.BAD,
    Message.State.RETRYING: Tone.WARN,
}


@admin.register(OutboxCommand)
class OutboxAdmin(ReadOnlyAdmin):
    """Webhooks for subscribers and pushes to upstreams, newest first."""

    list_display = ("number", "whom", "what", "state_now", "tries", "met", "when")
    list_filter = ("state", "subscriber", "connection", "kind")
    list_select_related = ("subscriber", "connection")
    search_fields = ("idempotency_key",)
    search_help_text = "Idempotency key (webhook-id), correlation id, record key"
    sortable_by = ()
    fields = (
        "whom", "kind", "stream", "record_key", "idempotency_key", "state_now", "tries", "reply",
        "payload", "history", "received_at", "finished_at", "next_attempt_at", "correlation_id",
        "asked_by",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        one = request.resolver_match is not None and "object_id" in request.resolver_match.kwargs
        return rows if one else rows.defer("body", "errors")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        named = [queryset.filter(**{name: term})
                 for name in ("idempotency_key", "correlation_id", "record_key")]  # fmt: skip
        return named[0] | named[1] | named[2], False

    @admin.display(description="#")
    def number(self, row: OutboxCommand) -> str:
        return f"#{row.pk}"

    @admin.display(description="to")
    def whom(self, row: OutboxCommand) -> str:
        return str(row.subscriber or row.connection)

    @admin.display(description="what")
    def what(self, row: OutboxCommand) -> SafeString:
        about = f"{row.stream} {row.record_key}".strip() or row.idempotency_key
        return format_html('{}<div class="hw-dim hw-mono">{}</div>', row.kind, about)

    @admin.display(description="state")
    def state_now(self, row: OutboxCommand) -> SafeString:
        return badge(row.state, TONES.get(Message.State(row.state), Tone.QUIET))

    @admin.display(description="attempts")
    def tries(self, row: OutboxCommand) -> int:
        return row.attempts

    @admin.display(description="met")
    def met(self, row: OutboxCommand) -> SafeString:
        return format_html('<span class="hw-error">{}</span>', row.error[:160])

    @admin.display(description="since")
    def when(self, row: OutboxCommand) -> SafeString:
        return ago(row.received_at, database_now())

    @admin.display(description="payload")
    def payload(self, row: OutboxCommand) -> SafeString:
        try:
            json.loads(row.text)
        except ValueError:
            return format_html("<pre>{}</pre>", row.text)
        return pretty(row.text, [])

    @admin.display(description="each attempt")
    def history(self, row: OutboxCommand) -> SafeString | str:
        if not row.errors:
            return "–"
        return format_html_join(
            "", "<div>{}. {} <code>{}</code> {}</div>",
            ((e["attempt"], str(e["at"])[:19], e["code"], e["error"]) for e in row.errors),
        )  # fmt: skip
