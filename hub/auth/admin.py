"""API keys in the admin: issued and rotated here, shown once, revoked by an action."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget

from catalog.admin.row_page import once
from catalog.entities import GUARDED_CLASSES, entities
from hub.auth.keys import OVERLAP, issue_key, rotate
from hub.auth.models import ApiKey
from hub.auth.rights import ALL, CLASS, COMMANDS, INTROSPECT, READ, TRACE, WRITE, checked
from hub.problems import BadInputError
from hub.usage.admin import read_by

#: What a new key may ask a minute unless somebody says otherwise.
USUAL_PER_MINUTE = 600


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """Scopes as lines of text. A new key has none until somebody grants it: the least there is."""

    scopes = forms.CharField(widget=UnfoldAdminTextareaWidget(attrs={"rows": 6}))

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "requests_per_minute", "expires_at")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk:
            self.initial["scopes"] = "\n".join(self.instance.scopes)
        elif "requests_per_minute" in self.fields:
            self.initial.setdefault("requests_per_minute", USUAL_PER_MINUTE)
        if "scopes" in self.fields:
            self.fields["scopes"].help_text = _explained()

    def clean_scopes(self) -> list[str]:
        try:
            return checked(self.cleaned_data["scopes"].split())
        except BadInputError as error:
            raise forms.ValidationError(error.message) from error


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):  # type: ignore[misc]
    form = ApiKeyForm
    list_display = (
        "name", "prefix", "granted", "requests_per_minute", "last_used_at", "expires_at",
        "revoked_at",
    )  # fmt: skip
    fields = ("name", "scopes", "requests_per_minute", "expires_at")
    search_fields = ("name", "prefix")
    actions = ("rotate", "revoke")
    readonly_fields = ("reads",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What it reads is known of a key that there is."""
        return self.fields if obj is None else (*self.fields, "reads")

    @admin.display(description="Scopes")
    def granted(self, row: ApiKey) -> str:
        """What the key may, in one line."""
        shown = ", ".join(row.scopes[:6])
        return f"{shown}, …" if len(row.scopes) > 6 else shown or "nothing"

    @admin.display(description="Reads")
    @once
    def reads(self, row: ApiKey) -> str:
        return read_by(row)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:  # noqa: FBT001 (Django's)
        """A new key is shown in the answer to this one request, and never again."""
        if change:
            super().save_model(request, obj, form, change)
            return
        key = issue_key(obj.name, obj.scopes, requests_per_minute=obj.requests_per_minute)
        issued = ApiKey.objects.get(prefix=key.split("_")[1])
        obj.pk, obj.prefix, obj.digest = issued.pk, issued.prefix, issued.digest
        obj.created_at = issued.created_at
        ApiKey.objects.filter(pk=obj.pk).update(expires_at=obj.expires_at)
        messages.warning(request, f"Copy the key now, it is shown once: {key}")

    @admin.action(description="Rotate: a new key, the old one ends soon", permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """One at a time, because each new key is shown once."""
        rows = list(queryset.filter(revoked_at__isnull=True)[:2])
        if len(rows) != 1 or queryset.count() != 1:
            messages.error(request, "Rotate one key at a time, and none that is revoked.")
            return
        key = rotate(rows[0])
        messages.warning(
            request,
            f"Copy the new key now, it is shown once: {key} The old one ends in "
            f"{OVERLAP.days} days at the latest.",
        )

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        count = queryset.filter(revoked_at__isnull=True).update(revoked_at=Now())
        messages.success(request, f"{count} keys revoked")


def _explained() -> str:
    known = entities()
    return (
        f"One a line. {READ}:ENTITY for records and lists, {READ}:ENTITY.FIELD for some of its "
        f"fields, {TRACE}:ENTITY for provenance, explanations and history, "
        f"{WRITE}:ENTITY to make and change them; {ALL} for every entity. {COMMANDS} to follow what "
        f"others write. {INTROSPECT} for the schema by GraphQL. "
        f"{' and '.join(f'{CLASS}:{name}' for name in GUARDED_CLASSES)} for fields that are not "
        f"public. Entities: {', '.join(sorted(known))}."
    )
