"""The runbook of an incident: Markdown with its values in it, as HTML."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from connectors.drift.detective import Candidate
from connectors.models import DriftIncident, FieldAlias, Stream
from observability.display import exact

RUNBOOK = "runbooks/contract-drift.md"
# What an upstream sent stands in it: HTML in it is shown, not obeyed.
_MARKDOWN = MarkdownIt("commonmark", {"html": False})


def runbook(
    row: DriftIncident,
    stream: Stream | None,
    likely: Candidate | None,
    alias: FieldAlias | None,
) -> SafeString:
    """What to do about it, step by step."""
    details = row.details
    text = render_to_string(
        RUNBOOK,
        {
            "incident": row,
            "stream": stream,
            "path": _code(details.get("path") or "the record"),
            "feeds": ", ".join(f"`{_code(one)}`" for one in details.get("feeds", ())),
            "first": _code(details.get("first", {}).get("record", "")),
            "action": details.get("action", ""),
            "connector": stream.connection.connector if stream else row.system,
            "alias": alias,
            "until": exact(alias.until) if alias else "",
            "renamed": _code(alias.renamed) if alias else "",
            "likely": likely,
            "member": _code(likely.member) if likely else "",
        },
    )
    html: SafeString = mark_safe(_MARKDOWN.render(text))  # noqa: S308 (HTML in the text is escaped)
    return html


def _code(value: Any) -> str:
    """For a code span, which nothing in the value may end."""
    return str(value).replace("`", "'").replace("\n", " ")
