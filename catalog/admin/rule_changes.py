"""The history of ownership rules, and how far the remap of each change is."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.admin.reading import ReadOnlyAdmin
from catalog.admin.revisions import change_html
from catalog.rule_changes import RuleChange
from observability.display import Tone, ago, badge

TONES = {"queued": Tone.QUIET, "running": Tone.BUSY, "done": Tone.GOOD}


@admin.register(RuleChange)
class RuleChangeAdmin(ReadOnlyAdmin):
    """Who changed which rule, from what to what, and how many records changed with it."""

    nothing = "No ownership rule was changed since the start."
    list_display = ("number", "when", "kind", "about", "by", "progress", "changed_of")
    list_filter = ("state", "entity", "kind")
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        "when", "kind", "about", "by", "old_and_new", "progress", "changed_of", "finished",
        "correlation",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="change")
    def number(self, row: RuleChange) -> str:
        return f"#{row.pk}"

    @admin.display(description="when")
    def when(self, row: Any) -> SafeString:
        return ago(row.at, row.asked_at)

    @admin.display(description="finished")
    def finished(self, row: Any) -> SafeString:
        return ago(row.finished_at, row.asked_at)

    @admin.display(description="rule")
    def about(self, row: RuleChange) -> str:
        said = row.after or row.before or {}
        narrowed = [said[name] for name in ("locale", "market", "channel") if said.get(name)]
        return ", ".join([f"{row.entity}.{said.get('field') or '*'}", *narrowed])

    @admin.display(description="old → new")
    def old_and_new(self, row: RuleChange) -> SafeString:
        before, after = row.before or {}, row.after or {}
        return change_html(
            {
                name: [_in_words(before.get(name)), _in_words(after.get(name))]
                for name in {**before, **after}
                if before.get(name) != after.get(name)
            }
        )

    @admin.display(description="progress")
    def progress(self, row: RuleChange) -> SafeString:
        state = badge(row.state, TONES[row.state])
        if row.total is None:
            return state
        return format_html("{} {} of {} records", state, f"{row.seen:,}", f"{row.total:,}")

    @admin.display(description="changed")
    def changed_of(self, row: RuleChange) -> str:
        said = "" if row.expected is None else f" ({row.expected:,} were expected)"
        return f"{row.changed:,}{said}"

    def has_view_permission(self, request: HttpRequest, obj: RuleChange | None = None) -> bool:
        """Whoever sees the rules sees how they came to be."""
        return request.user.has_perm("catalog.view_ownershiprule")


def _in_words(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(value) or None
    return None if value in ("", None) else str(value)
