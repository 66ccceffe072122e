"""Ownership rules: the one thing of the catalogue that people write."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import TextField
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from catalog.admin.ownership_form import OwnershipRuleForm
from catalog.ownership import OwnershipRule


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
            " keep the value that won under the former rule, until a stream that speaks of them is"
            " remapped.",
            "WARNING",
        )
