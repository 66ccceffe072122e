"""Channels: where people are told of incidents. Secrets are written, or made here and shown once."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet, TextField
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from catalog.admin.deleting import BoundedDeletion
from connectors.admin.addresses import bare_address
from connectors.admin.asking import OneRow, button, who
from connectors.admin.lying import dead_for, waiting_for
from connectors.outbox import channels
from observability.channels import Channel
from observability.display import Tone, ago, badge
from observability.errors import HubError

Kind = Channel.Kind
#: What a person enters as the secret; a webhook's is made here.
SECRETS = {
    Kind.SLACK: "the address of an incoming webhook",
    Kind.SENTRY: "a DSN; empty: the process's own (SENTRY_DSN)",
}


class ChannelForm(forms.ModelForm[Channel]):
    """The secret is written only: the form never holds what is stored, and an empty field keeps it."""

    secret = forms.CharField(
        required=False,
        widget=UnfoldAdminPasswordWidget(
            attrs={"autocomplete": "new-password", "placeholder": "write-only"}
        ),
        help_text="Slack: the address of an incoming webhook. Sentry: a DSN, or empty for the"
        " process's own. A signed webhook gets a secret that is made here and shown once. Empty:"
        " the one that is stored.",
    )

    class Meta:
        model = Channel
        fields = ("slug", "kind", "address", "secret", "enabled", "every_seconds", "rules")
        help_texts = {
            "address": "E-mail: addresses, separated by commas. Signed webhook: where it is posted."
        }

    def clean_address(self) -> str:
        """An address without a password. Raises ValidationError, and shows it without one."""
        if (self.cleaned_data.get("kind") or self.instance.kind) == Kind.EMAIL:
            return str(self.cleaned_data["address"])
        return bare_address(self, "address")

    def clean(self) -> dict[str, Any]:
        """What the kind needs is there, and nothing else is; a secret is not said again."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        kind, secret = said.get("kind") or self.instance.kind, said.get("secret")
        if secret and kind not in SECRETS:
            self.add_error("secret", "This kind takes none; leave it empty.")
        elif kind == Kind.SLACK and not secret and not self.instance.secrets:
            self.add_error("secret", "Enter the address of an incoming webhook.")
        elif secret and not secret.startswith(("https://", "http://")):
            self.add_error("secret", f"Enter {SECRETS[Kind(kind)]}; it begins with https://.")
        return said


@admin.register(Channel)
class ChannelAdmin(BoundedDeletion, OneRow, ModelAdmin):  # type: ignore[misc]
    """Each can be tried out; what could not be delivered is in the outbox."""

    instead = "Switch it off instead: what it was told stays known."
    form = ChannelForm
    list_display = ("title", "state", "told", "steps_count", "waiting", "what_to_do")
    sortable_by = ()
    formfield_overrides: ClassVar = {TextField: {"widget": UnfoldAdminTextInputWidget}}
    fields = ("slug", "kind", "address", "secret", "enabled", "every_seconds", "rules")
    filter_horizontal = ("rules",)
    change_form_outer_before_template = "admin/connectors/channel/test.html"
    nothing = "Nobody can be told: add one, then a step of the escalation path that names it."
    actions = ("test", "new_secret")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = (
            super()
            .get_queryset(request)
            .annotate(
                step_count=Count("steps", distinct=True),
                rule_count=Count("rules", distinct=True),
                waiting_count=waiting_for("channel"),
                dead_count=dead_for("channel"),
                asked_at=Now(),
            )
        )
        return rows

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("slug", "kind") if obj else ()

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: Any) -> None:
        made = ""
        if secret := form.cleaned_data.get("secret"):
            channels.keep_secret(obj, secret)
        elif obj.kind == Kind.WEBHOOK and not obj.secrets:
            made = channels.make_secret(obj)
        super().save_model(request, obj, form, change)
        if made:
            self._show(request, obj, made)

    @admin.action(description="Test", permissions=["change"])
    def test(self, request: HttpRequest, rows: QuerySet[Channel]) -> None:
        """Send a message now, and say what came of it."""
        for row in rows:
            try:
                channels.test(row, who(request))
            except HubError as error:
                messages.error(request, f"{row}: {error.message} ({error.code})")
            else:
                messages.success(request, f"{row} took a message.")

    @admin.action(description="Make a new secret", permissions=["change"])
    def new_secret(self, request: HttpRequest, rows: QuerySet[Channel]) -> None:
        """Of signed webhooks."""
        for row in rows.filter(kind=Kind.WEBHOOK):
            secret = channels.make_secret(row)
            row.save(update_fields=["secrets"])
            self._show(request, row, secret)

    @admin.display(description="channel")
    def title(self, row: Channel) -> SafeString:
        said = f"{row.get_kind_display()} {row.address}"
        return format_html('{}<div class="hw-dim hw-wrap">{}</div>', row.slug, said)

    @admin.display(description="state")
    def state(self, row: Any) -> SafeString:
        if not row.enabled:
            return badge("off", Tone.WARN)
        if row.dead_count:
            return badge(f"{row.dead_count} not delivered", Tone.BAD)
        if not (row.step_count or row.rule_count):
            said = "No step of the escalation path and no rule leads to it."
            return badge("told of nothing", Tone.WARN, said)
        return badge("on", Tone.GOOD)

    @admin.display(description="last told")
    def told(self, row: Any) -> SafeString | str:
        return ago(row.told_at, row.asked_at) if row.told_at else "never"

    @admin.display(description="escalation steps")
    def steps_count(self, row: Any) -> SafeString:
        address = reverse("admin:observability_escalation_changelist")
        if row.step_count:
            shown = f"{address}?channel__id__exact={row.pk}"
            return format_html('<a class="hw-link" href="{}">{}</a>', shown, row.step_count)
        return format_html('<a class="hw-link" href="{}add/?channel={}">Add</a>', address, row.pk)

    @admin.display(description="waiting")
    def waiting(self, row: Any) -> SafeString:
        address = reverse("admin:connectors_outboxcommand_changelist")
        return format_html(
            '<a class="hw-link" href="{}?channel={}">{}</a>', address, row.slug, row.waiting_count
        )

    @admin.display(description="")
    def what_to_do(self, row: Channel) -> SafeString:
        return button("test", row.pk, "Test", "Sends a message now")

    def _show(self, request: HttpRequest, row: Channel, secret: str) -> None:
        messages.success(
            request,
            format_html(
                "The secret of {} is <code>{}</code> . It is shown this once.", row.slug, secret
            ),
        )
