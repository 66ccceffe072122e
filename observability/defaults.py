"""The rules that come with the hub: made where they are missing, and a person's to change.

A floor declares those of its own signals in `AppConfig.ready`. A rule that a person changed, or
switched off, stays so.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from django.db import connection

from observability.alerts import AlertRule

_rules: dict[str, AlertRule] = {}


def by_default(*rules: AlertRule) -> None:
    """Declare rules, once in a process. Raises ValueError for a slug that is taken."""
    for rule in rules:
        if rule.slug in _rules and _rules[rule.slug] is not rule:
            raise ValueError(f"two rules are called {rule.slug}")
        _rules[rule.slug] = rule


def defaults() -> list[AlertRule]:
    """All of them, unsaved."""
    return [copy(rule) for _, rule in sorted(_rules.items())]


def make_missing(**_: Any) -> None:
    """Receiver of `post_migrate`: rows for rules that have none."""
    if AlertRule._meta.db_table in connection.introspection.table_names():
        AlertRule.objects.bulk_create(defaults(), ignore_conflicts=True)
