"""The outbox: what was told, is to be told, and above all what could not be told."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from catalog import masking
from catalog.payload import pretty
from connectors.admin.letters import LetterAdmin
from connectors.models import OutboxCommand
from connectors.outbox.letters import OUTBOX
from connectors.replay.letters import Letters


@admin.register(OutboxCommand)
class OutboxAdmin(LetterAdmin):
    """Webhooks for subscribers, and pushes to upstreams."""

    letters: ClassVar[Letters] = OUTBOX
    list_select_related = ("subscriber", "connection", "channel")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).select_related("subscriber", "connection", "channel")
        one = request.resolver_match is not None and "object_id" in request.resolver_match.kwargs
        return rows if one else rows.defer("body", "errors")

    def place(self, row: OutboxCommand) -> str:
        """See the base."""
        return str(row.subscriber or row.connection or row.channel)

    def subject(self, row: OutboxCommand) -> str:
        """See the base."""
        return f"{row.stream} {row.record_key}".strip() or row.idempotency_key

    def facts(self, row: Any) -> list[tuple[str, object]]:
        """See the base."""
        return [
            ("to", _address(row)),
            ("kind", row.kind),
            ("idempotency key", row.idempotency_key),
            ("asked by", row.asked_by or "–"),
            ("answer", (masking.MASK if row.reply and self.cover(row) else row.reply) or "–"),
        ]

    def payloads(self, row: OutboxCommand) -> list[tuple[str, SafeString]]:
        """See the base."""
        return [("What is sent", pretty(row.text, covered=self.cover(row)))]


def _address(row: OutboxCommand) -> str:
    if row.channel is not None:
        return f"{row.channel} ({row.channel.get_kind_display()})"
    if row.subscriber is not None:
        return row.subscriber.url
    return row.connection.base_url if row.connection else ""
