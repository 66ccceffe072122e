"""Runbooks: Markdown with an incident's values in it, as HTML."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from observability.incidents import Incident

#: Kinds of incident whose page is the general one; the others have pages of their own.
RUNBOOKS: dict[str, str] = {Incident.Kind.CONFLICT_RISE: "runbooks/conflict-rise.md"}

# What an upstream sent stands in it: HTML in it is shown, not obeyed.
_MARKDOWN = MarkdownIt("commonmark", {"html": False})


def rendered(template: str, context: dict[str, Any]) -> SafeString:
    """A runbook with these values."""
    html: SafeString = mark_safe(_MARKDOWN.render(render_to_string(template, context)))  # noqa: S308 (HTML in the text is escaped)
    return html


def code(value: Any) -> str:
    """For a code span, which nothing in the value may end."""
    return str(value).replace("`", "'").replace("\n", " ")


def runbook_of(row: Incident) -> SafeString | None:
    """What to do about it, step by step; None where its kind has a page of its own."""
    template = RUNBOOKS.get(row.kind)
    if template is None:
        return None
    return rendered(template, {"incident": row, "details": row.details})
