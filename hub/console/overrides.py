"""Overrides in the admin: what people decided, the form that decides, and its withdrawal."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import BooleanField, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from catalog import masking
from catalog.admin import ReadOnlyAdmin, entity_link, entity_url
from catalog.entities import Entity, LocalizedField, entity, value_fields
from catalog.explain import Explanation, explain, find
from catalog.overrides import Decision, Override, override, withdraw_overrides
from connectors.admin.asking import OneRow, button, who
from connectors.runtime import wake
from hub.console.conflict_filters import EntityFilter
from hub.console.seeing import may_settle, said, seen_entities
from hub.console.settling import ReasonForm, override_url
from observability.display import Tone, ago, badge, exact

LOCALE = "value_"


class InForceFilter(admin.SimpleListFilter):
    """Those in force, unless asked otherwise."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("ended", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(ended_at__isnull=self.value() != "ended")


class ValueForm(ReasonForm):
    """The value of a field, in every locale of a text; starts from what somebody says of it."""

    def __init__(self, told: Explanation, field: Any, start: Any, data: Any = None) -> None:
        super().__init__(data)
        asked = dict(_asked(told, field, start))
        self.localized = isinstance(field, LocalizedField)
        # Before why and until when.
        self.fields = {**asked, **self.fields}

    def stated(self) -> Any:
        """The value as `catalog.overrides` takes it."""
        given = self.cleaned_data
        if not self.localized:
            return given["value"]
        return {
            name.removeprefix(LOCALE): text
            for name, text in given.items()
            if name.startswith(LOCALE) and text
        }


def _asked(told: Explanation, field: Any, start: Any) -> Any:
    if not isinstance(field, LocalizedField):
        widget: Any = UnfoldAdminTextInputWidget()
        if isinstance(field, BooleanField):
            widget = forms.Select(choices=[("true", "true"), ("false", "false")])
        yield (
            "value",
            forms.CharField(
                required=False, initial=start, widget=widget, help_text=field.help_text
            ),
        )
        return
    spoken = [told.value or {}, *(c.value for c in told.candidates if isinstance(c.value, dict))]
    for locale in sorted({locale for texts in spoken for locale in texts} or {"en_US"}):
        yield (
            f"{LOCALE}{locale}",
            forms.CharField(
                required=False,
                label=locale,
                initial=(start or {}).get(locale, ""),
                widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
            ),
        )


@admin.register(Override)
class OverrideAdmin(OneRow, ReadOnlyAdmin):
    """What people put above the rules, until when, and why."""

    nothing = "No field is overridden: the ownership rules decide all of them."
    list_display = ("place", "chosen", "made_by", "reason", "made", "ends", "what_to_do")
    list_filter = (InForceFilter, EntityFilter, "made_by")
    search_fields = ("key",)
    search_help_text = "Natural key, or the beginning of it"
    ordering = ("-id",)
    sortable_by = ()
    actions = ("withdraw",)
    fields = (
        "place", "chosen", "made_by", "reason", "made", "until", "ends", "ended_by",
        "ended_because",
    )  # fmt: skip
    readonly_fields = fields
    no_add: ClassVar[str] = "Choose a field on the page of its record: each has a button Override."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Those about entities that the person may see."""
        return super().get_queryset(request).filter(entity__in=seen_entities(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(key__startswith=term) if term else queryset), False

    def has_settle_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """For the action below."""
        return may_settle(request)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The form, for the field that the address names."""
        row, told, field = self._asked(request)
        chosen = request.GET.get("from", "")
        start = next((c.value for c in told.candidates if str(c.record.pk) == chosen), told.value)
        if isinstance(start, dict) and isinstance(told.value, dict):
            start = {**told.value, **start}
        form = ValueForm(told, field, start, request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            try:
                override(
                    [Decision(told.entity, told.key, told.field, form.stated())],
                    by=who(request), reason=given["reason"], until=given["until"],
                )  # fmt: skip
            except ValidationError as error:
                form.take(error)
            else:
                wake.notify(wake.OUTBOX)
                messages.success(request, f"{told.field} is overridden.")
                return HttpResponseRedirect(f"{entity_url(told.entity, told.key)}#{told.field}")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Override {told.entity}.{told.field} of {told.key}",
            "told": told,
            "served": said(told.value, told.entity, told.field, told.key),
            "form": form,
            "choices": [
                (candidate, said(candidate.value, told.entity, told.field, told.key))
                for candidate in told.candidates
            ],
            "address": override_url(told.entity, told.key, told.field),
            "back": f"{entity_url(told.entity, told.key)}#{told.field}",
            "record": entity_link(told.entity, row.key),
        }
        return TemplateResponse(request, "console/override.html", context)

    @admin.action(description="Withdraw", permissions=["settle"])
    def withdraw(self, request: HttpRequest, rows: QuerySet[Override]) -> None:
        """The rules decide again."""
        ended = withdraw_overrides(rows, by=who(request))
        wake.notify(wake.OUTBOX)
        messages.success(request, f"{ended} withdrawn; the rules decide again.")

    def _asked(self, request: HttpRequest) -> tuple[Entity, Explanation, Any]:
        if not may_settle(request):
            raise PermissionDenied
        name, key = request.GET.get("entity", ""), request.GET.get("key", "")
        if not name:
            raise Http404(self.no_add)
        if name not in seen_entities(request):
            raise PermissionDenied
        row = find(name, key)
        fields = {field.name: field for field in value_fields(entity(name))}
        field = fields.get(request.GET.get("field", ""))
        if masking.is_personal(name, request.GET.get("field", "")) and not masking.sees():
            # Its form would show what every system says.
            raise PermissionDenied("This field holds personal data, which you may not see.")
        if row is None or field is None:
            raise Http404(f"There is no such field of {name} {key}.")
        return row, explain(row, field.name), field

    @admin.display(description="field")
    def place(self, row: Override) -> SafeString:
        return format_html(
            "{}.<b>{}</b> {}", row.entity, row.field, entity_link(row.entity, row.key)
        )

    @admin.display(description="value")
    def chosen(self, row: Override) -> SafeString:
        return said(row.value, row.entity, row.field, row.key)

    @admin.display(description="made")
    def made(self, row: Any) -> SafeString:
        return ago(row.made_at, row.asked_at)

    @admin.display(description="ends")
    def ends(self, row: Any) -> SafeString:
        if row.ended_at is not None:
            title = f"{exact(row.ended_at)} {row.ended_by}"
            return badge(f"ended: {row.ended_because}", Tone.QUIET, title)
        return ago(row.until, row.asked_at) if row.until else badge("until withdrawn")

    @admin.display(description="")
    def what_to_do(self, row: Override) -> SafeString | str:
        if row.ended_at is not None:
            return ""
        return button("withdraw", row.pk, "Withdraw", "The rules decide again")
