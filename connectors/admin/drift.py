"""Incidents of drift: what departed, what it likely is, and one click to read on."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet, TextField
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from catalog import masking
from catalog.admin import ReadOnlyAdmin
from catalog.admin.row_page import RowPage, once
from catalog.payload import pretty
from connectors.admin.asking import OneRow, may_ask, say_asked, who
from connectors.drift import detective
from connectors.drift.aliases import DAYS, accept, end, replay
from connectors.drift.patch import patch
from connectors.drift.runbook import candidates, stream_of
from connectors.models import DriftIncident, DriftPolicy, FieldAlias, MemberChange, Stream
from connectors.runtime.connector import connector_class
from connectors.runtime.lineage import open_members
from observability.display import Tone, ago, badge, exact
from observability.errors import ConfigurationError
from observability.incidents import acknowledge

ALIAS = "connectors.change_fieldalias"
#: What happened to the records, as a badge.
TONES = {"quarantine": Tone.WARN, "stop": Tone.BAD, "drop": Tone.BUSY, "accept": Tone.BUSY}


def share(details: dict[str, Any]) -> str:
    """`12,300 of 12,300 records (100 %)`."""
    records, read = details.get("records", 0), details.get("read", 0)
    return f"{records:,} of {read:,} records ({details.get('share', 0):.1%})"


def hidden(stream: Stream | None, path: str, key: str) -> bool:
    """Whether what stands at a member is covered for whoever looks."""
    if stream is None:
        return not masking.sees()
    covered = masking.but_for(
        open_members(stream.connection.connector, stream.slug), str(stream), key
    )
    return covered is not None and covered(path)


@admin.register(DriftIncident)
class DriftIncidentAdmin(OneRow, RowPage, ReadOnlyAdmin):
    """One row for each member and kind of breach, from its first record to its end."""

    nothing = "No record has departed from its contract."
    list_display = ("what", "hit", "action", "since", "last", "state")
    list_filter = ("system", "stream")
    change_form_template = "admin/connectors/driftincident/change_form.html"
    ordering = ("-id",)
    sortable_by = ()
    actions = ("accept_alias", "replay_held", "acknowledge")
    fields: tuple[str, ...] = ()

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        details, stream = row.details, stream_of(row)
        found = candidates(row, stream)
        likely = found[0] if found and found[0].sure else None
        alias = FieldAlias.objects.filter(
            stream=stream, path=details.get("path"), ended_at=None
        ).first()  # fmt: skip
        return {
            "title": row.title,
            "subtitle": masking.told(row.cause, masking.cover_names()),
            "incident": row,
            "details": details,
            "stream": stream,
            "held": stream.quarantine.count() if stream else 0,
            "may_ask": may_ask(request),
            "may_alias": self.has_alias_permission(request),
            "may_acknowledge": self.has_acknowledge_permission(request),
            "state": self.state(row),
            "action": self.action(row),
            "hit": share(details),
            "first": self._record(details.get("first"), row.asked_at),
            "last": self._record(details.get("last"), row.asked_at),
            "before": self._sample(details.get("before"), details.get("path", ""), stream),
            "after": self._sample(details.get("after"), details.get("path", ""), stream),
            "candidates": found,
            "likely": likely,
            "patch": self._patch(stream, likely),
            "alias": alias,
            "alias_until": exact(alias.until) if alias else "",
            "days": DAYS,
        }

    def has_alias_permission(self, request: HttpRequest) -> bool:
        """Who reads a member under another name decides what its records say."""
        return request.user.has_perm(ALIAS)

    @admin.action(description="Accept the proposed alias", permissions=["alias"])
    def accept_alias(self, request: HttpRequest, rows: QuerySet[DriftIncident]) -> None:
        """Read the member under its new name for a while, and replay what was held."""
        for row in rows:
            stream, path = stream_of(row), row.details.get("path", "")
            likely = {one.member: one for one in candidates(row, stream)}
            wanted = request.POST.get("member") or next(
                (name for name, one in likely.items() if one.sure), ""
            )
            if stream is None or wanted not in likely:
                messages.warning(request, f"{row}: no member is known that could stand for {path}.")
                continue
            try:
                alias = accept(stream, path, wanted, by=who(request), evidence=likely[wanted].text)
            except ConfigurationError as error:
                messages.error(request, error.message)
                continue
            messages.success(
                request,
                f"{path} is read as {wanted} until {exact(alias.until)}."
                f" What {stream} holds is tried again.",
            )

    @admin.action(description="Replay the quarantine", permissions=["ask"])
    def replay_held(self, request: HttpRequest, rows: QuerySet[DriftIncident]) -> None:
        """Try what the streams hold again, by the contract, mapping and policies of today."""
        streams = {stream.pk: stream for row in rows if (stream := stream_of(row))}
        say_asked(request, [replay(stream, by=who(request)) for stream in streams.values()])

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        """As for every other incident."""
        return request.user.has_perm("observability.change_incident")

    @admin.action(description="Acknowledge", permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, rows: QuerySet[DriftIncident]) -> None:
        """Say that somebody looks after it."""
        acknowledge(rows, who(request))

    def _patch(self, stream: Stream | None, likely: detective.Candidate | None) -> str:
        if stream is None or likely is None:
            return ""
        connector = connector_class(stream.connection.connector)
        return patch(connector, stream.spec, likely.path, likely.member)

    def _record(self, said: dict[str, str] | None, now: Any) -> SafeString | str:
        if not said:
            return "–"
        at = parse_datetime(said["at"])
        return format_html('<span class="hw-mono">{}</span> {}', said["record"], ago(at, now))

    def _sample(
        self, said: dict[str, Any] | None, path: str, stream: Stream | None
    ) -> SafeString | str:
        if not said or not said.get("record"):
            return "–"
        value = "not there" if said["value"] is None else json.dumps(said["value"])[:300]
        if said["value"] is not None and hidden(stream, path, said["record"]):
            value = masking.MASK
        return format_html(
            '<code class="hw-mono">{}: {}</code> <span class="hw-dim">in {}</span>',
            path.rpartition(".")[2] or "the record",
            value,
            said["record"],
        )

    @admin.display(description="incident")
    def what(self, row: Any) -> SafeString:
        feeds = ", ".join(row.details.get("feeds", ()))
        return format_html(
            '{}<div class="hw-dim">{}</div>', row.title, f"feeds {feeds}" if feeds else ""
        )

    @admin.display(description="records")
    def hit(self, row: Any) -> str:
        return share(row.details)

    @admin.display(description="what happens")
    def action(self, row: Any) -> SafeString:
        action = row.details.get("action", "quarantine")
        return badge(DriftPolicy.Action(action).label, TONES.get(action, Tone.QUIET))

    @admin.display(description="since")
    def since(self, row: Any) -> SafeString:
        return ago(row.opened_at, row.asked_at)

    @admin.display(description="last")
    def last(self, row: Any) -> SafeString:
        return ago(row.last_seen_at, row.asked_at)

    @admin.display(description="state")
    def state(self, row: Any) -> SafeString:
        if row.resolved_at is not None:
            return badge("resolved", Tone.GOOD, f"{exact(row.resolved_at)}, {row.resolved_by}")
        if row.acknowledged_at is not None:
            return badge("acknowledged", Tone.WARN, row.acknowledged_by)
        return badge("open", Tone.BAD)


@admin.register(DriftPolicy)
class DriftPolicyAdmin(ModelAdmin):  # type: ignore[misc]
    """What happens to records that depart; one row a decision."""

    list_display = ("stream", "member", "breach", "action", "note")
    list_filter = ("stream__connection", "action")
    list_select_related = ("stream__connection",)
    fields = ("stream", "path", "breach", "action", "note")
    formfield_overrides: ClassVar = {TextField: {"widget": UnfoldAdminTextInputWidget}}
    nothing = "There are none: what departs from its contract is quarantined."

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Streams are named with their connection."""
        kwargs["queryset"] = Stream.objects.select_related("connection").order_by(
            "connection__slug", "slug"
        )
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description="member")
    def member(self, row: DriftPolicy) -> str:
        return row.path or "every member"


@admin.register(FieldAlias)
class FieldAliasAdmin(OneRow, ReadOnlyAdmin):
    """Which members are read under another name, and for how long still."""

    nothing = "No member is read under another name. One is accepted on the page of its drift."
    list_display = ("stream", "path", "renamed", "ends", "accepted_by", "evidence")
    list_select_related = ("stream__connection",)
    list_filter = ("stream__connection",)
    ordering = ("-id",)
    sortable_by = ()
    actions = ("end_now",)
    fields = (
        "stream", "path", "renamed", "evidence", "accepted_by", "accepted_at", "until", "ended_at",
        "ended_because",
    )  # fmt: skip
    readonly_fields = fields

    def has_alias_permission(self, request: HttpRequest) -> bool:
        """As for accepting one."""
        return request.user.has_perm(ALIAS)

    @admin.action(description="End these aliases", permissions=["alias"])
    def end_now(self, request: HttpRequest, rows: QuerySet[FieldAlias]) -> None:
        """Read the members by their old names again."""
        for row in rows:
            end(row, who(request))

    @admin.display(description="ends")
    def ends(self, row: Any) -> SafeString:
        if row.ended_at is not None:
            return badge("ended", Tone.QUIET, row.ended_because)
        return ago(row.until, row.asked_at)


@admin.register(MemberChange)
class MemberChangeAdmin(ReadOnlyAdmin):
    """Additive drift: members that came and went without a breach of contract."""

    nothing = "No member has appeared or gone that nobody maps."
    list_display = ("stream", "member", "change", "sample", "first_seen", "last_seen")
    list_select_related = ("stream__connection",)
    list_filter = ("change", "stream__connection", "first_seen_at")
    ordering = ("-first_seen_at", "-id")
    sortable_by = ()
    fields = (
        "stream", "path", "change", "records", "first_record", "last_record", "samples",
        "first_seen_at", "last_seen_at",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="member")
    def member(self, row: MemberChange) -> SafeString:
        return format_html('<code class="hw-mono">{}</code>', row.path)

    @admin.display(description="values")
    @once
    def samples(self, row: MemberChange) -> SafeString:
        """What the first records hold, or held."""
        kept = {
            key: masking.MASK if hidden(row.stream, row.path, key) else value
            for key, value in row.values.items()
        }
        return pretty(json.dumps(kept))

    @admin.display(description="sample")
    def sample(self, row: MemberChange) -> SafeString:
        key, value = next(iter(row.values.items()), ("", None))
        text = masking.MASK if hidden(row.stream, row.path, key) else json.dumps(value)[:80]
        return format_html(
            '<code class="hw-mono">{}</code> <span class="hw-dim">in {}</span>', text, key
        )

    @admin.display(description="first seen")
    def first_seen(self, row: Any) -> SafeString:
        return ago(row.first_seen_at, row.asked_at)

    @admin.display(description="last seen")
    def last_seen(self, row: Any) -> SafeString:
        return ago(row.last_seen_at, row.asked_at)
