"""API keys in the admin: issued here, shown once, revoked by an action."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from hub.auth.keys import issue_key
from hub.auth.models import ApiKey
from hub.usage.admin import read_by


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("name", "prefix", "created_at", "last_used_at", "expires_at", "revoked_at")
    fields = ("name", "expires_at")
    search_fields = ("name", "prefix")
    actions = ("revoke",)
    readonly_fields = ("reads",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What it reads is known of a key that there is."""
        return self.fields if obj is None else (*self.fields, "reads")

    @admin.display(description="Reads")
    def reads(self, row: ApiKey) -> str:
        return read_by(row)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:  # noqa: FBT001 (Django's)
        """A new key is shown in the answer to this one request, and never again."""
        if change:
            super().save_model(request, obj, form, change)
            return
        key = issue_key(obj.name)
        issued = ApiKey.objects.get(prefix=key.split("_")[1])
        obj.pk, obj.prefix, obj.digest = issued.pk, issued.prefix, issued.digest
        obj.created_at = issued.created_at
        ApiKey.objects.filter(pk=obj.pk).update(expires_at=obj.expires_at)
        messages.warning(request, f"Copy the key now, it is shown once: {key}")

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        count = queryset.filter(revoked_at__isnull=True).update(revoked_at=Now())
        messages.success(request, f"{count} keys revoked")
