"""Subscribers: who is told of changes, whether they take it, and their secrets, shown once."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.postgres.fields import ArrayField
from django.db.models import JSONField, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from catalog.admin.row_page import once
from connectors.admin.asking import OneRow, button
from connectors.admin.lying import dead_for, waiting_for
from connectors.admin.receipts import figures_shown
from connectors.admin.subscriber_form import SubscriberForm
from connectors.models import Subscriber
from connectors.outbox import receipts
from connectors.outbox.kinds import KINDS
from observability.display import Tone, ago, badge


@admin.register(Subscriber)
class SubscriberAdmin(OneRow, ModelAdmin):  # type: ignore[misc]
    """Adding one shows its secret, once; a new secret signs beside the former one."""

    form = SubscriberForm
    formfield_overrides: ClassVar = {
        ArrayField: {"widget": UnfoldAdminTextInputWidget},
        JSONField: {"widget": UnfoldAdminTextInputWidget},
    }
    nothing = "Nobody is told of changes."
    list_display = (
        "title",
        "told_by",
        "listens_to",
        "state",
        "last",
        "waiting",
        "dead",
        "what_to_do",
    )
    search_fields = ("slug", "url")
    ordering = ("slug",)
    sortable_by = ()
    actions = ("new_secret", "switch_on")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Switched off, not deleted: its dead letters are kept."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("slug", "told_by", "acknowledged") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The kind is chosen once."""
        fields = [*SubscriberForm.Meta.fields]
        if obj is None:
            return fields
        return [
            "slug",
            "told_by",
            *[f for f in fields if f not in {"slug", "kind"}],
            "acknowledged",
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = (
            super()
            .get_queryset(request)
            .annotate(
                waiting_count=waiting_for("subscriber"),
                dead_count=dead_for("subscriber"),
                asked_at=Now(),
            )
        )
        return rows

    def save_model(self, request: HttpRequest, obj: Subscriber, form: Any, change: Any) -> None:
        made = not change and not KINDS[obj.kind].token
        secret = obj.new_secret() if made else ""
        if token := form.cleaned_data.get("token"):
            obj.keep_token(token)
        if obj.enabled and obj.disabled_because:
            obj.forgive()
        super().save_model(request, obj, form, change)
        if secret:
            self._show(request, obj, secret)

    @admin.action(description="Make a new secret", permissions=["change"])
    def new_secret(self, request: HttpRequest, rows: QuerySet[Subscriber]) -> None:
        """The former one goes on to sign webhooks beside it, until the next is made."""
        for row in rows:
            if KINDS[row.kind].token:
                messages.warning(
                    request,
                    f"{row.slug} is told with its vendor's token: enter a new one in its form.",
                )
                continue
            secret = row.new_secret()
            row.save(update_fields=["secrets"])
            self._show(request, row, secret)

    @admin.action(description="Switch on, and try at once", permissions=["change"])
    def switch_on(self, request: HttpRequest, rows: QuerySet[Subscriber]) -> None:
        """What has become a dead letter meanwhile is replayed by hand."""
        for row in rows:
            row.enabled = True
            row.forgive()
            row.save()
        self.message_user(request, "They are told of changes from now on.", messages.SUCCESS)

    @admin.display(description="subscriber")
    def title(self, row: Subscriber) -> SafeString:
        return format_html('{}<div class="hw-dim hw-mono">{}</div>', row.slug, row.url)

    @admin.display(description="kind")
    def told_by(self, row: Subscriber) -> str:
        return KINDS[row.kind].label

    @admin.display(description="acknowledged, last day")
    @once
    def acknowledged(self, row: Subscriber) -> SafeString:
        return figures_shown(receipts.figures(row.pk), subscriber=row.slug)

    @admin.display(description="listens to")
    def listens_to(self, row: Subscriber) -> str:
        return ", ".join(row.entities) or "all entities"

    @admin.display(description="state")
    def state(self, row: Subscriber) -> SafeString:
        if row.disabled_because and not row.enabled:
            said = badge("switched off", Tone.BAD)
            return format_html('{}<div class="hw-error">{}</div>', said, row.disabled_because)
        if not row.enabled:
            return badge("off", Tone.WARN)
        if row.failures:
            return badge(f"failing, {row.failures} in a row", Tone.BAD)
        return badge("on", Tone.GOOD)

    @admin.display(description="last taken")
    def last(self, row: Any) -> SafeString | str:
        return ago(row.delivered_at, row.asked_at) if row.delivered_at else "never"

    @admin.display(description="waiting")
    def waiting(self, row: Any) -> int:
        return int(row.waiting_count)

    @admin.display(description="dead letters")
    def dead(self, row: Any) -> SafeString | int:
        if not row.dead_count:
            return 0
        address = reverse("admin:connectors_outboxcommand_changelist")
        return format_html(
            '<a class="hw-link" href="{}?subscriber={}">{}</a>',
            address, row.slug, row.dead_count,
        )  # fmt: skip

    @admin.display(description="")
    def what_to_do(self, row: Subscriber) -> SafeString:
        own = not KINDS[row.kind].token
        secret = button("new_secret", row.pk, "New secret", "Shown once") if own else SafeString()
        if row.enabled and not row.failures:
            return secret
        return format_html("{} {}", secret, button("switch_on", row.pk, "Try now"))

    def _show(self, request: HttpRequest, row: Subscriber, secret: str) -> None:
        messages.success(
            request,
            format_html(
                "The secret of {} is <code>{}</code> . It is shown this once; of webhooks the former"
                " one, if there is one, goes on to sign beside it.", row.slug, secret,
            ),
        )  # fmt: skip
