"""How calls are signed: basic, bearer, and tokens that expire and are renewed."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from requests import PreparedRequest, Response
from requests.auth import AuthBase, HTTPBasicAuth

from observability.context import current_id
from observability.errors import AuthExpiredError, GarbledError
from observability.redaction import remember

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


class HiddenAddress(AuthBase):
    """An address that is itself a secret: calls to its host go there, and are told without it.

    What asks, logs and fails knows the host alone.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        shown, request.url = request.url, self._address

        def hide(response: Response, **_: Any) -> None:
            response.url = shown or ""

        request.register_hook("response", hide)  # type: ignore[no-untyped-call]
        return request


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """How an access token is asked for (RFC 6749): a JSON or a form body, perhaps basic auth."""

    path: str
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)

    def digest(self, host: str) -> bytes:
        """A name for these credentials at this host that does not tell them."""
        parts = (host, self.path, self.json, self.form, self.basic)
        return hashlib.sha256(msgspec.json.encode(parts)).digest()


class Token(msgspec.Struct):
    access_token: str


@dataclass(slots=True)
class Kept:
    """A token that all sessions of this process with the same credentials share."""

    token: str = field(default="", repr=False)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


_kept: dict[bytes, Kept] = {}


class TokenAuth(AuthBase):
    """An access token, fetched when first needed and again when it is refused.

    Tokens live in this process alone. No refresh grant: the credentials are at hand anyway, and a
    refresh token would be one secret more to lose.
    """

    def __init__(self, wanted: TokenRequest) -> None:
        self._wanted = wanted
        self._kept = Kept()
        self._host, self._used = "", ""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        # Without a token yet the call goes out bare, is refused with 401, and renewed.
        host = "//".join(urlsplit(request.url or "")[:2])
        if host != self._host:
            self._host, self._kept = host, _kept.setdefault(self._wanted.digest(host), Kept())
        self._used = self._kept.token
        if self._used:
            request.headers["Authorization"] = f"Bearer {self._used}"
        return request

    def renew(self, session: HubSession) -> None:
        """Get a new token through the connection's own session. Raises UpstreamError."""
        with self._kept.lock:
            # Another session may have renewed it while this one was being refused.
            if self._kept.token == self._used:
                self._kept.token = self._fetched(session)

    def _fetched(self, session: HubSession) -> str:
        wanted = self._wanted
        # An explicit auth keeps this call from being signed by the token that it fetches.
        auth = HTTPBasicAuth(*wanted.basic) if wanted.basic else _unsigned
        response = session.post(wanted.path, json=wanted.json, data=wanted.form, auth=auth)
        given: dict[str, Any] = {
            "connection": session.connection,
            "status": response.status_code,
            "correlation_id": current_id(),
        }
        if response.status_code in REFUSED:
            what = "the credentials were refused where tokens are given out"
            raise AuthExpiredError(what, excerpt=response.content, **given)
        session.checked(response)
        try:
            token = msgspec.json.decode(response.content, type=Token).access_token
        except (msgspec.DecodeError, UnicodeDecodeError):
            # No excerpt and no cause: what came may hold a token under another name.
            raise GarbledError("the token answer holds no access_token", **given) from None
        remember([token])
        return token


#: RFC 6749 (5.2) says 400 and 401; Akeneo says 422 for a wrong client id.
REFUSED = frozenset({400, 401, 403, 422})


def _unsigned(request: PreparedRequest) -> PreparedRequest:
    return request
