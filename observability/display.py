"""Ages, durations and states as a person reads them: small pieces of escaped HTML.

Colour is never the only sign: a badge always says its state in words.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString


class Tone(StrEnum):
    """What a badge's colour says."""

    GOOD = "good"
    BUSY = "busy"
    WARN = "warn"
    BAD = "bad"
    QUIET = "quiet"


#: How urgent an incident is (`Incident.Severity`).
SEVERITIES = {"page": Tone.BAD, "ticket": Tone.WARN, "note": Tone.QUIET}

_STEPS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def duration(seconds: float | None) -> str:
    """Two units at most: `0.4 s`, `12 s`, `3 min 5 s`, `2 h`, `4 d 3 h`; a dash for None."""
    if seconds is None:
        return "–"
    if 0 < seconds < 1:
        return f"{max(seconds, 0.1):.1f} s"
    whole = max(0, int(seconds))
    for size, unit, smaller, smaller_unit in _STEPS:
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    return f"{whole} s"


def exact(moment: datetime) -> str:
    """`2026-11-21 01:50:20.123 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"


def to_the_second(moment: datetime) -> str:
    """`2026-11-21 01:50:20 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def ago(moment: datetime | None, now: datetime) -> SafeString:
    """`12 s ago`, with the exact time on hover. `now` is the database's."""
    if moment is None:
        return format_html('<span class="hw-dim">{}</span>', "–")
    passed = (now - moment).total_seconds()
    text = f"{duration(passed)} ago" if passed >= 0 else f"in {duration(-passed)}"
    text = "just now" if abs(passed) < 1 else text
    return format_html(
        '<time class="hw-time" datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        exact(moment),
        text,
    )


def correlation_link(correlation_id: str) -> SafeString:
    """A correlation id as a link to everything that happened under it; a dash for none."""
    if not correlation_id:
        return format_html('<span class="hw-dim">{}</span>', "–")
    return format_html(
        '<a class="hw-link hw-mono" href="{}" title="Everything that happened under this id">{}</a>',
        reverse("correlation", args=[correlation_id]),
        correlation_id,
    )


def badge(text: object, tone: Tone = Tone.QUIET, title: str = "") -> SafeString:
    """A short coloured mark."""
    return format_html('<span class="hw-badge hw-{}" title="{}">{}</span>', tone.value, title, text)


def lag_tone(lag_seconds: float | None, objective_seconds: int) -> Tone:
    """Good within four fifths of the objective, bad past it; quiet where nothing was read yet."""
    if lag_seconds is None:
        return Tone.QUIET
    if lag_seconds > objective_seconds:
        return Tone.BAD
    return Tone.WARN if lag_seconds > 0.8 * objective_seconds else Tone.GOOD


def lag_badge(lag_seconds: float | None, objective_seconds: int) -> SafeString:
    """The lag of a stream against its freshness objective."""
    promised = f"freshness objective {duration(objective_seconds)}"
    if lag_seconds is None:
        return badge("never read", Tone.QUIET, promised)
    tone = lag_tone(lag_seconds, objective_seconds)
    text = duration(lag_seconds) + (" · stale" if tone is Tone.BAD else "")
    return badge(text, tone, promised)
