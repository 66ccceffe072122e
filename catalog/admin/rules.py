"""Ownership rules: the one thing of the catalogue that people write. First they see what it does."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import TextField
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from catalog import masking, rule_changes
from catalog.admin.ownership_form import OwnershipRuleForm
from catalog.admin.revisions import change_html
from catalog.ownership import OwnershipRule
from catalog.rule_changes import Preview, RuleChange
from catalog.rule_checks import RuleRefusedError
from observability.display import Tone, badge

CONFIRMED, EXPECTED = "_confirmed", "_expected"


@admin.register(OwnershipRule)
class OwnershipRuleAdmin(ModelAdmin):  # type: ignore[misc]
    """Which system decides a field."""

    form = OwnershipRuleForm
    list_display = ("decides", "owner", "then", "others_are", "now", "reason")
    formfield_overrides = {TextField: {"widget": UnfoldAdminTextInputWidget}}
    sortable_by = ()
    list_filter = ("entity", "owner", "others")
    # Rules go one by one, each after a look at what follows from it.
    actions = None
    delete_confirmation_template = "admin/catalog/ownershiprule/delete.html"
    fieldsets = (
        (None, {"fields": ("entity", "field", "owner", "fallbacks")}),
        ("Others", {"fields": ("others", "silent_after")}),
        ("Only for", {"fields": ("locale", "market", "channel", "valid_from", "valid_to")}),
        (None, {"fields": ("reason",)}),
    )

    @admin.display(description="decides")
    def decides(self, rule: OwnershipRule) -> SafeString:
        scope = "" if rule.field else format_html('<span class="hw-dim">{}</span>', "all others")
        return format_html("{} {}", rule.scope, scope)

    @admin.display(description="then, when it is silent")
    def then(self, rule: OwnershipRule) -> str:
        return ", ".join(rule.fallbacks) or "nobody"

    @admin.display(description="others are")
    def others_are(self, rule: OwnershipRule) -> str:
        waits = f" ({rule.silent_after} s)" if rule.silent_after else ""
        return f"{rule.get_others_display()}{waits}"

    @admin.display(description="in force")
    def now(self, rule: OwnershipRule) -> SafeString:
        if rule.valid_from is None and rule.valid_to is None:
            return badge("always", Tone.GOOD)
        return badge("now", Tone.GOOD) if rule.in_force else badge("not now", Tone.QUIET)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Whoever saves sees first what would change, and confirms that."""
        try:
            if request.method == "POST" and CONFIRMED not in request.POST:
                shown = self._shown_first(request, object_id)
                if shown is not None:
                    return shown
            answer: HttpResponse = super().changeform_view(
                request, object_id, form_url, extra_context
            )
            return answer
        except RuleRefusedError as refused:
            # Somebody else wrote a rule meanwhile.
            messages.error(request, str(refused))
            return HttpResponseRedirect(request.get_full_path())

    def _shown_first(self, request: HttpRequest, object_id: str | None) -> HttpResponse | None:
        """The page to confirm; None: the form is wrong, or the person may not."""
        rule = self.get_object(request, unquote(object_id)) if object_id else None
        may = (
            self.has_change_permission(request, rule) if rule else self.has_add_permission(request)
        )
        if not may or (object_id and rule is None):
            return None
        form = self.get_form(request, rule, change=rule is not None)(request.POST, instance=rule)
        if not form.is_valid():
            return None
        wanted = form.save(commit=False)
        passed_on = [
            (name, value)
            for name, values in request.POST.lists()
            if name != "csrfmiddlewaretoken"
            for value in values
        ]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "What would change",
            "rule": wanted,
            "passed_on": [*passed_on, (CONFIRMED, "1")],
            **previewed(rule_changes.preview(wanted), wanted.entity),
        }
        return TemplateResponse(request, "admin/catalog/ownershiprule/preview.html", context)

    def save_model(
        self, request: HttpRequest, obj: OwnershipRule, form: ModelForm[Any], change: Any
    ) -> None:
        self._say(request, rule_changes.save(obj, request.user.get_username(), _expected(request)))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        rule = self.get_object(request, unquote(object_id))
        try:
            if rule is not None and self.has_delete_permission(request, rule):
                seen = rule_changes.preview(rule, removed=True)
                extra_context = {**(extra_context or {}), **previewed(seen, rule.entity)}
            answer: HttpResponse = super().delete_view(request, object_id, extra_context)
        except RuleRefusedError as refused:
            messages.error(request, str(refused))
            return HttpResponseRedirect(
                reverse("admin:catalog_ownershiprule_change", args=[object_id])
            )
        return answer

    def delete_model(self, request: HttpRequest, obj: OwnershipRule) -> None:
        self._say(
            request, rule_changes.remove(obj, request.user.get_username(), _expected(request))
        )

    def _say(self, request: HttpRequest, change: RuleChange) -> None:
        address = reverse("admin:catalog_rulechange_change", args=[change.pk])
        self.message_user(
            request,
            format_html(
                'The rule decides from now on; the records that there are follow: <a href="{}">'
                "progress</a>.",
                address,
            ),
        )


def previewed(seen: Preview, entity: str) -> dict[str, Any]:
    """A preview for a template."""
    return {
        "preview": seen,
        "expected_name": EXPECTED,
        "sample": [
            (key, change_html(masking.uncovered(changes, entity, key)))
            for key, changes in seen.sample
        ],
    }


def _expected(request: HttpRequest) -> int | None:
    given = request.POST.get(EXPECTED, "")
    return int(given) if given.isdecimal() else None
