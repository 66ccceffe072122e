"""Incidents, and the maximum ages by use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from observability import pack
from observability.display import Tone, badge, correlation_link, exact
from observability.incidents import Incident
from observability.objective_admin import CalendarAdmin, FreshnessObjectiveAdmin
from observability.runbooks import runbook_of
from observability.uses import UseLimit

__all__ = ["CalendarAdmin", "FreshnessObjectiveAdmin", "IncidentAdmin", "UseLimitAdmin"]


@admin.register(UseLimit)
class UseLimitAdmin(ModelAdmin):  # type: ignore[misc]
    """How old a value may be by what it is used for."""

    list_display = ("use", "data_class", "max_age_seconds")
    list_filter = ("use",)


@admin.register(Incident)
class IncidentAdmin(ModelAdmin):  # type: ignore[misc]
    """Opened and resolved by the hub; a person says that somebody looks after it."""

    list_display = ("title", "state", "cause", "opened_at", "resolved_at", "count", "share")
    list_filter = ("kind", "system")
    search_fields = ("title", "cause", "system", "stream")
    ordering = ("-id",)
    actions = ("acknowledge",)
    fields = (
        "title", "state", "kind", "system", "stream", "subject", "cause", "opened_at",
        "last_seen_at", "count", "next_look_at", "acknowledged", "resolved", "share", "entities",
        "operations", "asked", "correlation",
    )  # fmt: skip
    readonly_fields = (*fields, "runbook", "pack_shown")

    def get_fields(self, request: HttpRequest, obj: Incident | None = None) -> Sequence[Any]:  # noqa: ARG002 (Django's)
        """With the pack, and the runbook of those that have one and no page of their own."""
        fields = (*self.fields, "pack_shown")
        return (*fields, "runbook") if obj and runbook_of(obj) else fields

    @admin.display(description="pack")
    def pack_shown(self, row: Incident) -> SafeString:
        return pack.shown(row)

    @admin.display(description="runbook")
    def runbook(self, row: Incident) -> SafeString:
        return format_html('<div class="hw-runbook">{}</div>', runbook_of(row) or "–")

    @admin.display(description="correlation id")
    def correlation(self, row: Incident) -> SafeString:
        return correlation_link(row.correlation_id)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 (Django's)
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        """For the action below."""
        return bool(self.has_change_permission(request))

    @admin.action(description="Acknowledge", permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, rows: QuerySet[Incident]) -> None:
        """Somebody looks after it."""
        who = request.user.get_username()
        count = rows.filter(acknowledged_at=None).update(acknowledged_at=Now(), acknowledged_by=who)
        self.message_user(request, f"{count} acknowledged.", messages.SUCCESS)

    @admin.display(description="state")
    def state(self, row: Incident) -> SafeString:
        if row.resolved_at:
            return badge("resolved", Tone.GOOD)
        return badge("acknowledged", Tone.WARN) if row.acknowledged_at else badge("open", Tone.BAD)

    @admin.display(description="share of traffic")
    def share(self, row: Incident) -> str:
        share = row.affected.get("share")
        return "–" if share is None else f"{share:.1%} of requests since the day before"

    @admin.display(description="entities and fields")
    def entities(self, row: Incident) -> SafeString:
        fields: Mapping[str, list[str]] = row.affected.get("fields", {})
        lines = ((name, ", ".join(fields[name])) for name in row.affected.get("entities", ()))
        return _lines("<b>{}</b> {}", lines)

    @admin.display(description="operations")
    def operations(self, row: Incident) -> SafeString:
        return _lines("{}", ((name,) for name in row.affected.get("operations", ())))

    @admin.display(description="asked since the day before")
    def asked(self, row: Incident) -> SafeString:
        asked = row.affected.get("asked", ())
        return _lines("{} × {}", ((f"{one['times']:,}", one["operation"]) for one in asked))

    @admin.display(description="acknowledged")
    def acknowledged(self, row: Incident) -> str:
        if row.acknowledged_at is None:
            return "–"
        return f"{exact(row.acknowledged_at)} by {row.acknowledged_by}"

    @admin.display(description="resolved")
    def resolved(self, row: Incident) -> str:
        return "–" if row.resolved_at is None else f"{exact(row.resolved_at)} by {row.resolved_by}"


def _lines(form: str, values: Any) -> SafeString:
    found = format_html_join("", "<div>{}</div>", ((format_html(form, *v),) for v in values))
    return found or format_html("{}", "–")
