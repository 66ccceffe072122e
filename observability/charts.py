"""Charts as inline SVG: no script, no asset, readable by a screen reader, in light and in dark.

Lines are drawn in the text's colour or in colours that stand out on both grounds; where there are
several each has a dash pattern of its own, because colour is never the only sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from observability.metrics import Point

Values = Sequence[float | None]

#: Colour and dash pattern of each line; more lines than these are not told apart by anybody.
STROKES = (
    ("#3b82f6", ""), ("#f97316", "6 3"), ("#10b981", "2 3"), ("#a855f7", "9 3 2 3"),
    ("#ef4444", "4 2"), ("#64748b", "1 4"),
)  # fmt: skip
MOST_LINES = len(STROKES)


def sparkline(values: Values, *, title: str, width: int = 120, height: int = 24) -> SafeString:
    """A small line without axes, for a row of a table. None in `values` is a gap."""
    known = [value for value in values if value is not None]
    said = "no values" if not known else (
        f"from {spoken(min(known))} to {spoken(max(known))}, last {spoken(known[-1])}"
    )  # fmt: skip
    return format_html(
        '<svg class="hw-spark" role="img" viewBox="0 0 {} {}" width="{}" height="{}"'
        ' preserveAspectRatio="none"><title>{}</title><desc>{}</desc>{}</svg>',
        width, height, width, height, title, said,
        _line(values, _Box(1, 2, width - 2, height - 4), _top(known)),
    )  # fmt: skip


def line_chart(
    lines: Mapping[str, Values],
    *,
    title: str,
    unit: str,
    times: Sequence[datetime],
) -> SafeString:
    """Up to six lines over one time axis, with the highest value, both ends and a legend.

    `times` are the beginnings of the steps, one for each value of every line. A sentence stands for
    the chart where there is nothing to draw.
    """
    drawn = dict(list(lines.items())[:MOST_LINES])
    known = [value for values in drawn.values() for value in values if value is not None]
    if not known or not times:
        return format_html('<p class="hw-dim">{}: nothing was measured yet.</p>', title)
    top, box = _top(known), _Box(4, 4, 592, 112)
    paths = format_html_join(
        "", "{}",
        ((_line(values, box, top, *STROKES[n]),) for n, values in enumerate(drawn.values())),
    )  # fmt: skip
    said = "; ".join(f"{name}: {_told(values, unit)}" for name, values in drawn.items())
    # Stretched to whatever there is room for; so its text stands beside it.
    chart = format_html(
        '<svg class="hw-line" role="img" viewBox="0 0 600 120" width="100%" height="120"'
        ' preserveAspectRatio="none"><title>{}</title><desc>{}</desc>'
        '<path d="M4 4H596M4 116H596" stroke="currentColor" opacity=".2" fill="none"/>{}</svg>',
        title, said, paths,
    )  # fmt: skip
    return format_html(
        '<figure class="hw-chart"><figcaption><b>{}</b>{}</figcaption>'
        '<div class="hw-axis"><span>{} {}</span></div>{}'
        '<div class="hw-axis"><span>{}</span><span>{} UTC</span></div></figure>',
        title, _legend(drawn, unit), spoken(top), unit, chart, _clock(times[0]), _clock(times[-1]),
    )  # fmt: skip


def busiest(found: Mapping[str, Sequence[Point]]) -> dict[str, Sequence[Point]]:
    """As many series as a chart tells apart, those with the most observations first."""
    counts = {name: sum(point.count for point in points) for name, points in found.items()}
    return {name: found[name] for name in sorted(found, key=lambda n: -counts[n])[:MOST_LINES]}


def spoken(value: float) -> str:
    """Three digits and a prefix: `0`, `0.042`, `3.1`, `128`, `1.2k`, `3.4M`."""
    for size, mark in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{mark}"
    return f"{value:.3g}"


def _legend(lines: Mapping[str, Values], unit: str) -> SafeString:
    return format_html_join(
        "",
        '<span class="hw-key"><svg aria-hidden="true" width="22" height="8" viewBox="0 0 22 8">'
        '<path d="M0 4H22" fill="none" stroke-width="2" {}/></svg> {} <span class="hw-dim">{}</span>'
        "</span>",
        (
            (_stroke(number), name, _told(values, unit))
            for number, (name, values) in enumerate(lines.items())
        ),
    )


def _told(values: Values, unit: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "no values"
    return f"last {spoken(known[-1])}, most {spoken(max(known))} {unit}"


def _stroke(number: int) -> SafeString:
    colour, dashes = STROKES[number]
    return format_html('stroke="{}" stroke-dasharray="{}"', colour, dashes or "none")


class _Box:
    """Where in the picture a line is drawn."""

    def __init__(self, left: float, top: float, width: float, height: float) -> None:
        self.left, self.top, self.width, self.height = left, top, width, height


def _top(known: Sequence[float]) -> float:
    return max([*known, 0.0]) or 1.0


def _line(
    values: Values, box: _Box, top: float, colour: str = "currentColor", dashes: str = ""
) -> SafeString:
    """One path; a gap lifts the pen, and a value between two gaps is a dot."""
    step = box.width / max(1, len(values) - 1)
    lines: list[str] = []
    dots: list[str] = []
    for number, value in enumerate(values):
        if value is None:
            continue
        x = box.left + number * step
        y = box.top + box.height * (1 - max(0.0, min(1.0, value / top)))
        after = number > 0 and values[number - 1] is not None
        if not after and (number + 1 == len(values) or values[number + 1] is None):
            dots.append(f"M{x:.1f} {y:.1f}h0")
        else:
            lines.append(f"{'L' if after else 'M'}{x:.1f} {y:.1f}")
    # A dot is not long enough for a dash.
    drawn = [(lines, "1.5", dashes or "none")] * bool(lines) + [(dots, "5", "none")] * bool(dots)
    return format_html_join(
        "",
        '<path d="{}" fill="none" stroke-width="{}" stroke-dasharray="{}" stroke="{}"'
        ' stroke-linecap="round" vector-effect="non-scaling-stroke"/>',
        (("".join(pieces), width, dash, colour) for pieces, width, dash in drawn),
    )


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%m-%d %H:%M}"
