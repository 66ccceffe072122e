"""Revisions: the history of everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import DecimalField, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog import masking
from catalog.admin.reading import ReadOnlyAdmin, entity_link, in_words
from catalog.entities import entities, entity, value_fields
from catalog.entities.base import spelled
from catalog.history import Revision
from observability.display import Tone, ago, badge

KINDS = {
    Revision.Kind.CREATED: Tone.GOOD,
    Revision.Kind.CHANGED: Tone.BUSY,
    Revision.Kind.DELETED: Tone.BAD,
    Revision.Kind.RESTORED: Tone.GOOD,
}


@admin.register(Revision)
class RevisionAdmin(ReadOnlyAdmin):
    """The history of everything."""

    list_display = ("number", "when", "what", "record", "fields_changed", "correlation")
    search_fields = ("key",)
    search_help_text = "Natural key, or the beginning of it"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        "when", "what", "record", "old_and_new", "source_record", "run", "event",
        "correlation",
    )  # fmt: skip
    readonly_fields = fields

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [EntityNameFilter, RevisionKindFilter]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(key__startswith=term) if term else queryset), False

    @admin.display(description="revision")
    def number(self, row: Revision) -> str:
        return f"#{row.pk}"

    @admin.display(description="when")
    def when(self, row: Any) -> SafeString:
        return ago(row.at, row.asked_at)

    @admin.display(description="kind")
    def what(self, row: Revision) -> SafeString:
        return badge(row.kind, KINDS[Revision.Kind(row.kind)])

    @admin.display(description="record")
    def record(self, row: Revision) -> SafeString:
        return format_html("{} {}", row.entity, entity_link(row.entity, row.key))

    @admin.display(description="fields")
    def fields_changed(self, row: Revision) -> str:
        return ", ".join(row.changes)

    @admin.display(description="old → new")
    def old_and_new(self, row: Revision) -> SafeString:
        return changes_html(row)


def changes_html(revision: Revision) -> SafeString:
    """Each changed field with its old and its new value; of a new row its values alone."""
    fields = value_fields(entity(revision.entity))
    numbers = {f.name: f for f in fields if isinstance(f, DecimalField)}
    changes = masking.uncovered(revision.changes, revision.entity, revision.key)
    return format_html_join(
        "",
        '<div class="hw-change"><b>{}</b> {} {}</div>',
        (
            (
                field,
                ""
                if revision.kind == Revision.Kind.CREATED
                else format_html(
                    '{} <span class="hw-dim">→</span>',
                    _spelled(old, "del", numbers.get(field)),
                ),
                _spelled(new, "ins", numbers.get(field)),
            )
            for field, (old, new) in changes.items()
        ),
    )


def change_html(changes: Mapping[str, Sequence[Any]]) -> SafeString:
    """{field: [old, new]} of what is not in the history, or not yet."""
    return format_html_join(
        "",
        '<div class="hw-change"><b>{}</b> {} <span class="hw-dim">→</span> {}</div>',
        (
            (field, _spelled(old, "del"), _spelled(new, "ins"))
            for field, (old, new) in changes.items()
        ),
    )


def _spelled(value: Any, tag: str, number: DecimalField[Any, Any] | None = None) -> SafeString:
    """A value in a change: every locale of a text, because any of them may have changed."""
    if value is None:
        return format_html('<span class="hw-dim">{}</span>', "no value")
    if isinstance(value, dict):
        value = " · ".join(f"{locale}: {text}" for locale, text in value.items())
    if number is not None and value != masking.MASK:
        value = spelled(Decimal(value), number)
    return format_html("<{}>{}</{}>", tag, in_words(value), tag)


class EntityNameFilter(admin.SimpleListFilter):
    """Revisions of one entity."""

    title = "entity"
    parameter_name = "entity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(name, name.replace("_", " ")) for name in entities()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(entity=self.value()) if self.value() else queryset


class RevisionKindFilter(admin.SimpleListFilter):
    """Revisions of one kind."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in Revision.Kind.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset
