"""The addresses of the REST API, one set for each declared entity."""

from __future__ import annotations

from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularSwaggerView

from catalog.entities import entities
from hub.rest import views
from hub.rest.openapi import openapi


def _addresses() -> list[URLPattern]:
    found = []
    for cls in entities().values():
        plural, name = cls.declaration.plural, cls.declaration.name
        one = f"{plural}/<path:{cls.declaration.key}>"
        # Keys may hold slashes, so the longer addresses stand before the shorter.
        found += [
            path(plural, views.list_view(cls), name=f"rest-{plural}"),
            path(f"{one}/explain/<str:field>", views.explain_view(cls), name=f"explain-{name}"),
            path(f"{one}/history", views.history_view(cls), name=f"history-{name}"),
            path(one, views.record_view(cls), name=f"rest-{name}"),
        ]
    return found


urlpatterns = [
    path("", views.Index.as_view(), name="rest"),
    path("openapi.json", openapi, name="openapi"),
    path("docs", SpectacularSwaggerView.as_view(url_name="openapi"), name="docs"),
    *_addresses(),
]
