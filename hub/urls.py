"""Every address of the web process. One line each; the parts keep their own `urls` module."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import TemplateView

from hub import metrics, probes
from hub.console import (
    correlation,
    erasures,
    explained,
    matrix,
    retention,
    search,
    settlement,
    sla,
    traffic,
)
from hub.console.flows import page as flows
from hub.rest.errors import not_found

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", metrics.page, name="metrics"),
    path("admin/retention/", admin.site.admin_view(retention.page), name="retention"),
    path("admin/matrix/", admin.site.admin_view(matrix.page), name="matrix"),
    path("admin/reconciliation/", admin.site.admin_view(settlement.page), name="settlement"),
    path("admin/map/", admin.site.admin_view(flows.page), name="map"),
    re_path(
        r"^admin/map/architecture\.(?P<form>md|svg)$",
        admin.site.admin_view(flows.file),
        name="map-file",
    ),
    path("admin/sla/", admin.site.admin_view(sla.page), name="sla"),
    path("admin/traffic/", admin.site.admin_view(traffic.page), name="traffic"),
    path("admin/correlation/", admin.site.admin_view(correlation.find), name="correlation_find"),
    path(
        "admin/correlation/<str:correlation_id>/",
        admin.site.admin_view(correlation.page),
        name="correlation",
    ),
    path("admin/find/", admin.site.admin_view(search.page), name="find"),
    path("admin/explain/<str:entity>/<path:key>/<str:field>/", explained.page, name="explain-page"),
    path(
        "admin/erase/<slug:entity>/<path:key>/", admin.site.admin_view(erasures.page), name="erase"
    ),
    path("admin/", admin.site.urls),
    path("", TemplateView.as_view(template_name="hub/home.html"), name="home"),
    path("api/v1/", include("hub.rest.urls")),
    path("", include("hub.graphql.urls")),
    # with DEBUG on, Django would answer with a page
    re_path(r"^(api|graphql)/", csrf_exempt(not_found)),
]

handler400 = "hub.rest.errors.bad_request"
handler404 = "hub.rest.errors.not_found"
handler500 = "hub.rest.errors.server_error"
