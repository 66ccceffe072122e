"""The form of an ownership rule; what cannot be is refused by `catalog.rule_checks`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.postgres.forms import SimpleArrayField
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from catalog.entities import entities
from catalog.ownership import SET_BY_PEOPLE, OwnershipRule
from catalog.rule_checks import WHOLE, RuleRefusedError, check


class OwnershipRuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """Says of each field what there is, where it names what is not."""

    entity = forms.ChoiceField(
        choices=lambda: [(name, name) for name in sorted(entities())],
        widget=UnfoldAdminSelectWidget,
    )
    locale = forms.ChoiceField(
        choices=lambda: [("", "all"), *((name, name) for name in settings.HEADWATER_LOCALES)],
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="Of localized texts this locale alone.",
    )
    fallbacks = SimpleArrayField(
        forms.CharField(),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Systems that are asked, in this order, when the owner is silent;"
        " separated by commas.",
    )

    class Meta:
        model = OwnershipRule
        fields = SET_BY_PEOPLE
        help_texts = {
            "field": "Name of a field; empty: every field that has no rule of its own.",
            "others": "Systems that are neither owner nor fallback and say something else.",
            "silent_after": "Seconds without news of the record; for 'accepted once the owner …'.",
            "reason": "Shown to whoever asks why a value won.",
        }

    def clean(self) -> dict[str, Any]:
        """As every other way to write a rule checks it."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in ("field", "market", "channel", "owner"):
            cleaned[name] = (cleaned.get(name) or "").strip()
        cleaned["fallbacks"] = cleaned.get("fallbacks") or []
        if not self.errors:
            rule = OwnershipRule(pk=self.instance.pk, **cleaned)
            try:
                check(rule, OwnershipRule.objects.all())
            except RuleRefusedError as refused:
                for field, message in refused.problems.items():
                    self.add_error(None if field == WHOLE else field, message)
        return cleaned

    def validate_constraints(self) -> None:
        """The check has said so, and what to do."""
