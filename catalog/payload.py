"""A raw payload as a person reads it: one member a line, the ones in question marked.

Members keep their order and numbers their spelling (`1.10` stays `1.10`), because what support
shows to the owner of a system must be what that system sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog.masking import MASK, Cover

INDENT = "  "


class _Number(str):
    """A JSON number as it was spelled."""

    __slots__ = ()


class _Members(list[tuple[str, Any]]):
    """A JSON object as its members in order, repeated names included."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the rendering; `path` is the dotted path of the member that it belongs to."""

    path: str
    text: str


def scrubbed(payload: str, covered: Cover) -> str:
    """The payload with an empty value of the same sort for whatever is covered, to be stored.

    All else keeps its spelling. What is not JSON is scrubbed whole: `{}`.
    """
    try:
        return _written(_read(payload), "", covered)
    except (ValueError, RecursionError):
        return "{}"


def _written(value: Any, path: str, covered: Cover) -> str:
    if isinstance(value, _Members):
        members = (f"{_text(k)}: {_written(v, _join(path, k), covered)}" for k, v in value)
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        places = (_written(v, _join(path, str(n)), covered) for n, v in enumerate(value))
        return f"[{', '.join(places)}]"
    if value is None or not covered(path):
        return _scalar(value)
    # A contract may demand the member: it stays of its type.
    if isinstance(value, _Number):
        return "0"
    return "false" if isinstance(value, bool) else '""'


def _read(payload: str) -> Any:
    return json.loads(
        payload,
        object_pairs_hook=_Members,
        parse_float=_Number,
        parse_int=_Number,
        parse_constant=_Number,
    )


def lines(payload: str, covered: Cover | None = None) -> list[Line]:
    """The payload laid out, with `•••` for values at paths that are covered.

    What is not JSON comes back as it stands, line by line; covered, not at all.
    """
    try:
        return list(_lay_out(_read(payload), "", "", "", covered or _nothing))
    except (ValueError, RecursionError):
        return [Line("", MASK if covered else text) for text in payload.splitlines()]


def pretty(
    payload: str, marked: Iterable[str] = (), limit: int = 400, *, covered: Cover | None = None
) -> SafeString:
    """The payload as HTML. `marked` are dotted paths; a missing one marks its nearest parent.

    Of a payload longer than `limit` lines, those around the first mark are shown. `covered` says of
    which members the value is not (`catalog.masking`).
    """
    laid_out = lines(payload, covered)
    known = {line.path for line in laid_out}
    marks = tuple(filter(None, (_nearest(path, known) for path in marked)))
    first = next((n for n, line in enumerate(laid_out) if _within(line.path, marks)), 0)
    start = max(0, min(first - limit // 2, len(laid_out) - limit))
    shown = laid_out[start : start + limit]
    return format_html(
        '<pre class="hw-payload">{}{}{}</pre>',
        _left_out(start),
        format_html_join(
            "",
            '<span class="hw-line{}">{}\n</span>',
            ((" hw-marked" if _within(line.path, marks) else "", line.text) for line in shown),
        ),
        _left_out(len(laid_out) - start - len(shown)),
    )


def _lay_out(
    value: Any, path: str, indent: str, name: str, covered: Cover, *, end: str = ""
) -> Iterator[Line]:
    inner = indent + INDENT
    if isinstance(value, _Members) and value:
        yield Line(path, f"{indent}{name}{{")
        for place, (key, member) in enumerate(value, start=1):
            comma = "," if place < len(value) else ""
            called = f"{_text(key)}: "
            yield from _lay_out(member, _join(path, key), inner, called, covered, end=comma)
        yield Line(path, f"{indent}}}{end}")
    elif isinstance(value, list) and value and not isinstance(value, _Members):
        yield Line(path, f"{indent}{name}[")
        for place, item in enumerate(value):
            comma = "," if place + 1 < len(value) else ""
            yield from _lay_out(item, _join(path, str(place)), inner, "", covered, end=comma)
        yield Line(path, f"{indent}]{end}")
    else:
        hidden = value not in (None, "") and covered(path)
        text = _text(MASK) if hidden else _scalar(value)
        yield Line(path, f"{indent}{name}{text}{end}")


def _nothing(_path: str) -> bool:
    return False


def _scalar(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    return "{}" if isinstance(value, _Members) else _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _join(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def _nearest(path: str, known: set[str]) -> str:
    while path and path not in known:
        path = path.rpartition(".")[0]
    return path


def _within(path: str, marks: tuple[str, ...]) -> bool:
    return any(path == mark or path.startswith(f"{mark}.") for mark in marks)


def _left_out(count: int) -> SafeString | str:
    if not count:
        return ""
    return format_html('<span class="hw-line hw-dim">… {} lines left out\n</span>', count)
