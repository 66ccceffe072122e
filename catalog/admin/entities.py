"""The list of each declared entity, made from its declaration."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import TextFilter

from catalog import masking
from catalog.admin.reading import ReadOnlyAdmin, TombstoneFilter, entity_link, in_words
from catalog.entities import Entity, LocalizedField, Reference, entities
from catalog.entities.base import spelled
from observability.display import Tone, ago, badge


def exact_filter(field: Any) -> type[TextFilter]:
    """A filter by one exact value, typed in: listing what there is would scan the table."""

    def narrowed(self: Any, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        try:
            return queryset.filter(**{field.attname: self.value()})
        except (ValueError, TypeError):
            return queryset.none()

    members = {
        "title": field.verbose_name,
        "parameter_name": field.attname,
        "queryset": narrowed,
    }
    return type(f"{field.name.title()}Filter", (TextFilter,), members)


def label_column(field: Any) -> Callable[[Entity], Any]:
    """A list column that shows one declared label; references lead to the row they name."""

    @admin.display(description=field.verbose_name)
    def column(row: Entity) -> Any:
        value = masking.shown(
            row.declaration.name, field.name, getattr(row, field.attname), row.key
        )
        if isinstance(field, Reference) and value and value != masking.MASK:
            to: Any = field.related_model
            return entity_link(to.declaration.name, value)
        return spelled(value, field) if isinstance(value, Decimal) else in_words(value)

    return column


class EntityAdmin(ReadOnlyAdmin):
    """The list of one entity's rows, from its declaration."""

    search_fields = ("key",)
    search_help_text = "Natural key, or the beginning of it; else a word of the labels"
    ordering = ("key",)
    sortable_by = ("key",)
    list_filter_submit = True

    @property
    def declared(self) -> type[Entity]:
        """The entity that is listed."""
        entity_class: type[Entity] = self.model
        return entity_class

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        declaration = self.declared.declaration
        names = dict.fromkeys(
            (
                *(f for f in declaration.filters if self._is_reference(f)),
                *declaration.labels,
            )
        )
        fields = [self.declared._meta.get_field(name) for name in names]
        return ["natural_key", *(label_column(field) for field in fields), "changed"]

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        fields = (self.declared._meta.get_field(f) for f in self.declared.declaration.filters)
        return [*(exact_filter(field) for field in fields), TombstoneFilter]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Rows whose key begins so, by the index; only if there are none, the labels are read."""
        term = search_term.strip()
        if not term:
            return queryset, False
        by_key = queryset.filter(key__startswith=term)
        if by_key.exists():
            return by_key, False
        found = queryset.none()
        for name in self.declared.declaration.labels:
            if isinstance(self.declared._meta.get_field(name), (TextField, LocalizedField)):
                text = f"{name}_text"
                # Whoever may not see a value cannot guess it letter by letter: they name it whole.
                hidden = masking.is_personal(self.declared.declaration.name, name)
                how = "iexact" if hidden and not masking.sees() else "icontains"
                found |= queryset.alias(**{text: Cast(F(name), TextField())}).filter(
                    **{f"{text}__{how}": term}
                )
        return found, False

    @admin.display(description="key", ordering="key")
    def natural_key(self, row: Entity) -> SafeString:
        gone = badge("tombstone", Tone.BAD) if row.deleted_at else ""
        return format_html('<span class="hw-mono">{}</span> {}', row.key, gone)

    @admin.display(description="changed")
    def changed(self, row: Any) -> SafeString:
        return ago(row.changed_at, row.asked_at)

    def _is_reference(self, name: str) -> bool:
        return isinstance(self.declared._meta.get_field(name), Reference)


def register_entities(admin_class: type[EntityAdmin] = EntityAdmin) -> None:
    """One admin for each declared entity."""
    for cls in entities().values():
        admin.site.register(cls, admin_class)
