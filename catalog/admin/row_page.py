"""The page of one row, with what the row's template shows beside Django's own context."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse


class RowPage:
    """Goes before the admin class that it completes."""

    get_object: Any

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """The template's context for a row that exists."""
        raise NotImplementedError

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = {} if row is None else self.page(request, row)
        shown: HttpResponse = super().change_view(  # type: ignore[misc]
            request, object_id, form_url, {**(extra_context or {}), **context}
        )
        return shown
