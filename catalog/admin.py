"""The catalogue in the admin. Entities are written by the merge alone, so all of it is read-only,
except the ownership rules.

`register_entities` makes one admin for each declared entity. It is called by the console (hub),
which adds the lineage page to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import DecimalField, F, Model, QuerySet, TextField
from django.db.models.functions import Cast, Now
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import TextFilter
from unfold.widgets import UnfoldAdminTextInputWidget

from catalog.entities import Entity, LocalizedField, Reference, entities, entity, value_fields
from catalog.history import Revision
from catalog.ownership import OwnershipRule
from catalog.ownership_form import OwnershipRuleForm
from catalog.payload import pretty
from catalog.sizes import BoundedPaginator
from catalog.source import SourceRecord
from observability.display import Tone, ago, badge

KINDS = {
    Revision.Kind.CREATED: Tone.GOOD,
    Revision.Kind.CHANGED: Tone.BUSY,
    Revision.Kind.DELETED: Tone.BAD,
    Revision.Kind.RESTORED: Tone.GOOD,
}


def entity_url(name: str, key: str) -> str:
    """The page of one entity row."""
    options = entity(name)._meta
    return reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[quote(key)])


def entity_link(name: str, key: str) -> SafeString:
    """A link to the page of one entity row, by its natural key."""
    return format_html('<a class="hw-link hw-mono" href="{}">{}</a>', entity_url(name, key), key)


def in_words(value: Any) -> str:
    """A value for a list or a heading: of a localized text the English one, else any."""
    if isinstance(value, dict):
        english = next((text for locale, text in value.items() if locale.startswith("en")), None)
        value = english or next(iter(value.values()), "")
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return "" if value is None else str(value)


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Shows rows; nobody adds, changes or deletes them here."""

    show_full_result_count = False
    paginator = BoundedPaginator
    list_per_page = 50
    change_form_template = "admin/catalog/read_only.html"

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows with the database's time beside them, by which ages are told."""
        rows: QuerySet[Any] = super().get_queryset(request).annotate(asked_at=Now())
        return rows


class TombstoneFilter(admin.SimpleListFilter):
    """Live rows unless asked otherwise."""

    title = "tombstones"
    parameter_name = "tombstones"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("only", "Tombstones only"), ("all", "With tombstones")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return queryset
        return queryset.filter(deleted_at__isnull=self.value() != "only")


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
        value = getattr(row, field.attname)
        if isinstance(field, Reference) and value:
            to: Any = field.related_model
            return entity_link(to.declaration.name, value)
        return in_words(value)

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
                found |= queryset.alias(**{text: Cast(F(name), TextField())}).filter(
                    **{f"{text}__icontains": term}
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


@admin.register(SourceRecord)
class SourceRecordAdmin(ReadOnlyAdmin):
    """What each system says, as received."""

    list_display = ("record_key", "system", "about", "observed", "changed_there", "gone")
    list_filter = ("source", TombstoneFilter)
    list_select_related = ("source",)
    search_fields = ("record_key",)
    search_help_text = "The upstream's key, or the natural key, or the beginning of one"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        "system", "record_key", "about", "as_received", "mapped", "observed", "changed_there",
        "gone", "run_id", "event_id", "correlation_id", "contract",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).select_related("source")
        one = request.resolver_match is not None and "object_id" in request.resolver_match.kwargs
        return rows if one else rows.defer("payload", "fields", "payload_hash")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By either key, each through its own index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        by_record = queryset.filter(record_key__startswith=term)
        return by_record if by_record.exists() else queryset.filter(
            entity_key__startswith=term
        ), False

    @admin.display(description="system")
    def system(self, row: SourceRecord) -> SafeString:
        return format_html("{} {}", badge(row.source.system), row.source.stream)

    @admin.display(description="speaks about")
    def about(self, row: SourceRecord) -> SafeString:
        link = entity_link(row.source.entity, row.entity_key)
        return format_html("{} {}", row.source.entity, link)

    @admin.display(description="read")
    def observed(self, row: Any) -> SafeString:
        return ago(row.observed_at, row.asked_at)

    @admin.display(description="changed there")
    def changed_there(self, row: Any) -> SafeString:
        return ago(row.changed_at, row.asked_at)

    @admin.display(description="tombstone")
    def gone(self, row: Any) -> SafeString:
        return ago(row.deleted_at, row.asked_at)

    @admin.display(description="mapped fields")
    def mapped(self, row: SourceRecord) -> SafeString:
        return format_html_join(
            "", "<div><b>{}</b> {}</div>", ((k, in_words(v)) for k, v in row.fields.items())
        )

    @admin.display(description="payload as received")
    def as_received(self, row: SourceRecord) -> SafeString:
        return pretty(row.payload)


@admin.register(Revision)
class RevisionAdmin(ReadOnlyAdmin):
    """The history of everything."""

    list_display = ("number", "when", "what", "record", "fields_changed", "correlation_id")
    search_fields = ("key",)
    search_help_text = "Natural key, or the beginning of it"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        "when", "what", "record", "old_and_new", "source_record_id", "run_id", "event_id",
        "correlation_id",
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
    """Each changed field with its old and its new value."""
    numbers = {f.name for f in value_fields(entity(revision.entity)) if isinstance(f, DecimalField)}
    return format_html_join(
        "",
        '<div class="hw-change"><b>{}</b> {} <span class="hw-dim">→</span> {}</div>',
        (
            (
                field,
                _spelled(old, "del", number=field in numbers),
                _spelled(new, "ins", number=field in numbers),
            )
            for field, (old, new) in revision.changes.items()
        ),
    )


def _spelled(value: Any, tag: str, *, number: bool) -> SafeString:
    """A value in a change: every locale of a text, because any of them may have changed."""
    if value is None:
        return format_html('<span class="hw-dim">{}</span>', "no value")
    if isinstance(value, dict):
        value = " · ".join(f"{locale}: {text}" for locale, text in value.items())
    return format_html("<{}>{}</{}>", tag, in_words(Decimal(value) if number else value), tag)


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


@admin.register(OwnershipRule)
class OwnershipRuleAdmin(ModelAdmin):  # type: ignore[misc]
    """Which system decides a field."""

    form = OwnershipRuleForm
    list_display = ("decides", "owner", "then", "reason")
    formfield_overrides = {TextField: {"widget": UnfoldAdminTextInputWidget}}
    sortable_by = ()
    list_filter = ("entity", "owner")
    fields = ("entity", "field", "owner", "fallbacks", "reason")

    @admin.display(description="decides")
    def decides(self, rule: OwnershipRule) -> SafeString:
        scope = "" if rule.field else format_html('<span class="hw-dim">{}</span>', "all others")
        return format_html("{}.{} {}", rule.entity, rule.field or "*", scope)

    @admin.display(description="then, when it is silent")
    def then(self, rule: OwnershipRule) -> str:
        return ", ".join(rule.fallbacks) or "nobody"

    def save_model(
        self, request: HttpRequest, obj: OwnershipRule, form: ModelForm[Any], change: Any
    ) -> None:
        super().save_model(request, obj, form, change)
        self.message_user(
            request,
            "The rule decides from the next change of each record on. Records that do not change"
            " keep the value that won under the former rule: a remap of what is stored is not"
            " built yet.",
            "WARNING",
        )
