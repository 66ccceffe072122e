"""Connections: what the hub is connected to, configured as each connector declares."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from connectors.admin import measured
from connectors.admin.asking import OneRow, ask_all, button, who
from connectors.admin.settings_form import (
    CONNECTION_FIELDS,
    PREFIX,
    asked_members,
    connection_form,
)
from connectors.models import Breaker, Connection, Stream, SyncRun
from connectors.runtime.connect import add_streams
from connectors.runtime.connector import Connector, installed
from connectors.runtime.probe import first_page, probe
from observability.display import Tone, badge, duration, exact
from observability.errors import HubError
from observability.incidents import Incident

#: A person waits for the answer of a test; a pull has more patience.
TEST_TIMEOUT_SECONDS = 8.0


@admin.register(Connection)
class ConnectionAdmin(OneRow, ModelAdmin):  # type: ignore[misc]
    """Adding one begins with the choice of its connector, which decides the form."""

    list_display = ("title", "kind", "base_url", "state", "streams_count", "what_to_do")
    change_form_template = "admin/connectors/connection/change_form.html"
    search_fields = ("slug", "name", "base_url")
    ordering = ("slug",)
    sortable_by = ()
    actions = (
        "test_connection", "reconcile_now", "remap", "open_breaker", "close_breaker", "probe_now",
    )  # fmt: skip

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Switched off, not deleted: its runs and source records speak of it."""
        return False

    def has_test_permission(self, request: HttpRequest) -> bool:
        """To call it, or leave it alone: who operates need not know its credentials."""
        return request.user.has_perm("connectors.change_breaker")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        wrong = Incident.objects.filter(
            system=OuterRef("slug"), stream="", resolved_at=None, part_of=None
        ).order_by("-opened_at")
        rows: QuerySet[Any] = (
            super()
            .get_queryset(request)
            .annotate(
                stream_count=Count("streams"),
                trouble=Subquery(wrong.values("pk")[:1]),
                trouble_says=Subquery(wrong.values("title")[:1]),
            )
        )
        return rows.select_related("breaker")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if self._connector(request, None) is None:
            return self._choose(request)
        shown: HttpResponse = super().add_view(request, form_url, extra_context)
        return shown

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        more: dict[str, Any] = {}
        if row is not None and request.method == "GET":
            more["charts"] = measured.connection_charts(row.slug)
            more["operations"] = measured.operations(row.slug)
        shown: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **more}
        )
        return shown

    def get_form(
        self,
        request: HttpRequest,
        obj: Any = None,
        change: Any = False,  # noqa: FBT002 (Django's)
        **kwargs: Any,
    ) -> type[ModelForm[Any]]:
        connector = self._connector(request, obj)
        if connector is not None:
            kwargs["form"] = connection_form(connector, obj)
        form: type[ModelForm[Any]] = super().get_form(request, obj, change, **kwargs)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        connector = self._connector(request, obj)
        if connector is None:
            return [(None, {"fields": CONNECTION_FIELDS})]
        members = [f"{PREFIX}{name}" for name, _ in asked_members(connector)]
        return [
            (connector.label, {"fields": CONNECTION_FIELDS[:4]}),
            ("Credentials and settings", {"fields": members}),
            ("Limits", {"fields": CONNECTION_FIELDS[4:7]}),
            ("Circuit breaker", {"fields": CONNECTION_FIELDS[7:]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Source records, rules and freshness name the system by its slug.
        return ("slug",) if obj else ()

    def save_model(self, request: HttpRequest, obj: Connection, form: Any, change: Any) -> None:
        super().save_model(request, obj, form, change)
        if obj.connector in installed():
            add_streams(obj)
        if not (obj.enabled and obj.breaker_enabled):
            # Nobody would probe it any more, and reads would be marked for ever.
            obj.circuit_breaker.close_by(who(request))

    @admin.action(description="Test connection", permissions=["test"])
    def test_connection(self, request: HttpRequest, rows: QuerySet[Connection]) -> None:
        """Read the first page of the first stream; nothing is stored."""
        for row in rows:
            level, said = test(row)
            self.message_user(request, said, level)

    @admin.action(description="Reconcile now", permissions=["ask"])
    def reconcile_now(self, request: HttpRequest, rows: QuerySet[Connection]) -> None:
        """Compare all streams with the upstream, one after the other."""
        ask_all(request, streams_of(rows), SyncRun.Kind.RECONCILE)

    @admin.action(description="Remap", permissions=["ask"])
    def remap(self, request: HttpRequest, rows: QuerySet[Connection]) -> None:
        """Derive what all streams feed again from what is stored."""
        ask_all(request, streams_of(rows), SyncRun.Kind.REMAP)

    @admin.action(description="Leave alone (open the breaker)", permissions=["test"])
    def open_breaker(self, request: HttpRequest, rows: QuerySet[Connection]) -> None:
        """Until a person closes it: no call goes out."""
        for row in rows:
            row.circuit_breaker.open_by(who(request))
            self.message_user(request, f"{row} is left alone until somebody closes its breaker.")

    @admin.action(description="Call again (close the breaker)", permissions=["test"])
    def close_breaker(self, request: HttpRequest, rows: QuerySet[Connection]) -> None:
        """What waited goes out at once."""
        for row in rows:
            closed = row.circuit_breaker.close_by(who(request))
            told = "is called again" if closed else "is called already: its breaker is closed"
            self.message_user(request, f"{row} {told}.")

    @admin.action(description="Probe now", permissions=["test"])
    def probe_now(self, request: HttpRequest, rows: QuerySet[Connection]) -> None:
        """Not to wait for the cool-down."""
        for row in rows:
            if not row.circuit_breaker.probe_by(who(request)):
                self.message_user(
                    request, f"{row}: its breaker is closed; there is nothing to ask."
                )
                continue
            # A person waits for the answer; a pull has more patience.
            row.timeout_seconds = min(row.timeout_seconds, TEST_TIMEOUT_SECONDS)
            if probe(row):
                self.message_user(request, f"{row} answers, and is called again.")
            else:
                reason = Breaker.objects.get(pk=row.pk).reason
                self.message_user(request, f"{row} is still down: {reason}.", messages.ERROR)

    @admin.display(description="connection")
    def title(self, row: Connection) -> SafeString:
        return format_html('{}<div class="hw-dim hw-mono">{}</div>', row.name, row.slug)

    @admin.display(description="connector")
    def kind(self, row: Connection) -> SafeString:
        known = installed().get(row.connector)
        if known is None:
            return badge(f"{row.connector}: not installed", Tone.BAD)
        return format_html("{}", known.label)

    @admin.display(description="state")
    def state(self, row: Any) -> SafeString:
        if not row.enabled:
            return badge("off", Tone.WARN)
        breaker = getattr(row, "breaker", None)
        if breaker is None or breaker.state == Breaker.State.CLOSED:
            if row.trouble:
                address = reverse("admin:observability_incident_change", args=[row.trouble])
                return format_html(
                    '{} <a class="hw-link" href="{}">{}</a>',
                    badge("trouble", Tone.BAD), address, row.trouble_says,
                )  # fmt: skip
            return badge("on", Tone.GOOD, "circuit breaker closed")
        since = f"since {exact(breaker.down_since)}" if breaker.down_since else ""
        mark = badge(f"breaker {breaker.get_state_display()}", Tone.BAD, since)
        return format_html('{}<div class="hw-dim">{}</div>', mark, breaker.reason)

    @admin.display(description="streams")
    def streams_count(self, row: Any) -> SafeString:
        address = reverse("admin:connectors_stream_changelist")
        return format_html(
            '<a class="hw-link" href="{}?connection__id__exact={}">{}</a>',
            address,
            row.pk,
            row.stream_count,
        )

    @admin.display(description="")
    def what_to_do(self, row: Connection) -> SafeString:
        return button("test_connection", row.pk, "Test", "Reads one page; stores nothing")

    def _connector(self, request: HttpRequest, row: Connection | None) -> type[Connector] | None:
        return installed().get(row.connector if row else request.GET.get("connector", ""))

    def _choose(self, request: HttpRequest) -> HttpResponse:
        if not self.has_add_permission(request):
            return HttpResponseRedirect(reverse("admin:connectors_connection_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": "Add connection",
            "subtitle": "which system?",
            # Plain values: a template would call the class.
            "connectors": sorted(
                (c.label, slug, ", ".join(s.slug for s in c.streams))
                for slug, c in installed().items()
            ),
        }
        return TemplateResponse(request, "admin/connectors/connection/choose.html", context)


def test(row: Connection) -> tuple[int, str]:
    """(message level, sentence): whether a first page can be read now."""
    row.timeout_seconds = min(row.timeout_seconds, TEST_TIMEOUT_SECONDS)
    began = perf_counter()
    try:
        found = first_page(row)
    except HubError as error:
        return messages.ERROR, f"{row}: {error.message} ({error.code})"
    if found is None:
        return messages.WARNING, f"{row}: the connector declares no stream to read."
    spec, page = found
    took = duration(perf_counter() - began)
    return (
        messages.SUCCESS,
        f"{row} answers: {len(page.records)} records of {spec.slug} in {took}. Nothing was stored.",
    )


def streams_of(rows: QuerySet[Connection]) -> QuerySet[Stream]:
    """The streams of some connections."""
    return Stream.objects.filter(connection__in=rows).select_related("connection")
