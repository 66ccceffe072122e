"""The page of one row, with what the row's template shows beside Django's own context."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse


class RowPage:
    """Goes before the admin class that it completes."""

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """The template's context for a row that exists."""
        raise NotImplementedError

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """The row is asked for once, though the page needs it and Django's form after it."""
        kept: dict[Any, Any] = request.__dict__.setdefault("_rows_shown", {})
        place = (object_id, from_field)
        if request.method != "GET" or place not in kept:
            kept[place] = super().get_object(request, object_id, from_field)  # type: ignore[misc]
        return kept[place]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        context = {} if row is None else self.page(request, row)
        shown: HttpResponse = super().change_view(  # type: ignore[misc]
            request, object_id, form_url, {**(extra_context or {}), **context}
        )
        return shown


def once(display: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """For a read-only field that takes a statement or a payload: Unfold asks for its text five times."""

    @wraps(display)
    def remembered(page: Any, row: Any) -> Any:
        kept: dict[str, Any] = row.__dict__.setdefault("_fields_shown", {})
        if display.__name__ not in kept:
            kept[display.__name__] = display(page, row)
        return kept[display.__name__]

    return remembered
