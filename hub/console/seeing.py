"""Who sees and settles what: conflicts and overrides hold values of the entity that they are about.

So a person sees those of the entities that they may see, personal data included or not.
"""

from __future__ import annotations

from django.http import HttpRequest

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
