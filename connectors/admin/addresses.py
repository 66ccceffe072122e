"""An address in a form: it holds no user and no password, and is never shown again with one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from connectors.models.connection import no_password


def bare_address(form: Any, field: str) -> str:
    """The address of a form's field, for its `clean_…`. Raises ValidationError where it holds a
    password, and leaves the form without one, since a form is shown again with what was entered.
    """
    address: str = form.cleaned_data[field]
    parts = urlsplit(address)
    if "@" in parts.netloc:
        shown = form.data.copy()  # a QueryDict, which nobody may change
        shown[field] = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        form.data = shown
        no_password(address)
    return address
