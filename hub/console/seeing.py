"""Who sees and settles what: conflicts and overrides hold values of the entity that they are about.

So a person sees those of the entities that they may see, personal data included or not.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog import masking
from catalog.admin import in_words
from catalog.entities import entities

SETTLE = "catalog.add_override"


def seen_entities(request: HttpRequest) -> list[str]:
    """Names of the entities whose rows the person may see."""
    return [
        name
        for name, cls in entities().items()
        if request.user.has_perm(f"{cls._meta.app_label}.view_{cls._meta.model_name}")
    ]


def may_settle(request: HttpRequest) -> bool:
    """Whether the person may settle conflicts: support reads, stewards settle."""
    return request.user.has_perm(SETTLE)


def said(value: Any, entity: str, field: str, key: str = "") -> SafeString:
    """A value of a conflict: every locale of a text, because any of them may differ.

    Covered, if it is personal, for those who may not see such data.
    """
    value = masking.shown(entity, field, value, key)
    if value is None:
        return format_html('<span class="hw-dim">{}</span>', "no value")
    if isinstance(value, dict):
        value = " · ".join(f"{locale}: {text}" for locale, text in sorted(value.items()))
    return format_html("{}", in_words(value)[:300])
