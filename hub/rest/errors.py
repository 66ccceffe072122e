"""Every error of the REST API as problem details."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from rest_framework.exceptions import APIException

from hub.problems import DATABASE_AWAY, RequestError, problem, problem_of, unavailable
from observability import context

log = structlog.get_logger(__name__)

INTERNAL = "internal error; the log has it by this correlation id"
OURS = ("/api/", "/graphql")


def handler(error: Exception, _context: dict[str, Any]) -> HttpResponse:
    """REST framework's exception handler."""
    if isinstance(error, RequestError):
        return problem_of(error)
    if isinstance(error, Http404):
        return problem(404, "not_found", "there is nothing at this address")
    if isinstance(error, SuspiciousOperation):
        return problem(400, "bad_request", str(error))
    if isinstance(error, APIException):
        challenge = getattr(error, "auth_header", None)
        headers = {"WWW-Authenticate": challenge} if challenge else {}
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return problem(error.status_code, code, str(error.detail), headers=headers)
    if isinstance(error, DATABASE_AWAY):
        log.error("the database failed under a request", exc_info=error)
        return unavailable()
    log.error("a request broke", exc_info=error)
    return problem(500, "internal", INTERNAL)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404 of the whole site: a problem under the APIs, a page elsewhere."""
    del exception
    if request.path.startswith(OURS):
        told = f"there is nothing at {request.path}; /api/v1/openapi.json lists every address"
        return problem(404, "not_found", told)
    return render(request, "hub/not_found.html", status=404)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """400 of the whole site: what Django refuses before a view sees it."""
    return problem(400, "bad_request", "the request is malformed, or its host is not one of ours")


def server_error(request: HttpRequest) -> HttpResponse:
    """500 of the whole site."""
    if request.path.startswith(OURS):
        return problem(500, "internal", INTERNAL)
    told = {"correlation_id": context.current_id() or "of the answer's header"}
    return HttpResponse(render_to_string("hub/broken.html", told), status=500)
