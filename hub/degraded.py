"""How an answer says which systems it was given without: a header, and GraphQL's `extensions`.

    Headwater-Degraded: sap;since=@1795262580;reason="connection refused"

is a List of Structured Field Values (RFC 9651): a Token for each system, with a Date and a String.
`Warning: 110` is obsolete (RFC 9111, 5.5), and `Cache-Status` (RFC 9211) speaks of caches alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from hub import suppliers
from hub.usage.uses import Field
from observability import degradation
from observability.degradation import Outage

HEADER = "Headwater-Degraded"
#: What a String of RFC 9651 may not hold as it is.
UNPRINTABLE, ESCAPED = re.compile(r"[^ -~]"), re.compile(r'(["\\])')


class Marked(bytes):
    """The body of an answer that a system is missing from, and the header that says so."""

    degraded: str = ""


def affecting(reads: Iterable[Field]) -> tuple[Outage, ...]:
    """The outages that an answer suffers from, by what it reads."""
    outages = degradation.current().outages
    if not outages:
        return ()
    systems = suppliers.systems(reads)
    return tuple(outage for system, outage in outages.items() if system in systems)


def header(outages: Iterable[Outage]) -> str:
    """The value of the header; empty where nothing is missing."""
    return ", ".join(
        f'{o.system};since=@{int(o.since.timestamp())};reason="{_string(o.cause)}"' for o in outages
    )


def headers(reads: Iterable[Field]) -> dict[str, str]:
    """The header of an answer, if it needs one."""
    outages = affecting(reads)
    return {HEADER: header(outages)} if outages else {}


def extensions(outages: Iterable[Outage]) -> dict[str, Any]:
    """The `extensions` of a GraphQL answer."""
    return {
        "degraded": [
            {"system": o.system, "since": o.since.isoformat(), "reason": o.reason} for o in outages
        ]
    }


def marked(body: bytes, outages: tuple[Outage, ...]) -> bytes:
    """A GraphQL answer, `{"data":…}`, with its extensions; as it is where nothing is missing."""
    if not outages:
        return body
    return with_header(
        body[:-1] + b',"extensions":' + orjson.dumps(extensions(outages)) + b"}", header(outages)
    )


def with_header(body: bytes, value: str | None) -> bytes:
    """A body that carries its header along, if it has one."""
    if not value:
        return body
    carried = Marked(body)
    carried.degraded = value
    return carried


def headers_of(body: bytes) -> Mapping[str, str]:
    """The header of a body that carries one."""
    return {HEADER: body.degraded} if isinstance(body, Marked) else {}


def _string(text: str) -> str:
    return ESCAPED.sub(r"\\\1", UNPRINTABLE.sub("?", text))
