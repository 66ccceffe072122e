"""Incidents in the admin: one page for all of them, with the runbook and its steps as buttons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog import masking
from catalog.admin import ReadOnlyAdmin
from catalog.admin.row_page import RowPage
from connectors.admin.asking import OneRow, who
from hub.console.steps import STEPS, NothingToDoError
from observability import incidents
from observability.alerts import AlertRule
from observability.channels import Told
from observability.display import SEVERITIES, Tone, ago, badge, correlation_link, exact
from observability.errors import HubError
from observability.incidents import Incident
from observability.runbooks import runbook_of

#: Beside what the runbook names.
ALWAYS = ("acknowledge", "silence")
#: Kinds with more to show than this page does, and what it is called there.
MORE = {Incident.Kind.CONTRACT_DRIFT: ("connectors_driftincident", "Samples and rename detective")}
MOST_PARTS = 50


class OpenFilter(admin.SimpleListFilter):
    """Open ones that stand for themselves, unless asked otherwise."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("parts", "Open, with their parts"), ("resolved", "Resolved"), ("any", "Any")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        states = {
            "parts": Q(resolved_at=None),
            "resolved": Q(resolved_at__isnull=False),
            "any": Q(),
        }
        return queryset.filter(states.get(self.value() or "", Q(resolved_at=None, part_of=None)))


@admin.register(Incident)
class IncidentAdmin(OneRow, RowPage, ReadOnlyAdmin):
    """Opened and resolved by the hub; a person says that somebody looks after it."""

    nothing = "Nothing is wrong, and nothing was."
    list_display = ("what", "how_bad", "state", "since", "last", "times", "because_of_it")
    list_filter = (OpenFilter, "severity", "kind", "system")
    search_fields = ("title", "cause", "system", "stream")
    ordering = ("-id",)
    sortable_by = ()
    actions = ("acknowledge",)
    change_form_template = "console/incident.html"
    fields: tuple[str, ...] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        parts = Count("parts", filter=Q(parts__resolved_at=None))
        rows: QuerySet[Any] = super().get_queryset(request).annotate(open_parts=parts)
        return rows

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.step_view)
        return [
            path("<int:pk>/step/<slug:name>/", view, name="observability_incident_step"),
            *super().get_urls(),
        ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody edits one; to acknowledge, see the action."""
        return False

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        """For the action below."""
        return request.user.has_perm(STEPS["acknowledge"].permission)

    @admin.action(description="Acknowledge", permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, rows: QuerySet[Incident]) -> None:
        """Somebody looks after it."""
        chosen = Incident.objects.filter(pk__in=[row.pk for row in rows])
        count = incidents.acknowledge(chosen, who(request))
        messages.success(request, f"{count} acknowledged.")

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        parts = list(row.parts.order_by("-id")[:MOST_PARTS])
        told = Told.objects.filter(incident=row).select_related("channel").order_by("at")
        rule = AlertRule.objects.filter(slug=row.kind).first()
        more = MORE.get(row.kind)
        return {
            "title": row.title,
            "cause": said(row.cause),
            "incident": row,
            "now": row.asked_at,
            "state": self.state(row),
            "severity": self.how_bad(row),
            "whole": row.part_of,
            "parts": [(one, self.state(one), ago(one.opened_at, row.asked_at)) for one in parts],
            "history": history(row, told),
            "always": [] if row.resolved_at else buttons(request, row, ALWAYS),
            "runbook": runbook_of(row, rule, lambda name: button(request, row, name), said),
            "correlation": correlation_link(row.correlation_id),
            "rule": rule,
            "may_rule": request.user.has_perm("observability.view_alertrule"),
            "more": more and (reverse(f"admin:{more[0]}_change", args=[row.pk]), more[1]),
        }

    def step_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """GET: what a step would do. POST: it is done."""
        step, row = STEPS.get(name), Incident.objects.filter(pk=pk).first()
        if step is None or row is None:
            raise Http404(f"There is no step {name}, or no incident {pk}.")
        if not (self.has_view_permission(request) and request.user.has_perm(step.permission)):
            raise PermissionDenied
        back = reverse("admin:observability_incident_change", args=[pk])
        try:
            would = step.dry(row)
            if request.method == "POST":
                messages.success(request, step.run(row, request))
                return HttpResponseRedirect(back)
        except NothingToDoError as error:
            messages.warning(request, str(error))
            return HttpResponseRedirect(back)
        except HubError as error:
            messages.error(request, f"{error.message} ({error.code})")
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": step.title,
            "would": would,
            "incident": row,
            "back": back,
        }
        return TemplateResponse(request, "console/step.html", context)

    @admin.display(description="incident")
    def what(self, row: Incident) -> SafeString:
        return format_html('{}<div class="hw-dim hw-wrap">{}</div>', row.title, said(row.cause))

    @admin.display(description="severity")
    def how_bad(self, row: Incident) -> SafeString:
        return badge(row.severity, SEVERITIES[row.severity])

    @admin.display(description="state")
    def state(self, row: Incident) -> SafeString:
        if row.resolved_at:
            return badge("resolved", Tone.GOOD, f"{exact(row.resolved_at)}, {row.resolved_by}")
        if row.part_of_id:
            return badge("part of another", Tone.QUIET)
        if row.acknowledged_at:
            return badge("acknowledged", Tone.WARN, f"by {row.acknowledged_by}")
        return badge("open", Tone.BAD)

    @admin.display(description="since")
    def since(self, row: Any) -> SafeString:
        return ago(row.opened_at, row.asked_at)

    @admin.display(description="last found")
    def last(self, row: Any) -> SafeString:
        return ago(row.last_seen_at, row.asked_at)

    @admin.display(description="found")
    def times(self, row: Incident) -> str:
        return f"{row.count} ×" + (", flaps" if row.reopened_at else "")

    @admin.display(description="because of it")
    def because_of_it(self, row: Any) -> str:
        return f"{row.open_parts} more" if row.open_parts else "–"


def said(cause: str) -> str:
    """What is wrong, for whoever looks: an error may quote what came."""
    return masking.told(cause, masking.cover_names())


def button(request: HttpRequest, row: Incident, name: str) -> SafeString:
    """A step in a runbook, for whoever may take it; else its name."""
    step = STEPS[name]
    if row.resolved_at or not request.user.has_perm(step.permission):
        return format_html("<b>{}</b>", step.title)
    address = reverse("admin:observability_incident_step", args=[row.pk, name])
    return format_html('<a class="hw-button" href="{}">{}</a>', address, step.title)


def buttons(request: HttpRequest, row: Incident, names: Sequence[str]) -> list[SafeString]:
    """Those that the person may press."""
    acknowledged = {"acknowledge"} if row.acknowledged_at else set[str]()
    return [
        button(request, row, name)
        for name in names
        if name not in acknowledged and request.user.has_perm(STEPS[name].permission)
    ]


def history(row: Incident, told: QuerySet[Told]) -> list[tuple[str, str]]:
    """What happened to an incident itself: (when, what), oldest first."""
    said = [
        (row.opened_at, "found"),
        (row.reopened_at, f"found again soon after it had ended; {row.count} times in all"),
        (row.acknowledged_at, f"acknowledged by {row.acknowledged_by}"),
        *((one.at, f"{one.channel} was told: {one.state}") for one in told),
        (row.silenced_until, "nobody is told before this"),
        (row.resolved_at, f"resolved: {row.resolved_by}"),
    ]
    return [(exact(at), what) for at, what in sorted((a, w) for a, w in said if a is not None)]
