"""Salesforce's log-ins (OAuth client credentials and password, SOAP) and its error bodies.

Sources: "OAuth 2.0 Client Credentials Flow", "Username-Password Flow", SOAP API `login()`, and REST
API Developer Guide, "Status Codes and Error Responses".
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import time
from html import escape, unescape
from typing import Any
from urllib.parse import parse_qsl

from connectors.sandbox.store import Store
from connectors.sandbox.wire import Request, Response

SYSTEM = "salesforce"
CLIENT = ("headwater", "sandbox-salesforce")
USER = ("headwater@example.com", "sandbox-salesforce")
ORG_ID = "00D5g00000HwSbxEAF"
USER_ID = "0055g00000HwSbxAAF"
SESSION_SECONDS = 7200
DAILY_REQUESTS = 1_000_000


def error(status: int, code: str, message: str, fields: list[str] | None = None) -> Response:
    """Errors are an array, even when there is one."""
    body: dict[str, Any] = {"message": message, "errorCode": code}
    if fields is not None:
        body["fields"] = fields
    return Response(status, [body], {"Content-Type": "application/json;charset=UTF-8"})


def token(request: Request) -> Response:
    """`POST /services/oauth2/token`."""
    given = dict(parse_qsl(request.body.decode("utf-8", "replace")))
    client = (given.get("client_id", ""), given.get("client_secret", ""))
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        client = _pair(encoded)
    grant = given.get("grant_type")
    if grant not in {"client_credentials", "password"}:
        return _refused("unsupported_grant_type", "grant type not supported")
    if client[0] != CLIENT[0]:
        return _refused("invalid_client_id", "client identifier invalid")
    if not secrets.compare_digest(client[1].encode(), CLIENT[1].encode()):
        return _refused("invalid_client", "invalid client credentials")
    if grant == "password" and (given.get("username"), given.get("password")) != USER:
        return _refused("invalid_grant", "authentication failure")
    answer = {
        "access_token": session(request.store),
        "signature": base64.b64encode(secrets.token_bytes(32)).decode(),
        "scope": "api",
        "instance_url": request.base_url,
        "id": f"{request.base_url}/id/{ORG_ID}/{USER_ID}",
        "token_type": "Bearer",
        "issued_at": str(time.time_ns() // 1_000_000),
    }
    return Response(200, answer, {"Cache-Control": "no-cache, no-store"})


def _pair(encoded: str) -> tuple[str, str]:
    try:
        name, _, secret = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, secret


def _refused(code: str, description: str) -> Response:
    return Response(400, {"error": code, "error_description": description})


def session(store: Store) -> str:
    key = f"{ORG_ID[:15]}!AQEAQ{secrets.token_urlsafe(60).replace('-', '.')}"
    store.memory(SYSTEM).setdefault("sessions", {})[key] = time.time() + SESSION_SECONDS
    return key


def authenticate(request: Request) -> Response | None:
    """The refusal, or None: the caller is known."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    expires = request.store.memory(SYSTEM).get("sessions", {}).get(given.strip(), 0)
    if scheme.lower() in {"bearer", "oauth"} and expires > time.time():
        return None
    return error(401, "INVALID_SESSION_ID", "Session expired or invalid")


def revoke(store: Store) -> None:
    store.memory(SYSTEM).clear()


def count_request(store: Store) -> str:
    """The `Sforce-Limit-Info` header, this request included."""
    memory = store.memory(SYSTEM)
    memory["requests"] = memory.get("requests", 0) + 1
    return f"api-usage={memory['requests']}/{DAILY_REQUESTS}"


def soap_login(request: Request) -> Response:
    """`POST /services/Soap/u/60.0`: what older clients do with a name and a password."""
    text = request.body.decode("utf-8", "replace")
    given = [re.search(rf"<\w+:{name}>(.*?)</", text, re.DOTALL) for name in _SOAP_FIELDS]
    pair = tuple(unescape(found[1]) if found else "" for found in given)
    headers = {"Content-Type": "text/xml; charset=utf-8"}
    if pair != USER:
        return Response(500, _SOAP_FAULT, headers)
    version = request.match["version"]
    answer = _SOAP_RESULT.format(
        url=escape(f"{request.base_url}/services/Soap/u/{version}/{ORG_ID[:15]}"),
        session=escape(session(request.store)),
        user=USER_ID,
        seconds=SESSION_SECONDS,
    )
    return Response(200, answer, headers)


_SOAP_FIELDS = ("username", "password")
_SOAP_RESULT = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv='
    '"http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com"><soapenv:Body>'
    "<loginResponse><result><passwordExpired>false</passwordExpired><sandbox>false</sandbox>"
    "<serverUrl>{url}</serverUrl><sessionId>{session}</sessionId><userId>{user}</userId>"
    "<userInfo><sessionSecondsValid>{seconds}</sessionSecondsValid></userInfo>"
    "</result></loginResponse></soapenv:Body></soapenv:Envelope>"
)
_SOAP_FAULT = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv='
    '"http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com">'
    "<soapenv:Body><soapenv:Fault><faultcode>sf:INVALID_LOGIN</faultcode>"
    "<faultstring>INVALID_LOGIN: Invalid username, password, security token; or user locked out."
    "</faultstring><detail><sf:LoginFault><sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode>"
    "<sf:exceptionMessage>Invalid username, password, security token; or user locked out."
    "</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault></soapenv:Body>"
    "</soapenv:Envelope>"
)
