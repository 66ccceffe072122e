"""The steps of a command as a trace: what began when, how long it took, and what it wrote where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog import masking
from connectors.models import Command, CommandStep, InboxEvent
from connectors.outbox.readback import READ_BACK
from observability.display import Tone, badge

State = CommandStep.State
TONES: Mapping[str, Tone] = {
    Command.State.ACCEPTED: Tone.BUSY,
    Command.State.SENT: Tone.BUSY,
    Command.State.ACKNOWLEDGED: Tone.GOOD,
    Command.State.CONFIRMED: Tone.GOOD,
    Command.State.REFUSED: Tone.WARN,
    Command.State.FAILED: Tone.BAD,
    State.RUNNING: Tone.BUSY,
    State.WAITING: Tone.WARN,
    State.DONE: Tone.GOOD,
    State.SKIPPED: Tone.QUIET,
    State.UNDONE: Tone.QUIET,
}


def trace(command: Command) -> list[dict[str, Any]]:
    """A row of the page's table for each step, in the order in which they began."""
    rows = list(command.steps.select_related("connection"))
    events = dict(
        InboxEvent.objects.filter(
            record_key__in=[row.record_key for row in rows if row.read_back_at],
            event_id__in=[f"{READ_BACK}/{row.idempotency_key}" for row in rows if row.read_back_at],
        ).values_list("event_id", "pk")
    )
    return [
        {
            "step": row,
            "state": badge(row.state, TONES.get(row.state, Tone.BAD)),
            "began": _milliseconds(command, row.started_at),
            "took": "–" if row.finished_at is None else _between(row.started_at, row.finished_at),
            "where": _where(row),
            "error": masking.told(row.error, masking.cover_names()),
            "read_back": _read_back(row, events.get(f"{READ_BACK}/{row.idempotency_key}")),
        }
        for row in rows
    ]


def _where(row: CommandStep) -> SafeString:
    if row.connection is None:
        return format_html("{}", "–")
    address = reverse("admin:connectors_connection_change", args=[row.connection_id])
    return format_html(
        '<a class="hw-link" href="{}">{}</a> <span class="hw-mono">{} {}</span>',
        address, row.connection, row.stream, row.record_key,
    )  # fmt: skip


def _read_back(row: CommandStep, event: int | None) -> SafeString:
    if row.read_back_at is None:
        return format_html("{}", "–")
    if event is None:
        return format_html("{}", "yes")
    address = reverse("admin:connectors_inboxevent_change", args=[event])
    return format_html('<a class="hw-link" href="{}">event #{}</a>', address, event)


def _milliseconds(command: Command, moment: Any) -> str:
    return f"+{(moment - command.accepted_at).total_seconds() * 1000:,.0f} ms"


def _between(begin: Any, end: Any) -> str:
    return f"{(end - begin).total_seconds() * 1000:,.1f} ms"
