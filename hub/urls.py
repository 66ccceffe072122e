"""Every address of the web process. One line each; the parts keep their own `urls` module."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, path
from django.views.generic import RedirectView

from hub import probes

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    # REST:    path("api/v1/", include("hub.rest.urls")),
    # GraphQL: path("graphql", include("hub.graphql.urls")),
]
