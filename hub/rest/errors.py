"""Every error of the REST API as problem details."""

from __future__ import annotations

from typing import Any

import structlog
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework.exceptions import APIException
from rest_framework.response import Response

from hub.problems import RequestError, problem

log = structlog.get_logger(__name__)


def handler(error: Exception, _context: dict[str, Any]) -> Response | HttpResponse | None:
    """REST framework's exception handler."""
    if isinstance(error, RequestError):
        return problem(error.http_status, error.code, error.message, parameter=error.parameter)
    if isinstance(error, Http404):
        return problem(404, "not_found", "there is nothing at this address")
    if isinstance(error, APIException):
        headers = {}
        if challenge := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = challenge
        code = str(error.get_codes()) if isinstance(error.detail, str) else "request"
        return problem(error.status_code, code, str(error.detail), headers=headers)
    if isinstance(error, DatabaseError):
        log.error("the database failed under a request", exc_info=error)
        return problem(503, "unavailable", "the database does not answer; try again")
    log.error("a request broke", exc_info=error)
    return problem(500, "internal", "internal error; the log has it by this correlation id")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 (Django's)
    """404 of the whole site: a problem under /api/, a page elsewhere."""
    if request.path.startswith("/api/"):
        return problem(404, "not_found", f"there is nothing at {request.path}")
    return render(request, "hub/not_found.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 of the whole site."""
    if request.path.startswith(("/api/", "/graphql")):
        return problem(500, "internal", "internal error; the log has it by this correlation id")
    return HttpResponse("Internal error; the log has it by the correlation id.", status=500)
