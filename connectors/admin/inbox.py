"""The inbox: what upstreams told us of, and above all what could not be applied."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from catalog.masking import Cover
from catalog.payload import lines, pretty
from connectors.admin.letters import LetterAdmin
from connectors.inbox.letters import INBOX
from connectors.models import InboxEvent
from connectors.replay.letters import Letters
from observability.display import ago


@admin.register(InboxEvent)
class InboxEventAdmin(LetterAdmin):
    """Received changes."""

    letters: ClassVar[Letters] = INBOX
    list_select_related = ("connection",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).select_related("connection")
        one = request.resolver_match is not None and "object_id" in request.resolver_match.kwargs
        return rows if one else rows.defer("body", "record", "headers", "errors")

    def place(self, row: InboxEvent) -> str:
        """See the base."""
        return f"{row.connection.slug}.{row.stream}" if row.stream else row.connection.slug

    def subject(self, row: InboxEvent) -> str:
        """See the base."""
        return row.record_key or ("" if row.stream else "a delivery that could not be read")

    def facts(self, row: Any) -> list[tuple[str, object]]:
        """See the base."""
        known: list[tuple[str, object]] = [
            ("the sender's id", row.event_id),
            ("kind", row.kind or "–"),
            ("happened", ago(row.occurred_at, row.looked_at)),
        ]
        if row.sequence is not None:
            known.append(("the sender's number", row.sequence))
        if row.origin:
            known.append(("caused by", row.origin))
        if row.key_only:
            known.append(("record", "to be asked for: the event carries none that can be ordered"))
        return known

    def payloads(self, row: InboxEvent) -> list[tuple[str, SafeString]]:
        """See the base."""
        # A contract's error begins with the member that breaks it.
        member, covered = row.error.partition(": ")[0], self.cover(row)
        texts = [("Event as received", _marked(row.text, "" if row.record else member, covered))]
        if row.record is not None:
            answer = bytes(row.record).decode("utf-8", "replace")
            texts.insert(0, ("Record as its upstream answered", _marked(answer, member, covered)))
        return texts


def _marked(payload: str, member: str, covered: Cover | None) -> SafeString:
    """The payload with the member marked, wherever in the event its record stands."""
    places = {line.path for line in lines(payload)} if member else set()
    marked = [p for p in places if p == member or p.endswith(f".{member}")]
    return pretty(payload, marked, covered=covered)
