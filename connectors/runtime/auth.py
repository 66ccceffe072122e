"""How calls are signed: basic, bearer, and tokens that expire and are renewed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth

if TYPE_CHECKING:
    from connectors.runtime.session import HubSession


class BasicAuth(HTTPBasicAuth):
    """User and password with each call (RFC 7617)."""


class BearerAuth(AuthBase):
    """One token that does not expire (RFC 6750)."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """How an access token is asked for (RFC 6749): a JSON or a form body, perhaps basic auth."""

    path: str
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    basic: tuple[str, str] | None = field(default=None, repr=False)


class Token(msgspec.Struct):
    access_token: str


class TokenAuth(AuthBase):
    """An access token, fetched when first needed and again when it is refused."""

    def __init__(self, wanted: TokenRequest) -> None:
        self._wanted = wanted
        self._token = ""
        self._lock = threading.Lock()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        # Without a token yet the call goes out bare, is refused with 401, and renewed.
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def renew(self, session: HubSession) -> None:
        """Get a new token through the connection's own session. Raises UpstreamError."""
        from connectors.runtime.session import decode

        with self._lock:
            wanted = self._wanted
            # An explicit auth keeps this call from being signed by the token that it fetches.
            auth = HTTPBasicAuth(*wanted.basic) if wanted.basic else _unsigned
            response = session.post(wanted.path, json=wanted.json, data=wanted.form, auth=auth)
            self._token = decode(Token, session.checked(response), session.connection).access_token


def _unsigned(request: PreparedRequest) -> PreparedRequest:
    return request
