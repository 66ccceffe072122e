"""Maximum ages by use; and of alerts the rules, the escalation path and the silences.

Incidents, and channels with their secrets, are shown on the floors above.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet, TextField
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from observability import signals
from observability.alerts import AlertRule
from observability.channels import Escalation
from observability.display import SEVERITIES, Tone, badge, duration, exact
from observability.freshness import StreamFreshness
from observability.incidents import Incident
from observability.objective_admin import CalendarAdmin, FreshnessObjectiveAdmin
from observability.silences import Silence, end
from observability.uses import UseLimit

__all__ = ["CalendarAdmin", "FreshnessObjectiveAdmin", "UseLimitAdmin"]

#: A slug and a title are a line.
ONE_LINE: dict[Any, dict[str, Any]] = {TextField: {"widget": UnfoldAdminTextInputWidget}}


@admin.register(UseLimit)
class UseLimitAdmin(ModelAdmin):  # type: ignore[misc]
    """How old a value may be by what it is used for."""

    list_display = ("use", "data_class", "at_most")
    list_filter = ("use",)

    @admin.display(description="maximum age")
    def at_most(self, row: UseLimit) -> str:
        return "none" if row.max_age_seconds is None else duration(row.max_age_seconds)


class RuleForm(forms.ModelForm[AlertRule]):
    """A rule, with the signals that are installed."""

    class Meta:
        model = AlertRule
        fields = (
            "slug", "title", "signal", "enabled", "severity", "system", "stream", "threshold",
            "for_seconds", "ends_below", "ends_after_seconds", "objective", "windows", "minimum",
            "explained_by", "runbook",
        )  # fmt: skip

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "signal" in self.fields:
            known = [(slug, f"{slug}, in {one.unit}") for slug, one in signals.known().items()]
            self.fields["signal"] = forms.ChoiceField(
                required=False,
                choices=[("", "none: found by the hub elsewhere"), *known],
                widget=UnfoldAdminSelectWidget(),
                help_text="What is watched, and the unit of its values.",
            )


@admin.register(AlertRule)
class AlertRuleAdmin(ModelAdmin):  # type: ignore[misc]
    """From when on what is an incident. Those that are not wanted are switched off, not deleted."""

    form = RuleForm
    formfield_overrides = ONE_LINE
    list_display = ("rule", "how_bad", "when", "ends", "about", "on")
    list_filter = ("severity", "enabled")
    search_fields = ("slug", "title")
    sortable_by = ()
    fieldsets = (
        (None, {"fields": ("slug", "title", "signal", "enabled", "severity", "system", "stream")}),
        ("When", {"fields": ("threshold", "for_seconds", "ends_below", "ends_after_seconds")}),
        ("Of a ratio: burn rates", {"fields": ("objective", "windows", "minimum")}),
        ("What then", {"fields": ("explained_by", "runbook")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002 (Django's)
        # Its incidents go by it.
        return ("slug",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    @admin.display(description="rule")
    def rule(self, row: AlertRule) -> SafeString:
        return format_html('{}<div class="hw-dim hw-mono">{}</div>', row.title, row.slug)

    @admin.display(description="severity")
    def how_bad(self, row: AlertRule) -> SafeString:
        return badge(row.severity, SEVERITIES[row.severity])

    @admin.display(description="from when on")
    def when(self, row: AlertRule) -> str:
        signal = signals.known().get(row.signal)
        if signal is None:
            return f"{row.signal} is not installed" if row.signal else "found by the hub elsewhere"
        if signal.ratio:
            rates = ", ".join(f"{rate:g}× in {a:g} and {b:g} min" for a, b, rate in row.windows)
            promised = (
                f"{100 * row.objective:.4g} % good" if row.objective else "as each objective says"
            )
            return f"{promised}: {rates}"
        lasts = f", for {duration(row.for_seconds)}" if row.for_seconds else ""
        return f"{_measured(row.threshold, signal.unit)}{lasts}"

    @admin.display(description="ends")
    def ends(self, row: AlertRule) -> SafeString | str:
        if not row.signal:
            return "–"
        below = row.threshold if row.ends_below is None else row.ends_below
        signal = signals.known().get(row.signal)
        seconds = signal is not None and signal.unit == "s"
        limit = duration(below) if seconds else f"{below:g}"
        said = f"below {limit}, for {duration(row.ends_after_seconds)}"
        return format_html('<span class="hw-nowrap">{}</span>', said)

    @admin.display(description="about")
    def about(self, row: AlertRule) -> str:
        return ".".join(part for part in (row.system, row.stream) if part) or "all"

    @admin.display(description="state")
    def on(self, row: AlertRule) -> SafeString:
        return badge("on", Tone.GOOD) if row.enabled else badge("off", Tone.WARN)


def _measured(value: float, unit: str) -> str:
    """`2 min or more`, `1 or more letters in a day`; of a share per cent."""
    if unit == "s":
        return f"{duration(value)} or more"
    if unit.startswith("of the "):
        return f"{100 * value:g} % or more {unit}"
    return f"{value:g} or more {unit}"


@admin.register(Escalation)
class EscalationAdmin(ModelAdmin):  # type: ignore[misc]
    """Who is told after how long; a table that is read from the top."""

    formfield_overrides = ONE_LINE
    list_display = ("severity", "about", "after", "channel", "who")
    nothing = "Nobody is told of anything: add a channel, then a step that names it."
    list_filter = ("severity", "system")
    list_select_related = ("channel",)
    sortable_by = ()

    @admin.display(description="systems")
    def about(self, row: Escalation) -> str:
        return row.system or "all"

    @admin.display(description="when nobody acknowledged for")
    def after(self, row: Escalation) -> str:
        return duration(60 * row.after_minutes) if row.after_minutes else "told at once"


class SilenceForm(forms.ModelForm[Silence]):
    """A window, in UTC."""

    class Meta:
        model = Silence
        fields = ("system", "stream", "kind", "starts_at", "until", "maintenance", "reason")
        widgets = {
            name: UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"})
            for name in ("starts_at", "until")
        }
        field_classes = dict.fromkeys(("starts_at", "until"), forms.DateTimeField)
        help_texts = {"starts_at": "UTC.", "until": "UTC. What is wrong then still is told then."}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # A slip of the pen would silence nothing, and nobody would notice.
        known = {
            "system": ("every system", {name: name for name in _places("system")}),
            "stream": ("all of it", {name: name for name in _places("stream")}),
            "kind": ("every rule", dict(AlertRule.objects.values_list("slug", "title"))),
        }
        for name, (every, titles) in known.items():
            if name not in self.fields:
                continue
            now = self.initial.get(name) or getattr(self.instance, name)
            if now:
                titles.setdefault(now, now)
            self.fields[name] = forms.ChoiceField(
                required=False,
                choices=[("", every), *sorted(titles.items(), key=lambda one: one[1])],
                widget=UnfoldAdminSelectWidget(),
                label={"kind": "rule"}.get(name, name).capitalize(),
            )


def _places(part: str) -> list[str]:
    """Systems, or streams, that were promised something, or of which something was wrong."""
    promised = StreamFreshness.objects.order_by().values_list(part, flat=True)
    wrong = Incident.objects.order_by().values_list(part, flat=True)
    return sorted({*promised.union(wrong)} - {""})


@admin.register(Silence)
class SilenceAdmin(ModelAdmin):  # type: ignore[misc]
    """When nobody is told of what, and why."""

    form = SilenceForm
    formfield_overrides = ONE_LINE
    list_display = ("what", "state", "starts", "ends", "reason", "made_by")
    sortable_by = ()
    nothing = "Nothing is silenced: everybody is told of everything."
    actions = ("end_now",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(asked_at=Now())
        return rows

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """From now on, of the system that the address names."""
        return {
            "system": request.GET.get("system", ""),
            "starts_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M}",
            "maintenance": True,
        }

    def save_model(self, request: HttpRequest, obj: Silence, form: Any, change: Any) -> None:
        if not change:
            obj.made_by = request.user.get_username()
        super().save_model(request, obj, form, change)

    @admin.action(description="End these now", permissions=["change"])
    def end_now(self, request: HttpRequest, rows: QuerySet[Silence]) -> None:
        """What is wrong still is told."""
        count = end(Silence.objects.filter(pk__in=[row.pk for row in rows]))
        messages.success(request, f"{count} ended.")

    @admin.display(description="of what")
    def what(self, row: Silence) -> SafeString:
        place = ".".join(part for part in (row.system, row.stream) if part) or "everything"
        return format_html('{}<div class="hw-dim">{}</div>', place, row.kind or "all incidents")

    @admin.display(description="state")
    def state(self, row: Any) -> SafeString:
        if row.until <= row.asked_at:
            return badge("over", Tone.QUIET)
        if row.starts_at > row.asked_at:
            return badge("planned", Tone.BUSY)
        return badge("maintenance" if row.maintenance else "silent", Tone.WARN)

    @admin.display(description="from (UTC)")
    def starts(self, row: Silence) -> str:
        return exact(row.starts_at)[:16]

    @admin.display(description="until (UTC)")
    def ends(self, row: Silence) -> str:
        return exact(row.until)[:16]
