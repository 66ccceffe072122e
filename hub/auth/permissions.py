"""What a person may, of their own and by their roles: read in one statement a request, not in two."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission


class People(ModelBackend):
    """Django's log-in by name and password, and all permissions of a person at once."""

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """As `app.codename`; remembered on the user, under Django's own name for it."""
        if not user_obj.is_active or user_obj.is_anonymous or obj is not None:
            return set()
        if not hasattr(user_obj, "_perm_cache"):
            every = Permission.objects.order_by()
            own = every if user_obj.is_superuser else every.filter(user=user_obj)
            named = ("content_type__app_label", "codename")
            # each part by an index of its own, which an OR would not find
            found = own.values_list(*named).union(
                every.filter(group__user=user_obj).values_list(*named)
            )
            user_obj._perm_cache = {f"{app}.{name}" for app, name in found}
        known: set[str] = user_obj._perm_cache
        return known
