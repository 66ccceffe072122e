"""REST framework's view of who may read, and of what is sent: always JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from hub.auth.access import CHALLENGE, reader_of
from hub.auth.readers import Reader
from hub.auth.rights import Rights


class Recognised(BaseAuthentication):
    """An API key, a token, or a person's session in the admin: `request.user` is a Reader."""

    def authenticate(self, request: Request) -> tuple[Reader, None]:
        return reader_of(request._request), None

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 (REST framework's)
        return CHALLENGE["WWW-Authenticate"]


def reader(request: Request) -> Reader:
    """Who asks, whom `Recognised` has found."""
    found: Any = request.user
    assert isinstance(found, Reader)  # noqa: S101 (narrows)
    return found


def rights(request: Request) -> Rights:
    """The rights of who asks."""
    return reader(request).rights


class AlwaysJson(BaseContentNegotiation):
    """There is one representation; a browser that asks for HTML gets it too."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:  # noqa: ARG002
        return next(iter(parsers), None)

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002 (REST framework's)
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,  # noqa: ARG002 (REST framework's)
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or "application/json"


class ReaderScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How OpenAPI describes it."""

    target_class = "hub.rest.access.Recognised"
    name = ["bearer", "apiKey", "session"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:  # noqa: ARG002
        return [
            {"type": "http", "scheme": "bearer", "description": "An API key, hw_…, or a JWT"},
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            {
                "type": "apiKey",
                "in": "cookie",
                "name": "sessionid",
                "description": "A person's session in the admin, on this page.",
            },
        ]
