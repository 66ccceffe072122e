"""A box in the admin: its dead letters first, by filter and by cause, and the page of each message."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog import masking
from catalog.admin import ReadOnlyAdmin
from catalog.admin.row_page import RowPage
from connectors.admin.letter_list import (
    DEAD,
    REPLAYED,
    TONES,
    VIEWS,
    LetterList,
    Shown,
    choices,
    state_counts,
)
from connectors.admin.rehearsal_page import cause_rows
from connectors.admin.replaying import Replaying
from connectors.models import Message
from connectors.replay.letters import REPLAYED as REPLAY_CODE
from connectors.runtime.lineage import open_members
from observability.clock import database_now
from observability.display import ago, badge, correlation_link, exact


class LetterAdmin(Replaying, RowPage, ReadOnlyAdmin):
    """Base of the boxes' admins; a box says what its messages are about."""

    list_display = ("number", "about", "why", "state_now", "when", "tried")
    list_before_template = "admin/connectors/letters/list.html"
    change_form_template = "admin/connectors/letters/page.html"
    ordering = ("-id",)
    sortable_by = ()
    nothing = "No message is in this state."
    fields = ()

    def place(self, row: Any) -> str:
        """Where a message belongs."""
        raise NotImplementedError

    def subject(self, row: Any) -> str:
        """What a message is about."""
        raise NotImplementedError

    def facts(self, row: Any) -> list[tuple[str, object]]:
        """What else is known of a message, for its page."""
        raise NotImplementedError

    def payloads(self, row: Any) -> list[tuple[str, SafeString]]:
        """Headings and texts: what was received, or is to be sent."""
        raise NotImplementedError

    def cover(self, row: Any) -> masking.Cover | None:
        """What of a message's payload is covered for whoever looks."""
        if row.connection is None:
            return None  # a subscriber is told of keys alone
        opened = open_members(row.connection.connector, row.stream)
        return masking.but_for(opened, str(row.connection), row.record_key)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the database's time beside them, under a name that no message has."""
        # Past ReadOnlyAdmin, whose name for it is a column of the inbox.
        rows: QuerySet[Any] = (
            super(ReadOnlyAdmin, self).get_queryset(request).annotate(looked_at=Now())
        )
        return rows

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LetterList]:
        return LetterList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        shown, now = Shown.read(request, self.letters), database_now()
        if shown.unclear:
            messages.error(request, shown.unclear)
        context: dict[str, Any] = {
            "title": VIEWS[shown.view][0],
            "subtitle": self.letters.name,
            "shown": shown,
            "words": shown.chosen.words(),
            "views": [
                (label, shown.query(view="" if name == DEAD else name), name == shown.view)
                for name, (label, _) in VIEWS.items()
            ],
            "selects": choices(self.letters, shown),
            "may_replay": self.has_replay_permission(request),
            "replay_address": self._rehearsal(),
        }
        if not shown.unclear and shown.view == DEAD:
            context |= {
                "count": self.letters.dead(shown.chosen).count(),
                "causes": cause_rows(self.letters, shown, now),
            }
        elif shown.view == REPLAYED:
            context["states"] = state_counts(shown.rows(self.letters, self.letters.rows()))
        page: HttpResponse = super().changelist_view(request, {**context, **(extra_context or {})})
        return page

    @admin.display(description="message")
    def number(self, row: Any) -> SafeString:
        return format_html('#{}<div class="hw-dim hw-nowrap">{}</div>', row.pk, self.kind_of(row))

    def kind_of(self, row: Any) -> str:
        """The sender's own name for what happened."""
        return str(getattr(row, "kind", ""))

    @admin.display(description="about")
    def about(self, row: Any) -> SafeString:
        return format_html(
            '{}<div class="hw-dim hw-mono">{}</div>', self.place(row), self.subject(row)
        )

    @admin.display(description="last error")
    def why(self, row: Message) -> SafeString | str:
        if not row.error_code:
            return row.note or "–"
        return format_html(
            '<code class="hw-mono">{}</code><div class="hw-error">{}</div>',
            row.error_code,
            masking.told(row.error, self.cover(row))[:200],
        )

    @admin.display(description="state")
    def state_now(self, row: Message) -> SafeString:
        return badge(row.state, TONES[row.state], row.note)

    @admin.display(description="ended")
    def when(self, row: Any) -> SafeString:
        return ago(row.finished_at, row.looked_at)

    @admin.display(description="attempts")
    def tried(self, row: Message) -> SafeString | str:
        if not row.replays:
            return str(row.attempts)
        return format_html(
            '{}<div class="hw-dim hw-nowrap">replayed {}×</div>', row.attempts, row.replays
        )

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        now, covered = row.looked_at, self.cover(row)
        return {
            "title": f"{row}",
            "subtitle": f"{self.letters.name} #{row.pk}",
            "row": row,
            "error": masking.told(row.error, covered),
            "state": badge(row.state, TONES[row.state]),
            "place": self.place(row),
            "subject": self.subject(row),
            "history": [
                {
                    **entry,
                    "error": masking.told(entry["error"], covered),
                    "at": exact(datetime.fromisoformat(entry["at"])),
                    "replay": entry["code"] == REPLAY_CODE,
                }
                for entry in row.errors
            ],
            "facts": [
                *self.facts(row),
                ("received", ago(row.received_at, now)),
                ("ended", ago(row.finished_at, now)),
                ("next attempt", ago(row.next_attempt_at, now) if not row.finished_at else "–"),
                ("attempts since the last replay" if row.replays else "attempts", row.attempts),
                ("replayed", f"{row.replays}×, last by {row.replayed_by}" if row.replays else "no"),
                ("correlation id", correlation_link(row.correlation_id)),
            ],
            "payloads": self.payloads(row),
            "replayable": row.state == Message.State.DEAD and self.has_replay_permission(request),
            "replay_address": f"{self._rehearsal()}?ids={row.pk}",
        }
