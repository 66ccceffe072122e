"""What an answer says of the deprecated fields that it reads: `Deprecation` and `Sunset`.

Deprecation: a structured field's date, `@1767225600` (RFC 9745). Sunset: an HTTP date (RFC 8594). Of
several fields the earliest dates count: from the first on there is something to change, and until
the first it has to be done.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from email.utils import format_datetime

from catalog.entities import entities


def headers(fields: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The headers for (entity, field) pairs; none where nothing is deprecated."""
    declared = {name: cls.declaration.deprecated for name, cls in entities().items()}
    marked = [mark for e, f in fields if (mark := declared.get(e, {}).get(f)) is not None]
    if not marked:
        return ()
    since, sunset = min(mark.since for mark in marked), min(mark.sunset for mark in marked)
    return (
        ("Deprecation", f"@{int(_midnight(since).timestamp())}"),
        ("Sunset", format_datetime(_midnight(sunset), usegmt=True)),
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
