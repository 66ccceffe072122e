"""Purge receipts in the admin: which change reached every subscriber, and after how many seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog.admin import ReadOnlyAdmin
from catalog.admin.row_page import RowPage
from connectors.models import Message, OutboxCommand, PurgeReceipt, Subscriber
from connectors.outbox import receipts
from connectors.outbox.receipts import Figures
from observability.display import Tone, ago, badge, exact

APPLIED = Q(commands__state=Message.State.APPLIED)
DEAD = Q(commands__state=Message.State.DEAD)


class SubscriberFilter(admin.SimpleListFilter):
    """Receipts of what one subscriber was told."""

    title = "subscriber"
    parameter_name = "subscriber"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(s.slug, s.slug) for s in Subscriber.objects.all()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        told = OutboxCommand.objects.filter(receipt=OuterRef("pk"), subscriber__slug=self.value())
        return queryset.filter(Exists(told))


@admin.register(PurgeReceipt)
class PurgeReceiptAdmin(RowPage, ReadOnlyAdmin):
    """Newest first; `?subscriber=slug`: those that were told to one."""

    nothing = "No subscriber was told of a change yet."
    list_display = ("what", "changed", "merged_after", "told_after", "taken_by", "seconds")
    list_before_template = "admin/connectors/purgereceipt/figures.html"
    change_form_template = "admin/connectors/purgereceipt/change_form.html"
    list_filter = (SubscriberFilter,)
    sortable_by = ()
    fields = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = (
            super()
            .get_queryset(request)
            .annotate(
                commands_count=Count("commands"),
                applied_count=Count("commands", filter=APPLIED),
                dead_count=Count("commands", filter=DEAD),
                taken_at=Max("commands__finished_at", filter=APPLIED),
            )
        )
        return rows

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, below the figures of the last day."""
        shown: HttpResponse = super().changelist_view(
            request,
            {**(extra_context or {}), "figures": figures_shown(receipts.figures())},
        )
        return shown

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """See `RowPage`."""
        commands = (
            OutboxCommand.objects.filter(receipt=row).select_related("subscriber").defer("body")
        )
        return {
            "title": self.what(row),
            "subtitle": f"receipt #{row.pk}",
            "times": [
                ("changed, as the upstream says", exact(row.changed_at)),
                ("received", exact(row.received_at)),
                ("merge began", exact(row.merged_at)),
                ("told", exact(row.told_at)),
            ],
            "taken": [
                {
                    "subscriber": command.subscriber,
                    "address": reverse("admin:connectors_outboxcommand_change", args=[command.pk]),
                    "state": command.state,
                    "attempts": command.attempts,
                    "reply": command.reply or command.error,
                    "seconds": _after(row.changed_at, command.finished_at)
                    if command.state == Message.State.APPLIED
                    else "–",
                }
                for command in commands.order_by("subscriber__slug", "pk")[:200]
            ],
        }

    @admin.display(description="change")
    def what(self, row: PurgeReceipt) -> str:
        records = "1 record" if row.records == 1 else f"{row.records:,} records"
        return f"{', '.join(row.entities)}: {records}"

    @admin.display(description="changed")
    def changed(self, row: Any) -> SafeString:
        return ago(row.changed_at, row.asked_at)

    @admin.display(description="merged after")
    def merged_after(self, row: PurgeReceipt) -> str:
        return _after(row.changed_at, row.merged_at)

    @admin.display(description="told after")
    def told_after(self, row: PurgeReceipt) -> str:
        return _after(row.changed_at, row.told_at)

    @admin.display(description="calls taken")
    def taken_by(self, row: Any) -> SafeString:
        text = f"{row.applied_count} of {row.commands_count}"
        if row.dead_count:
            return badge(f"{text}, {row.dead_count} dead", Tone.BAD)
        done = row.applied_count == row.commands_count
        return badge(text, Tone.GOOD if done else Tone.BUSY)

    @admin.display(description="change to last acknowledgement")
    def seconds(self, row: Any) -> str:
        done = row.commands_count and row.applied_count == row.commands_count
        return _after(row.changed_at, row.taken_at) if done else "–"


def figures_shown(figures: Figures, subscriber: str = "") -> SafeString:
    """The last day's figures as a line; with a link to a subscriber's receipts."""
    latest = "the latest " if figures.told == receipts.MOST_COUNTED else ""
    facts = [f"{figures.taken:,} of {latest}{figures.told:,} changes were acknowledged"]
    if not figures.told:
        facts = ["nobody was told of a change"]
    if figures.p50 is not None and figures.p95 is not None:
        facts.append(f"p50 {figures.p50:.2f} s")
        facts.append(f"p95 {figures.p95:.2f} s from the upstream's change")
    line = format_html_join(" · ", "{}", ((fact,) for fact in facts))
    if not subscriber:
        return line
    address = reverse("admin:connectors_purgereceipt_changelist")
    return format_html(
        '{} <a class="hw-link" href="{}?subscriber={}">Receipts</a>',
        line, address, subscriber,
    )  # fmt: skip


def _after(begin: Any, end: Any) -> str:
    return "–" if end is None else f"{(end - begin).total_seconds():.2f} s"
