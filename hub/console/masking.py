"""Who looks at the pages of the admin, and what of people they may see (`catalog.masking`)."""

from __future__ import annotations

from typing import Any

from catalog import masking
from catalog.masking import MASK, SEE

__all__ = ["MASK", "SEE", "may_see", "shown"]


def may_see(user: Any) -> bool:
    """Whether a person may see personal data."""
    return bool(user.has_perm(SEE))


def shown(user: Any, entity: str, field: str, value: Any, key: str = "") -> Any:
    """The value of an entity's field for a person: itself, or `•••` in the place of personal data.

    `key` names the record where that is at hand, for the audit log. What the person at the page may
    see, `catalog.masking.shown` knows without being told who it is.
    """
    if masking.is_personal(entity, field) and value not in (None, "") and not may_see(user):
        return MASK
    looks = masking.viewer()
    if looks is not None and looks.sees:
        return masking.shown(entity, field, value, key)
    return value
