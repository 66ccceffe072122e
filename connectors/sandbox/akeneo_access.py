"""Akeneo's OAuth tokens and its error bodies.

Access tokens live an hour, refresh tokens fourteen days; both are kept in memory only. Source:
Akeneo REST API, "Authentication" and "Response codes".
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from typing import Any
from urllib.parse import parse_qsl

from connectors.sandbox.store import Store
from connectors.sandbox.wire import Request, Response

SYSTEM = "akeneo"
CLIENT = ("1_headwater", "akeneo-secret")
USER = ("headwater", "sandbox-akeneo")
ACCESS_SECONDS = 3600
REFRESH_SECONDS = 14 * 86_400


class AkeneoError(Exception):
    def __init__(
        self, status: int, message: str, errors: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors

    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = {"code": self.status, "message": self.message}
        if self.errors:
            found["errors"] = self.errors
        return found

    def response(self) -> Response:
        headers = {"Content-Type": "application/json"}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="Service"'
        return Response(self.status, self.body(), headers)


def token(request: Request) -> Response:
    """`POST /api/oauth/v1/token`: the password grant and the refresh grant, JSON or form."""
    try:
        given = _grant(request)
        _check_client(request)
        return Response(200, _granted(request.store, given), {"Cache-Control": "no-store"})
    except AkeneoError as refusal:
        return refusal.response()


def _grant(request: Request) -> dict[str, str]:
    if "json" not in request.headers.get("Content-Type", ""):
        return dict(parse_qsl(request.body.decode("utf-8", "replace")))
    try:
        given = request.json()
    except ValueError:
        raise AkeneoError(400, "Invalid json message received") from None
    return given if isinstance(given, dict) else {}


def _check_client(request: Request) -> None:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        pair = base64.b64decode(encoded).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        pair = ""
    if not secrets.compare_digest(pair.encode(), ":".join(CLIENT).encode()):
        raise AkeneoError(
            422,
            'Parameter "client_id" is missing or does not match any client, or secret is invalid',
        )


def _granted(store: Store, given: dict[str, str]) -> dict[str, Any]:
    memory, now = store.memory(SYSTEM), time.time()
    match given.get("grant_type"):
        case "password":
            if "username" not in given or "password" not in given:
                message = 'Missing parameters. "username" and "password" required'
                raise AkeneoError(422, message)
            if (given["username"], given["password"]) != USER:
                raise AkeneoError(422, "No user found for the given username and password")
        case "refresh_token":
            expires = memory.get("refresh", {}).pop(given.get("refresh_token"), None)
            if expires is None:
                raise AkeneoError(422, "Invalid refresh token")
            if expires < now:
                raise AkeneoError(422, "Refresh token has expired")
        case _:
            message = "Invalid grant_type parameter or parameter missing"
            raise AkeneoError(422, message)
    access, refresh = secrets.token_hex(43), secrets.token_hex(43)
    memory.setdefault("access", {})[access] = now + ACCESS_SECONDS
    memory.setdefault("refresh", {})[refresh] = now + REFRESH_SECONDS
    return {
        "access_token": access,
        "expires_in": ACCESS_SECONDS,
        "token_type": "bearer",
        "scope": None,
        "refresh_token": refresh,
    }


def authenticate(request: Request) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise AkeneoError(401, "Authentication is required")
    expires = request.store.memory(SYSTEM).get("access", {}).get(given.strip())
    if expires is None:
        raise AkeneoError(401, "The access token provided is invalid.")
    if expires < time.time():
        raise AkeneoError(401, "The access token provided has expired.")


def revoke(store: Store) -> None:
    store.memory(SYSTEM).clear()
