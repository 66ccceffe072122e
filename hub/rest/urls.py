"""The addresses of the REST API: one set for each declared entity, and those of the operations.

An address that has both, `payments` for example, is one view: it is read and written.
"""

from __future__ import annotations

import re
from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularSwaggerView
from rest_framework.views import APIView

from catalog.entities import entities
from connectors.commands.declare import offered
from hub.rest import views, writes
from hub.rest.openapi import openapi


def _addresses() -> list[URLPattern]:
    written = _written()
    found, of_entities = [], []
    for cls in entities().values():
        plural, name = cls.declaration.plural, cls.declaration.name
        one = f"{plural}/<path:{cls.declaration.key}>"
        at = f"{plural}/{{{cls.declaration.key}}}"
        # Keys may hold slashes, so the longer addresses stand before the shorter.
        of_entities += [
            path(
                plural, _both(views.list_view(cls), written.pop(plural, {})), name=f"rest-{plural}"
            ),
            path(f"{one}/explain/<str:field>", views.explain_view(cls), name=f"explain-{name}"),
            path(f"{one}/history", views.history_view(cls), name=f"history-{name}"),
            path(one, _both(views.record_view(cls), written.pop(at, {})), name=f"rest-{name}"),
        ]
    for at, methods in written.items():
        route = re.sub(r"\{(\w+)\}", r"<str:\1>", at)
        found.append(path(route, _both(APIView, methods), name=f"write-{at}"))
    return [*found, *of_entities]


def _written() -> dict[str, dict[str, writes.Method]]:
    """What can be written, by address and HTTP method."""
    found: dict[str, dict[str, writes.Method]] = {}
    for operation in offered():
        methods = found.setdefault(operation.path, {})
        methods[operation.method.lower()] = writes.method_of(operation)
    return found


def _both(view: type[APIView], methods: dict[str, writes.Method]) -> writes.Method:
    both: Any = type(view.__name__, (view,), dict(methods))
    made: writes.Method = both.as_view()
    return made


urlpatterns = [
    path("", views.Index.as_view(), name="rest"),
    path("openapi.json", openapi, name="openapi"),
    path("docs", SpectacularSwaggerView.as_view(url_name="openapi"), name="docs"),
    path("commands/<str:reference>", writes.CommandView.as_view(), name="rest-command"),
    *_addresses(),
]
