"""Runbooks: Markdown with an incident's values in it, as HTML, and its steps as buttons.

Which runbook belongs to an incident, its rule says. A template has `incident`, `details` (its own) and
`place`; what more a kind needs, a floor adds with `add_context`. A step that the console can take
stands in it as `[[resync]]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from observability.alerts import AlertRule
from observability.incidents import Incident

STEP = re.compile(r"\[\[([a-z_]+)\]\]")

# What an upstream sent stands in it: HTML in it is shown, not obeyed.
_MARKDOWN = MarkdownIt("commonmark", {"html": False})

Context = Callable[[Incident], dict[str, Any]]
_contexts: dict[str, Context] = {}


def add_context(kind: str, context: Context) -> None:
    """What the runbook of a kind needs beside the incident itself."""
    _contexts[kind] = context


def rendered(template: str, context: dict[str, Any]) -> SafeString:
    """A runbook with these values."""
    text = get_template(template).render(context)
    html: SafeString = mark_safe(_MARKDOWN.render(text))  # noqa: S308 (HTML in the text is escaped)
    return html


def code(value: Any) -> str:
    """For a code span, which nothing in the value may end, and which names no step."""
    return str(value).replace("`", "'").replace("\n", " ").replace("[[", "[ [")


def steps_of(template: str) -> list[str]:
    """The steps that a runbook names, in its order."""
    source: Any = get_template(template)
    return STEP.findall(source.template.source)


def context_of(row: Incident, said: Callable[[str], str] = str) -> dict[str, Any]:
    """The values of an incident, for its runbook; `said`: what of a cause whoever reads it may see."""
    own = _contexts.get(row.kind)
    return {
        "incident": row,
        "details": row.details,
        "place": code(row.place),
        "system": code(row.system),
        "stream": code(row.stream),
        "subject": code(row.subject),
        "cause": code(said(row.cause)),
        **(own(row) if own else {}),
    }


def runbook_of(
    row: Incident,
    rule: AlertRule | None,
    button: Callable[[str], SafeString],
    said: Callable[[str], str] = str,
) -> SafeString | None:
    """What to do about it, step by step, with `button` of each step; None where there is none."""
    if rule is None or not rule.runbook:
        return None
    try:
        html, named = rendered(rule.runbook, context_of(row, said)), set(steps_of(rule.runbook))
    except TemplateDoesNotExist:
        return None
    # Nothing that an upstream sent becomes a button: only what the template itself names.
    return mark_safe(  # noqa: S308 (both parts are escaped)
        STEP.sub(lambda found: button(found[1]) if found[1] in named else found[0], html)
    )
