"""The addresses of the REST API, one set for each declared entity."""

from __future__ import annotations

from django.urls import URLPattern, path
from django.views.decorators.cache import cache_control
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from catalog.entities import entities
from hub.rest import views


def _addresses() -> list[URLPattern]:
    found = []
    for cls in entities().values():
        plural, name = cls.declaration.plural, cls.declaration.name
        # Keys may hold slashes, so the longer addresses stand before the shorter.
        found += [
            path(plural, views.list_view(cls), name=f"rest-{plural}"),
            path(f"{plural}/<path:key>/explain/<str:field>", views.explain_view(cls)),
            path(f"{plural}/<path:key>/history", views.history_view(cls)),
            path(f"{plural}/<path:key>", views.record_view(cls), name=f"rest-{name}"),
        ]
    return found


urlpatterns = [
    path(
        "openapi.json",
        cache_control(max_age=60)(SpectacularJSONAPIView.as_view()),
        name="openapi",
    ),
    path("docs", SpectacularSwaggerView.as_view(url_name="openapi"), name="docs"),
    *_addresses(),
]
