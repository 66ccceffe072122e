"""Conflicts in the admin: the list with its counts, and the page of one with both sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog import masking, overrides
from catalog.admin import ReadOnlyAdmin, entity_link, entity_url
from catalog.admin.row_page import RowPage
from catalog.conflicts import Conflict
from catalog.payload import pretty
from catalog.source import Source, SourceRecord
from connectors.models import Connection
from connectors.runtime.lineage import declared_in, members_of, open_members
from hub.console.conflict_filters import (
    AgeFilter,
    EntityFilter,
    FieldFilter,
    LoserFilter,
    StateFilter,
    WinnerFilter,
)
from hub.console.seeing import may_settle, said, seen_entities
from hub.console.settling import AT_ONCE, SETTLE_VIEW, override_url, settle_view
from observability.display import Tone, ago, badge, exact

TONES = {
    Conflict.State.OPEN: Tone.BAD,
    Conflict.State.BY_RULE: Tone.BUSY,
    Conflict.State.BY_HAND: Tone.GOOD,
}
MOST_COUNTS = 24
PAYLOAD_LINES = 40


def state_badge(row: Conflict) -> SafeString:
    """Open or who settled it; over, since when."""
    label = Conflict.State(row.state).label
    if row.closed_at is not None:
        return badge(f"over, {label}", Tone.QUIET, exact(row.closed_at))
    return badge(label, TONES[Conflict.State(row.state)])


@admin.register(Conflict)
class ConflictAdmin(RowPage, ReadOnlyAdmin):
    """Every losing value that differs, with who settled it."""

    nothing = "No two systems differ about a field."
    list_display = ("place", "loses", "survives", "rule", "state_shown", "age")
    list_filter = (
        StateFilter, EntityFilter, FieldFilter, LoserFilter, WinnerFilter, AgeFilter,
    )  # fmt: skip
    list_select_related = ("source", "survivor_source")
    search_fields = ("key",)
    search_help_text = "Natural key, or the beginning of it"
    ordering = ("-id",)
    sortable_by = ()
    actions = ("take", "keep")
    fields: ClassVar[tuple[str, ...]] = ()
    change_list_template = "console/conflicts.html"
    change_form_template = "console/conflict.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(settle_view)
        return [path("settle/", view, name=SETTLE_VIEW), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Those about entities that the person may see."""
        rows = super().get_queryset(request).filter(entity__in=seen_entities(request))
        return rows.select_related("source", "survivor_source")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(key__startswith=term) if term else queryset), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under how many there are of each field."""
        shown: HttpResponse = super().changelist_view(
            request, {**(extra_context or {}), "counts": self._counts(request)}
        )
        return shown

    def has_settle_permission(self, request: HttpRequest) -> bool:
        """For the actions below."""
        return may_settle(request)

    @admin.action(description="Take what loses…", permissions=["settle"])
    def take(self, request: HttpRequest, rows: QuerySet[Conflict]) -> HttpResponse | None:
        """To the page that asks why."""
        return self._ask(request, rows, "take")

    @admin.action(description="Keep what survived…", permissions=["settle"])
    def keep(self, request: HttpRequest, rows: QuerySet[Conflict]) -> HttpResponse | None:
        """To the page that asks why."""
        return self._ask(request, rows, "keep")

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        records = SourceRecord.objects.select_related("source").in_bulk(
            [pk for pk in (row.record_id, row.survivor_id) if pk is not None]
        )
        systems = {record.source.system for record in records.values()}
        known = Connection.objects.filter(slug__in=systems).values_list("slug", "connector")
        connectors = dict(known)
        decided = overrides.live(row.entity, row.key).get(row.field)
        return {
            "title": f"{row.entity}.{row.field} of {row.key}",
            "conflict": row,
            "state": state_badge(row),
            "record": entity_link(row.entity, row.key),
            "lineage": f"{entity_url(row.entity, row.key)}#{row.field}",
            "list_address": reverse("admin:catalog_conflict_changelist"),
            "since": ago(row.since, row.asked_at),
            "changed": ago(row.changed_at, row.asked_at),
            "over": ago(row.closed_at, row.asked_at) if row.closed_at else None,
            "settled": ago(row.settled_at, row.asked_at) if row.settled_at else None,
            "sides": [
                self._side(row, title, value, records.get(record), connectors)
                for title, value, record in (
                    ("What survived", row.surviving, row.survivor_id),
                    ("What loses", row.value, row.record_id),
                )
            ],
            "now": row.asked_at,
            "override": decided,
            "may_settle": may_settle(request) and row.closed_at is None,
            "may_withdraw": may_settle(request),
            "take_address": settle_url("take", [row.pk]),
            "keep_address": settle_url("keep", [row.pk]),
            "enter_address": override_url(row.entity, row.key, row.field),
        }

    def _side(
        self,
        row: Conflict,
        title: str,
        value: Any,
        record: SourceRecord | None,
        connectors: Mapping[str, str],
    ) -> dict[str, Any]:
        if record is None:
            return {"title": title, "value": self._said(row, value), "record": None}
        source = record.source
        connector = connectors.get(source.system, "")
        declared = declared_in(connector, source.stream, row.entity)
        members = members_of(declared, row.field, record.payload) if declared else []
        opened = open_members(connector, source.stream, row.entity)
        return {
            "title": title,
            "value": self._said(row, value),
            "record": record,
            "payload": pretty(
                record.payload,
                [m.path for m in members],
                PAYLOAD_LINES,
                covered=masking.but_for(opened, row.entity, row.key),
            ),
        }

    def _said(self, row: Conflict, value: Any) -> SafeString:
        return said(value, row.entity, row.field, row.key)

    def _ask(self, request: HttpRequest, rows: QuerySet[Conflict], how: str) -> HttpResponse | None:
        chosen = list(rows.filter(closed_at=None).values_list("pk", flat=True)[: AT_ONCE + 1])
        if len(chosen) > AT_ONCE:
            messages.warning(request, f"At most {AT_ONCE} at once; narrow the list by a filter.")
            return None
        if not chosen:
            messages.warning(request, "These differ no more: there is nothing to settle.")
            return None
        return HttpResponseRedirect(settle_url(how, chosen))

    def _counts(self, request: HttpRequest) -> list[dict[str, Any]]:
        """The fields with most conflicts: how many, how many of them open, and their list."""
        live = Conflict.objects.filter(closed_at=None, entity__in=seen_entities(request))
        counted = (
            live.order_by()
            .values("entity", "field")
            .annotate(count=Count("pk"), unsettled=Count("pk", filter=Q(state=Conflict.State.OPEN)))
            .order_by("-count", "entity", "field")[:MOST_COUNTS]
        )
        return [
            {**row, "query": urlencode({"entity": row["entity"], "field": row["field"]})}
            for row in counted
        ]

    @admin.display(description="field")
    def place(self, row: Conflict) -> SafeString:
        return format_html(
            '{}.<b>{}</b> <div class="hw-mono hw-dim">{}</div>', row.entity, row.field, row.key
        )

    @admin.display(description="loses")
    def loses(self, row: Conflict) -> SafeString:
        return self._value(row, row.value, row.source)

    @admin.display(description="survived")
    def survives(self, row: Conflict) -> SafeString:
        return self._value(row, row.surviving, row.survivor_source)

    def _value(self, row: Conflict, value: Any, source: Source | None) -> SafeString:
        who = badge(source.system) if source else ""
        return format_html('{} <span class="hw-wrap">{}</span>', who, self._said(row, value))

    @admin.display(description="state")
    def state_shown(self, row: Conflict) -> SafeString:
        return state_badge(row)

    @admin.display(description="since")
    def age(self, row: Any) -> SafeString:
        return ago(row.since, row.asked_at)


def settle_url(how: str, ids: list[int]) -> str:
    """The page that asks why these are settled so."""
    words = urlencode({"how": how, "ids": ",".join(map(str, ids))})
    return f"{reverse(f'admin:{SETTLE_VIEW}')}?{words}"
