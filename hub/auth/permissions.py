"""What a person may, and in which roles: read in one statement a request, where Django asks three."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission
from django.db.models import Value


class People(ModelBackend):
    """Django's log-in by name and password, and all permissions of a person at once."""

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """As `app.codename`; remembered on the user, under Django's own name for it."""
        if not user_obj.is_active or user_obj.is_anonymous or obj is not None:
            return set()
        if not hasattr(user_obj, "_perm_cache"):
            _read(user_obj)
        known: set[str] = user_obj._perm_cache
        return known


def role_names(user: Any) -> list[str]:
    """The groups of a person, by name."""
    if not hasattr(user, "_role_names"):
        _read(user)
    names: list[str] = user._role_names
    return names


def _read(user: Any) -> None:
    every, named = Permission.objects.order_by(), ("content_type__app_label", "codename")
    own = every if user.is_superuser else every.filter(user=user)
    by_role = every.filter(group__user=user)
    # No app is called "". Each part by an index of its own, which an OR would not find.
    roles = Group.objects.order_by().filter(user=user).values_list(Value(""), "name")
    found = list(own.values_list(*named).union(by_role.values_list(*named), roles))
    user._perm_cache = {f"{app}.{name}" for app, name in found if app}
    user._role_names = sorted(name for app, name in found if not app)
