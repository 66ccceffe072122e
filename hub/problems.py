"""Problem details (RFC 9457): the one form of every error of the API, and its codes."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import JsonResponse

from observability.context import current_id
from observability.errors import HubError

NO_KEY = "send an API key or a token: `Authorization: Bearer …`, or `X-API-Key: hw_…`"


#: What a database that is away raises: refused, ended or broken connections.
DATABASE_AWAY = (OperationalError, InterfaceError)
CONTENT_TYPE = "application/problem+json"
UNAVAILABLE = "the database does not answer; try again"


class RequestError(HubError):
    """Something about the request; `parameter` names what, the message the remedy."""

    code = "request"
    http_status = 400

    def __init__(
        self, message: str, *, parameter: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.parameter = parameter
        self._headers = headers or {}
        #: What machines want to know beyond that: further members of the problem.
        self.members: dict[str, Any] = {}

    @property
    def headers(self) -> dict[str, str]:
        """Those that the answer carries; `Retry-After` among them, where it is known."""
        again = {"Retry-After": f"{self.retry_after:.0f}"} if self.retry_after else {}
        return {**self._headers, **again}


class BadInputError(RequestError):
    """A parameter that cannot be understood."""

    code = "bad_input"


class NotFoundError(RequestError):
    """Nothing has this key."""

    code = "not_found"
    http_status = 404


class UnauthorizedError(RequestError):
    """No valid API key or token came with the request."""

    code = "unauthorized"
    http_status = 401


class ForbiddenError(RequestError):
    """Who asks is known, and may not have this."""

    code = "forbidden"
    http_status = 403


class TooManyRequestsError(RequestError):
    """The key's rate limit is spent; `Retry-After` says for how long."""

    code = "rate_limited"
    http_status = 429


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    parameter: str = "",
    headers: dict[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> JsonResponse:
    """A response of type application/problem+json; `members` are extensions of the problem's type."""
    body = problem_body(status, code, detail, current_id() or "", members)
    if parameter:
        body.setdefault("errors", [{"parameter": parameter, "detail": detail}])
    return JsonResponse(body, status=status, headers=headers, content_type=CONTENT_TYPE)


def problem_body(
    status: int, code: str, detail: str, correlation_id: str, members: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The document itself."""
    return {
        "type": f"urn:headwater:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "correlation_id": correlation_id,
        **(members or {}),
    }


def problem_of(error: RequestError) -> JsonResponse:
    """The response to a request that something is wrong with."""
    return problem(
        error.http_status,
        error.code,
        error.message,
        parameter=error.parameter,
        headers=error.headers,
        members=error.members,
    )


def unavailable() -> JsonResponse:
    """The database is away: 503, and when to come back."""
    return problem(503, "unavailable", UNAVAILABLE, headers={"Retry-After": "5"})
