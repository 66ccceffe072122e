"""REST framework's view of who may read."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from hub.auth.access import CHALLENGE, reader


class Reader(BaseAuthentication):
    """An API key, or a person's session in the admin."""

    def authenticate(self, request: Request) -> tuple[str, None] | None:
        who = reader(request._request)
        return None if who is None else (who, None)

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 (REST framework's)
        return CHALLENGE["WWW-Authenticate"]


class IsReader(BasePermission):
    """Whoever was recognised may read."""

    message = "send an API key: `Authorization: Bearer hw_…` or `X-API-Key: hw_…`"

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002 (REST framework's)
        return isinstance(request.user, str)


class ReaderScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How OpenAPI describes it."""

    target_class = "hub.rest.access.Reader"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002
        return {"type": "http", "scheme": "bearer", "description": "An API key, hw_…"}
