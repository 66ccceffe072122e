"""What the runbook of an incident of drift is filled with."""

from __future__ import annotations

from typing import Any

from connectors.drift import detective
from connectors.drift.breaches import MISSING
from connectors.models import FieldAlias, Stream
from connectors.runtime.prepare import Preparer
from observability.display import exact
from observability.incidents import Incident
from observability.runbooks import code


def context(row: Incident) -> dict[str, Any]:
    """See `observability.runbooks.add_context`."""
    details, path = row.details, row.details.get("path", "")
    stream = stream_of(row)
    alias = FieldAlias.objects.filter(stream=stream, path=path, ended_at=None).first()
    likely = likely_of(row, stream)
    return {
        "path": code(path or "the record"),
        "feeds": ", ".join(f"`{code(one)}`" for one in details.get("feeds", ())),
        "first": code(details.get("first", {}).get("record", "")),
        "action": details.get("action", ""),
        "connector": stream.connection.connector if stream else row.system,
        "alias": alias,
        "until": exact(alias.until) if alias else "",
        "renamed": code(alias.renamed) if alias else "",
        "likely": likely,
        "evidence": code(likely.text) if likely else "",
        "member": code(likely.member) if likely else "",
    }


def stream_of(row: Incident) -> Stream | None:
    """The stream; None where it is gone."""
    rows = Stream.objects.select_related("connection")
    return rows.filter(connection__slug=row.system, slug=row.stream).first()


def candidates(row: Incident, stream: Stream | None) -> list[detective.Candidate]:
    """Members that could stand for the one that is missing, the likeliest first."""
    if stream is None or row.resolved_at or row.details.get("breach") != MISSING:
        return []
    source = Preparer(stream.connection.slug, stream.spec).source
    return detective.candidates(stream, source, row.details["path"])


def likely_of(row: Incident, stream: Stream | None) -> detective.Candidate | None:
    """The one that surely could."""
    found = candidates(row, stream)
    return found[0] if found and found[0].sure else None
