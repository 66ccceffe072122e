"""What the admin shows of all floors together: entities with their lineage, people, API keys."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from catalog.admin import register_entities
from catalog.admin.deleting import BoundedDeletion
from hub.auth import admin as key_admin
from hub.console import journals
from hub.console.approvals_page import ApprovalAdmin
from hub.console.audit_page import AuditEntryAdmin
from hub.console.conflicts import ConflictAdmin
from hub.console.erasures import ErasureAdmin
from hub.console.incidents import IncidentAdmin
from hub.console.overrides import OverrideAdmin
from hub.console.records import RecordAdmin
from hub.usage import admin as usage_admin

register_entities(RecordAdmin)

__all__ = [
    "ApprovalAdmin",
    "AuditEntryAdmin",
    "ConflictAdmin",
    "ErasureAdmin",
    "GroupAdmin",
    "IncidentAdmin",
    "OverrideAdmin",
    "UserAdmin",
    "journals",
    "key_admin",
    "usage_admin",
]

# Task rows are pickles, and mean no more than "there may be work": nothing for a person to see.
for model in [m for m in admin.site._registry if m._meta.app_label == "django_q"]:
    admin.site.unregister(model)

admin.site.unregister((User, Group))


@admin.register(User)
class UserAdmin(BoundedDeletion, DjangoUserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    """People who may log in here."""

    instead = "Take “Active” away instead: what they asked for and decided stays known."
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """Permissions by role."""
