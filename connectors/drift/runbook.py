"""The runbook of an incident: Markdown with its values in it, as HTML."""

from __future__ import annotations

from django.utils.safestring import SafeString

from connectors.drift.detective import Candidate
from connectors.models import DriftIncident, FieldAlias, Stream
from observability.display import exact
from observability.runbooks import code, rendered

RUNBOOK = "runbooks/contract-drift.md"


def runbook(
    row: DriftIncident,
    stream: Stream | None,
    likely: Candidate | None,
    alias: FieldAlias | None,
) -> SafeString:
    """What to do about it, step by step."""
    details = row.details
    return rendered(
        RUNBOOK,
        {
            "incident": row,
            "stream": stream,
            "path": code(details.get("path") or "the record"),
            "feeds": ", ".join(f"`{code(one)}`" for one in details.get("feeds", ())),
            "first": code(details.get("first", {}).get("record", "")),
            "action": details.get("action", ""),
            "connector": stream.connection.connector if stream else row.system,
            "alias": alias,
            "until": exact(alias.until) if alias else "",
            "renamed": code(alias.renamed) if alias else "",
            "likely": likely,
            "member": code(likely.member) if likely else "",
        },
    )
