"""Streams: how far each has been read, against what was promised, and the buttons to read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from math import floor
from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from catalog.admin.row_page import RowPage
from catalog.sizes import Size, source_sizes
from connectors.admin import measured
from connectors.admin.asking import OneRow, ask_all, button, may_ask, run_url, say_asked, who
from connectors.admin.progress import state_badge
from connectors.admin.runs import latest_runs, run_rows
from connectors.drift.aliases import replay
from connectors.drift.stopping import resume
from connectors.models import QuarantinedRecord, Stream, SyncRun
from connectors.runtime import queue
from connectors.runtime.declare import Child, StreamSpec, source
from observability.display import Tone, badge, duration, exact, lag_badge
from observability.errors import ConfigurationError
from observability.judging import Standing, Verdict, standings

RECENT = 10


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known about a stream besides its own row."""

    standing: Standing | None
    size: Size | None
    last_run: SyncRun | None

    @property
    def lag_seconds(self) -> float | None:
        """None: it was never read in full."""
        return self.standing.freshness.lag_seconds if self.standing else None

    def verdict(self, *classes: str) -> Verdict | None:
        """See `Standing.verdict`; None also where nothing is known of the stream."""
        return self.standing.verdict(*classes) if self.standing else None


def read_all(
    streams: Iterable[Stream],
    *,
    sized: bool = True,
    runs: Mapping[int, SyncRun] | None = None,
) -> list[tuple[Stream, Reading]]:
    """Standing, last run and (`sized`) size of streams that carry `last_run_id`. A statement each.

    Who has read the `runs` already passes them on.
    """
    rows = list(streams)
    known, sizes = standings(), source_sizes() if sized else {}
    if runs is None:
        runs = SyncRun.objects.in_bulk([row.last_run_id for row in rows])  # type: ignore[attr-defined]
    return [
        (
            row,
            Reading(
                known.get((row.connection.slug, row.slug)),
                sizes.get((row.connection.slug, row.slug)),
                runs.get(row.last_run_id),  # type: ignore[attr-defined]
            ),
        )
        for row in rows
    ]


def with_last_run(streams: QuerySet[Stream]) -> QuerySet[Any]:
    """Beside each stream: its checkpoint, its last run's id, how many records are in quarantine."""
    last = SyncRun.objects.filter(stream=OuterRef("pk")).order_by("-id").values("pk")[:1]
    held = QuarantinedRecord.objects.filter(stream=OuterRef("pk")).order_by().values("stream")
    return streams.select_related("connection", "checkpoint").annotate(
        last_run_id=Subquery(last),
        held=Coalesce(Subquery(held.annotate(n=Count("pk")).values("n")), 0),
    )


def declared(stream: Stream) -> StreamSpec | None:
    """The stream's declaration; None when its connector is gone."""
    try:
        return stream.spec
    except ConfigurationError:
        return None


class StreamChangeList(ChangeList):  # type: ignore[misc]
    """Reads lag, size and last run of the shown rows together."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        shown: list[Any] = list(self.result_list)  # type: ignore[has-type]
        for row, reading in read_all(shown):
            row.reading = reading  # type: ignore[attr-defined]
        self.result_list = shown


@admin.register(Stream)
class StreamAdmin(OneRow, RowPage, ModelAdmin):  # type: ignore[misc]
    """One row for each collection of records."""

    list_display = (
        "name", "entity", "lag", "last_run", "records", "exact", "in_quarantine", "what_to_do",
    )  # fmt: skip
    list_filter = ("connection", "enabled")
    list_before_template = "admin/connectors/syncrun/live.html"
    change_form_template = "admin/connectors/stream/change_form.html"
    search_fields = ("slug", "connection__slug")
    ordering = ("connection__slug", "slug")
    sortable_by = ()
    show_full_result_count = False
    list_fullwidth = False
    actions = ("resync_now", "full_refresh", "reconcile_now", "remap", "replay_held", "resume")
    fields = (
        "enabled", "interval_seconds", "objective_seconds", "lookback_seconds",
        "delete_guard_share", "reconcile_every_seconds", "reconcile_requests_per_second",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Streams come with their connection."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return StreamChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_last_run(super().get_queryset(request))

    def page(self, request: HttpRequest, row: Stream) -> dict[str, Any]:
        runs = latest_runs(SyncRun.objects.filter(stream=row).order_by("-id")[:RECENT])
        _, reading = read_all([row], runs=runs)[0]
        spec = declared(row)
        return {
            "title": str(row),
            "subtitle": row.connection.name,
            "stream": row,
            "may_ask": may_ask(request),
            "lag": lag_badge(reading.lag_seconds, row.objective_seconds),
            "size": reading.size,
            "exactness": exactness(row),
            "held": row.held,  # type: ignore[attr-defined]
            "runs": run_rows(runs.values()),
            "record_key": " / ".join(spec.record_key) if spec else "",
            "contract": spec.contract.VERSION if spec else "",
            "mapping": mapping(spec) if spec else [],
            "charts": measured.stream_charts(row.connection.slug, row.slug),
            "progress_address": reverse("admin:connectors_syncrun_progress"),
        }

    @admin.action(description="Resync now", permissions=["ask"])
    def resync_now(self, request: HttpRequest, streams: Iterable[Stream]) -> None:
        """Read what changed; everything, where the stream cannot tell or was never read."""
        runs = [queue.ask(s, queue.natural_kind(s), asked_by=who(request)) for s in streams]
        say_asked(request, runs)

    @admin.action(description="Full refresh", permissions=["ask"])
    def full_refresh(self, request: HttpRequest, streams: QuerySet[Stream]) -> None:
        """Read everything, and tombstone what the upstream no longer has."""
        ask_all(request, streams, SyncRun.Kind.FULL)

    @admin.action(description="Reconcile now", permissions=["ask"])
    def reconcile_now(self, request: HttpRequest, streams: QuerySet[Stream]) -> None:
        """Compare everything with the upstream, slowly, and heal and count what was missed."""
        ask_all(request, streams, SyncRun.Kind.RECONCILE)

    @admin.action(description="Remap", permissions=["ask"])
    def remap(self, request: HttpRequest, streams: QuerySet[Stream]) -> None:
        """Derive entities again from what is stored; no upstream is asked."""
        ask_all(request, streams, SyncRun.Kind.REMAP)

    @admin.action(description="Replay the quarantine", permissions=["ask"])
    def replay_held(self, request: HttpRequest, streams: QuerySet[Stream]) -> None:
        """Try what is held again, by the contract, mapping and policies of today."""
        say_asked(request, [replay(stream, by=who(request)) for stream in streams])

    @admin.action(description="Resume stopped streams", permissions=["ask"])
    def resume(self, request: HttpRequest, streams: QuerySet[Stream]) -> None:
        """Read on from the checkpoint what a drift policy has stopped."""
        stopped = [stream for stream in streams if stream.stopped_at is not None]
        for stream in stopped:
            resume(stream)
        self.resync_now(request, stopped)

    @admin.display(description="stream")
    def name(self, stream: Stream) -> SafeString:
        off = "" if stream.enabled and stream.connection.enabled else badge("off", Tone.WARN)
        if stream.stopped_at is not None:
            off = badge("stopped", Tone.BAD, stream.stopped_because)
        return format_html(
            '{} {}<div class="hw-dim">every {}</div>',
            str(stream), off, duration(stream.interval_seconds),
        )  # fmt: skip

    @admin.display(description="entity")
    def entity(self, stream: Stream) -> str:
        spec = declared(stream)
        if spec is None:
            return "connector is not installed"
        return ", ".join(dict.fromkeys((spec.entity, *(c.entity for c in spec.children))))

    @admin.display(description="lag")
    def lag(self, stream: Any) -> SafeString:
        return lag_badge(stream.reading.lag_seconds, stream.objective_seconds)

    @admin.display(description="last run")
    def last_run(self, stream: Any) -> SafeString:
        run = stream.reading.last_run
        if run is None:
            return badge("never run")
        return format_html(
            '{} <a class="hw-link" href="{}">#{}</a>', state_badge(run), run_url(run.pk), run.pk
        )

    @admin.display(description="records")
    def records(self, stream: Any) -> str:
        return str(stream.reading.size or 0)

    @admin.display(description="compared")
    def exact(self, stream: Stream) -> SafeString:
        return exactness(stream, "not yet")

    @admin.display(description="quarantine")
    def in_quarantine(self, stream: Any) -> SafeString | str:
        if not stream.held:
            return "–"
        address = reverse("admin:connectors_quarantinedrecord_changelist")
        return format_html(
            '<a href="{}?stream__id__exact={}">{}</a>',
            address,
            stream.pk,
            badge(f"{stream.held:,}", Tone.BAD),
        )

    @admin.display(description="")
    def what_to_do(self, stream: Stream) -> SafeString:
        return format_html(
            '<div class="hw-buttons">{}{}</div>',
            button("resync_now", stream.pk, "Resync now", "Read what changed"),
            button("full_refresh", stream.pk, "Full refresh", "Read everything"),
        )


def exactness(stream: Stream, short: str = "") -> SafeString:
    """`99.98 % exact, verified through 14:05 UTC`, with the day on hover."""
    mark = getattr(stream, "checkpoint", None)
    if mark is None or mark.verified_through is None:
        return badge(short or "not compared yet", title="not compared yet with the upstream")
    # Rounded down: 100 % means every record.
    share = floor(mark.exactness * 10_000) / 100
    return format_html(
        '{} <span class="hw-dim" title="{}">verified through {} UTC</span>',
        badge(f"{share:g} % exact", Tone.GOOD if share == 100 else Tone.WARN),
        exact(mark.verified_through),
        f"{mark.verified_through.astimezone(UTC):%H:%M}",
    )


def mapping(spec: StreamSpec) -> list[tuple[str, list[tuple[str, str]]]]:
    """(entity, (field, upstream members)) of a stream and its children."""
    parts: tuple[StreamSpec | Child, ...] = (spec, *spec.children)
    return [
        (
            part.entity,
            [(name, " + ".join(source(how).paths)) for name, how in part.fields.items()],
        )
        for part in parts
    ]
