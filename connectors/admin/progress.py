"""How far a sync run is: as JSON for the script that keeps pages up to date, and as HTML.

The script (static/connectors/runs.js) finds elements with `data-run` and `data-part` and writes
the member of that name into them, so that any page can show a run without code of its own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from connectors.models import SyncRun
from observability.display import Tone, duration

TONES: dict[str, Tone] = {
    SyncRun.State.QUEUED: Tone.QUIET,
    SyncRun.State.RUNNING: Tone.BUSY,
    SyncRun.State.DONE: Tone.GOOD,
    SyncRun.State.HELD: Tone.WARN,
    SyncRun.State.FAILED: Tone.BAD,
}
LIVE = frozenset({SyncRun.State.QUEUED.value, SyncRun.State.RUNNING.value})
COUNTERS = (
    "read", "unchanged", "stored", "merged", "quarantined", "tombstoned", "compared", "missed",
    "pages", "attempts",
)  # fmt: skip


def progress(run: SyncRun, now: datetime) -> dict[str, Any]:
    """One run for the script. `percent` is None while the size is not known."""
    share = run.share_done
    return {
        "id": run.pk,
        "live": run.state in LIVE,
        "state": run.get_state_display().lower(),
        "tone": TONES[run.state].value,
        "percent": None if share is None else round(share * 100, 1),
        "records": records(run),
        "duration": taken(run, now),
        "error": run.error[:500],
        **{name: f"{getattr(run, name):,}" for name in COUNTERS},
    }


def records(run: SyncRun) -> str:
    """`1,200 of 4,000`, or only what was read."""
    if run.expected and run.state != SyncRun.State.DONE:
        return f"{run.read:,} of {run.expected:,}"
    return f"{run.read:,}"


def taken(run: SyncRun, now: datetime) -> str:
    """How long the run has taken so far, or took; how long it waits while it is queued."""
    if run.started_at is None:
        return f"waits {duration((now - run.queued_at).total_seconds())}"
    return duration(((run.finished_at or now) - run.started_at).total_seconds())


def part(run: SyncRun, name: str, text: object) -> SafeString:
    """A text that the script keeps up to date."""
    return format_html('<span data-run="{}" data-part="{}">{}</span>', run.pk, name, text)


def state_badge(run: SyncRun) -> SafeString:
    """The state, kept up to date."""
    return format_html(
        '<span class="hw-badge hw-{}" data-run="{}" data-part="state"{}>{}</span>',
        TONES[run.state].value,
        run.pk,
        SafeString(" data-live") if run.state in LIVE else "",
        run.get_state_display().lower(),
    )


def bar(run: SyncRun) -> SafeString:
    """The progress bar with its text, kept up to date; it sweeps while the size is not known."""
    share = run.share_done
    percent = None if share is None else round(share * 100, 1)
    sweeping = percent is None and run.state == SyncRun.State.RUNNING
    return format_html(
        '<div class="hw-progress"><div class="hw-bar hw-{}{}" role="progressbar"'
        ' aria-label="progress of run {}" aria-valuemin="0" aria-valuemax="100"'
        ' aria-valuenow="{}" data-run="{}" data-part="bar"><i style="width:{}%"></i></div>{}</div>',
        TONES[run.state].value,
        " hw-sweeping" if sweeping else "",
        run.pk,
        "" if percent is None else percent,
        run.pk,
        percent or 0,
        part(run, "records", records(run)),
    )
