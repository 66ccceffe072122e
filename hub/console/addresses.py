"""Addresses of pages that other pages lead to by no more than an id."""

from __future__ import annotations

from django.urls import NoReverseMatch, reverse


def correlation_url(correlation_id: str) -> str:
    """Where everything stands that happened under a correlation id."""
    try:
        return reverse("correlation", args=[correlation_id])
    except NoReverseMatch:
        return f"{reverse('admin:connectors_syncrun_changelist')}?q={correlation_id}"
