"""An ownership rule is refused when it names what does not exist."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from catalog.entities import entities, entity, value_fields
from catalog.ownership import OwnershipRule
from catalog.source import Source


class OwnershipRuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """Checks field and systems; says what there is."""

    entity = forms.ChoiceField(
        choices=lambda: [(name, name) for name in sorted(entities())],
        widget=UnfoldAdminSelectWidget,
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
        fields = ("entity", "field", "owner", "fallbacks", "reason")
        help_texts = {
            "field": "Name of a field; empty: every field that has no rule of its own.",
            "reason": "Shown to whoever asks why a value won.",
        }

    def clean(self) -> dict[str, Any]:
        """The field belongs to the entity; owner and fallbacks are systems, each named once."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        name, field = cleaned.get("entity"), (cleaned.get("field") or "").strip()
        cleaned["field"] = field
        if name and field:
            known = [f.name for f in value_fields(entity(name))]
            if field not in known:
                self.add_error(
                    "field", f"{name} has no field {field!r}. It has: {', '.join(known)}."
                )
        self._check_systems(cleaned.get("owner"), cleaned.get("fallbacks") or [])
        return cleaned

    def _check_systems(self, owner: str | None, fallbacks: list[str]) -> None:
        systems = set(Source.objects.values_list("system", flat=True))
        spoken = f"Systems that are connected: {', '.join(sorted(systems)) or 'none yet'}."
        if owner and systems and owner not in systems:
            self.add_error("owner", f"No system {owner!r}. {spoken}")
        for system in fallbacks:
            if systems and system not in systems:
                self.add_error("fallbacks", f"No system {system!r}. {spoken}")
        if len({owner, *fallbacks}) != 1 + len(fallbacks):
            self.add_error("fallbacks", "A system is named twice.")
