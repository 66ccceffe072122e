"""The map as one SVG: systems on the left, entities in the middle, consumers on the right.

It carries its own style, so that it looks the same in the document as in the console, whose colours it
takes over where it stands in one of its pages. Colour is never the only sign: what is wrong also says
so in words, and each kind of line has a dash pattern of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log10

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from catalog.entities import entity as entity_class
from hub.console.flows.graph import Consumer, Inflow, Map, Node, Outflow, System
from observability.display import Tone, duration

WIDTH = 1160
#: (left edge, width) of the three columns.
SYSTEMS, ENTITIES, CONSUMERS = (10, 320), (500, 200), (880, 270)
TOP, LINE, HEAD, GAP = 44, 22, 34, 18
#: Characters that fit.
LONGEST_NAME, LONGEST_STATE, LONGEST_OWNERS = 30, 44, 28

STYLE = """
.m{width:100%;min-width:56rem;height:auto;display:block}
.m text{font:13px system-ui,sans-serif;fill:var(--hw-strong,#1f2937)}
.m .d{fill:var(--hw-dim,#6b7280);font-size:12px}.m .h{font-weight:600}
.m .b{fill:var(--hw-soft,#f9fafb);stroke:var(--hw-line,#d1d5db)}
.m a:hover .h,.m a:focus .h{text-decoration:underline}
.m .f{fill:none;stroke-width:1.5;stroke:var(--hw-dim,#6b7280);opacity:.75}
.m .good{stroke:var(--hw-good,#15803d)}.m .warn{stroke:var(--hw-warn,#9a3412)}
.m .bad{stroke:var(--hw-bad,#b91c1c);opacity:1}.m .quiet{stroke-dasharray:2 4}
.m .out{stroke:var(--hw-busy,#1d4ed8);stroke-dasharray:7 4}
.m .un{stroke:var(--hw-bad,#b91c1c);stroke-dasharray:3 3;opacity:1}
.m text.bad,.m tspan.bad{fill:var(--hw-bad,#b91c1c);stroke:none;font-weight:600}
.m text.warn,.m tspan.warn{fill:var(--hw-warn,#9a3412);stroke:none}
.m text.good,.m tspan.good{fill:var(--hw-good,#15803d);stroke:none}
.m text.quiet,.m tspan.quiet{fill:var(--hw-dim,#6b7280);stroke:none}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box begins and ends, from above."""

    top: float
    bottom: float

    @property
    def middle(self) -> float:
        """Where lines meet it."""
        return (self.top + self.bottom) / 2


def drawn(shown: Map, *, linked: bool = True) -> SafeString:
    """The SVG. `linked`: names lead to their pages, which a file that travels cannot."""
    rows, systems, height = _systems(shown.systems)
    order = _ordered(shown.entities, shown.systems)
    entities, below = _stacked(node.name for node in order)
    consumers, beneath = _stacked(str(n) for n in range(len(shown.consumers)))
    whole = max(height, below, beneath) + 10
    flows = [
        *_inflows(shown.systems, rows, entities),
        *_outflows(shown.systems, rows, entities),
        *_reads(shown.consumers, consumers, entities),
    ]
    return format_html(
        '<svg class="m" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" width="{}" height="{}"'
        ' role="group" aria-label="Map of systems, entities and consumers"><style>{}</style>'
        "<defs>{}</defs>{}{}{}{}{}</svg>",
        WIDTH, round(whole), WIDTH, round(whole), mark_safe(STYLE), _arrow(), _headings(),  # noqa: S308 (our own constant)
        mark_safe("".join(flows)),  # noqa: S308 (made by format_html)
        _boxes(_system_box(s, systems[s.slug], rows, linked=linked) for s in shown.systems),
        _boxes(_entity_box(node, entities[node.name], linked=linked) for node in order),
        _boxes(
            _consumer_box(one, consumers[str(n)], linked=linked)
            for n, one in enumerate(shown.consumers)
        ),
    )  # fmt: skip


# --- where everything stands ---------------------------------------------------------------------


def _systems(systems: list[System]) -> tuple[dict[tuple[str, str], Place], dict[str, Place], float]:
    """The line of each flow by (system, name), the box of each system, and where they end."""
    rows: dict[tuple[str, str], Place] = {}
    boxes: dict[str, Place] = {}
    y: float = TOP
    for system in systems:
        top, y = y, y + HEAD
        for name in (*(f.name for f in system.inflows), *(f.capability for f in system.outflows)):
            rows[system.slug, name] = Place(y, y + LINE)
            y += LINE
        y += 8
        boxes[system.slug] = Place(top, y)
        y += GAP
    return rows, boxes, y


def _ordered(nodes: list[Node], systems: list[System]) -> list[Node]:
    """Beside the streams that feed them, so that lines cross seldom."""
    at: defaultdict[str, list[int]] = defaultdict(list)
    flows = [flow for system in systems for flow in system.inflows]
    for place, flow in enumerate(flows):
        for name in flow.entities:
            at[name].append(place)
    return sorted(nodes, key=lambda n: sum(at[n.name]) / len(at[n.name]) if at[n.name] else 1e6)


def _stacked(names: Iterable[str]) -> tuple[dict[str, Place], float]:
    """Boxes of two lines, one below the other, and where they end."""
    places, y = {}, float(TOP)
    for name in names:
        places[name] = Place(y, y + HEAD + 8)
        y += HEAD + 18
    return places, y


# --- lines ---------------------------------------------------------------------------------------


def _inflows(
    systems: list[System], rows: Mapping[tuple[str, str], Place], entities: Mapping[str, Place]
) -> list[SafeString]:
    return [
        _line(
            (SYSTEMS[0] + SYSTEMS[1], rows[system.slug, flow.name].middle),
            (ENTITIES[0], entities[name].middle),
            flow.tone.value,
            f"{system.slug}.{flow.name} feeds {name}: {flow.state}, {flow.how}",
        )
        for system in systems
        for flow in system.inflows
        for name in flow.entities
        if name in entities
    ]


def _outflows(
    systems: list[System], rows: Mapping[tuple[str, str], Place], entities: Mapping[str, Place]
) -> list[SafeString]:
    return [
        _line(
            (ENTITIES[0], entities[flow.entity].middle + 7),
            (SYSTEMS[0] + SYSTEMS[1], rows[system.slug, flow.capability].middle),
            "out",
            f"{flow.capability} goes to {system.slug}: {_by(flow)}, {flow.times:,} lately",
        )
        for system in systems
        for flow in system.outflows
        if flow.entity in entities
    ]


def _reads(
    consumers: list[Consumer], places: Mapping[str, Place], entities: Mapping[str, Place]
) -> list[SafeString]:
    lines = []
    for number, one in enumerate(consumers):
        end = (CONSUMERS[0], places[str(number)].middle)
        for name, read in one.reads.items():
            start = (ENTITIES[0] + ENTITIES[1], entities[name].middle)
            said = f"{one.name} reads {name}: at least {read.requests:,} requests, {read.fields} fields"
            if read.declared:
                lines.append(_line(start, end, "", said, 1 + log10(max(read.requests, 1)) / 2))
            else:
                lines.append(_line(start, end, "un", f"{said}; nothing declares it"))
        for name in one.told:
            start = (ENTITIES[0] + ENTITIES[1], entities[name].middle)
            lines.append(_line(start, end, one.tone.value, f"{one.name} is told of {name}"))
    return lines


def _line(
    start: tuple[float, float],
    end: tuple[float, float],
    kind: str,
    said: str,
    width: float = 1.5,
) -> SafeString:
    """A curve that leaves and arrives level."""
    (x, y), (to_x, to_y) = start, end
    bend = (to_x - x) / 2
    return format_html(
        '<path class="f {}" d="M{} {}C{} {} {} {} {} {}" marker-end="url(#m-arrow)"'
        ' style="stroke-width:{}"><title>{}</title></path>',
        kind, x, y, x + bend, y, to_x - bend, to_y, to_x, to_y, round(width, 1), said,
    )  # fmt: skip


def _arrow() -> SafeString:
    return mark_safe(
        '<marker id="m-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6"'
        ' markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" fill="context-stroke"/>'
        "</marker>"
    )


# --- boxes ---------------------------------------------------------------------------------------


def _headings() -> SafeString:
    titles = ((SYSTEMS, "Systems"), (ENTITIES, "Entities"), (CONSUMERS, "Consumers"))
    return format_html_join(
        "", '<text class="d" x="{}" y="24">{}</text>', ((left, t) for (left, _), t in titles)
    )


def _boxes(boxes: Iterable[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((box,) for box in boxes))


def _system_box(
    system: System, place: Place, rows: Mapping[tuple[str, str], Place], *, linked: bool
) -> SafeString:
    left, width = SYSTEMS
    page = reverse("admin:connectors_connection_change", args=[system.connection.pk])
    title = _text(left + 10, place.top + 21, "h", _cut(system.slug, LONGEST_NAME))
    state = _text(
        left + width - 10, place.top + 21, f"d {system.tone}", _cut(_state(system), 28), end=True
    )
    lines = [
        *(
            _inflow_row(flow, rows[system.slug, flow.name], linked=linked)
            for flow in system.inflows
        ),
        *(_outflow_row(flow, rows[system.slug, flow.capability]) for flow in system.outflows),
    ]
    return format_html(
        "{}{}{}{}",
        _rect(left, place, width), _linked(title, page, linked=linked), state, _boxes(lines),
    )  # fmt: skip


def _state(system: System) -> str:
    return system.label if system.tone is Tone.GOOD else system.state


def _inflow_row(flow: Inflow, place: Place, *, linked: bool) -> SafeString:
    left, width = SYSTEMS
    page = reverse("admin:connectors_stream_change", args=[flow.stream.pk])
    said = duration(flow.lag) if flow.lag is not None else ""
    if flow.tone is not Tone.GOOD:
        wrong = flow.state.removeprefix(str(flow.stream)).lstrip(": ").partition(":")[0]
        said = _cut(f"{said} {wrong}".strip(), LONGEST_NAME)
    name = _text(left + 22, place.middle + 4, "h" if flow.tone is Tone.BAD else "", flow.name)
    lag = _text(left + width - 10, place.middle + 4, f"d {flow.tone}", _cut(said, 30), end=True)
    return format_html("{}{}", _linked(name, page, linked=linked), lag)


def _outflow_row(flow: Outflow, place: Place) -> SafeString:
    left, width = SYSTEMS
    name = _text(left + 22, place.middle + 4, "d", f"← {flow.capability}")
    times = f"{flow.times:,} lately" if flow.times else ""
    return format_html(
        "{}{}", name, _text(left + width - 10, place.middle + 4, "d", times, end=True)
    )


def _entity_box(node: Node, place: Place, *, linked: bool) -> SafeString:
    left, width = ENTITIES
    options = entity_class(node.name)._meta
    page = reverse(f"admin:{options.app_label}_{options.model_name}_changelist")
    owners = f"owned by {', '.join(node.owners)}" if node.owners else "no rule: first come"
    return format_html(
        "{}{}{}{}",
        _rect(left, place, width),
        _linked(_text(left + 10, place.top + 18, "h", node.title), page, linked=linked),
        _text(left + width - 10, place.top + 18, "d", str(node.size), end=True),
        _text(left + 10, place.top + 35, "d", _cut(owners, LONGEST_OWNERS)),
    )


def _consumer_box(one: Consumer, place: Place, *, linked: bool) -> SafeString:
    left, width = CONSUMERS
    title = _text(left + 10, place.top + 18, "h", _cut(one.name, LONGEST_NAME))
    said = f"{one.kind}: {one.state}"
    if one.everything:
        said = f"{one.kind}, everything: {one.state}"
    if one.writes:
        said += f"; {sum(one.writes.values()):,} writes"
    return format_html(
        "{}{}{}",
        _rect(left, place, width),
        _linked(title, one.address, linked=linked and bool(one.address)),
        _text(left + 10, place.top + 35, f"d {one.tone}", _cut(said, LONGEST_STATE)),
    )


def _rect(left: float, place: Place, width: float) -> SafeString:
    return format_html(
        '<rect class="b" x="{}" y="{}" width="{}" height="{}" rx="6"/>',
        left, place.top, width, place.bottom - place.top,
    )  # fmt: skip


def _text(x: float, y: float, kind: str, said: str, *, end: bool = False) -> SafeString:
    anchor = "end" if end else "start"
    return format_html(
        '<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>', kind, x, y, anchor, said
    )


def _linked(text: SafeString, address: str, *, linked: bool) -> SafeString:
    return format_html('<a href="{}">{}</a>', address, text) if linked else text


def _by(flow: Outflow) -> str:
    return "by " + ", ".join(flow.operations) if flow.operations else "by no operation"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
