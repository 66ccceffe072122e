"""What goes back: data, and errors with a stable code and nothing internal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from django.http import HttpResponse
from graphene.utils.str_converters import to_camel_case
from graphql import GraphQLError

from hub import degraded
from hub.problems import DATABASE_AWAY, UNAVAILABLE
from observability.context import current_id
from observability.degradation import Outage
from observability.errors import HubError

log = structlog.get_logger(__name__)

AWAY, INTERNAL = "unavailable", "internal"
HIDDEN = {
    AWAY: UNAVAILABLE,
    INTERNAL: "internal error; the log has it by this correlation id",
}
#: Codes that decide the status where nothing could be answered at all.
STATUS = {
    AWAY: 503,
    INTERNAL: 500,
    "not_found": 200,
    "too_old": 503,
    # as Apollo's clients expect: they send the text at once
    "PERSISTED_QUERY_NOT_FOUND": 200,
    "untrusted_document": 403,
    "forbidden": 403,
    "rate_limited": 429,
}


def answer(
    data: Any, errors: Iterable[GraphQLError], outages: Sequence[Outage] = ()
) -> HttpResponse:
    """The response to an operation. Without a path an error stopped it before it began.

    `outages` are those that it suffers from.
    """
    errors = list(errors)
    formatted = [_error(error) for error in errors]
    began = data is not None or any("path" in error for error in formatted)
    status = 200
    if not any((data or {}).values()) and formatted:
        codes = [error["extensions"]["code"] for error in formatted]
        status = max(STATUS.get(code, 400) for code in codes)
    body: dict[str, Any] = {"data": data} if began else {}
    if formatted:
        body["errors"] = formatted
    headers = {"Retry-After": "5"} if status == 503 else {}
    for error in errors:
        headers |= getattr(error.original_error, "headers", {})
    if outages:
        body["extensions"] = degraded.extensions(outages)
        headers[degraded.HEADER] = degraded.header(outages)
    # Escaped, because half of a surrogate pair may stand in a message and has no UTF-8 form.
    text = json.dumps(body, ensure_ascii=bool(formatted), separators=(",", ":"))
    return HttpResponse(text, status=status, headers=headers, content_type="application/json")


def _error(error: GraphQLError) -> dict[str, Any]:
    code = _code(error)
    formatted: dict[str, Any] = {"message": HIDDEN.get(code, error.message)}
    if code in HIDDEN:
        log.error("a resolver broke", exc_info=error.original_error)
    if error.path:
        formatted["path"] = error.path
    if error.locations:
        formatted["locations"] = [location.formatted for location in error.locations]
    formatted["extensions"] = {"code": code, "correlationId": current_id() or ""}
    if parameter := getattr(error.original_error, "parameter", ""):
        formatted["extensions"]["parameter"] = parameter
    for name, value in getattr(error.original_error, "members", {}).items():
        formatted["extensions"][to_camel_case(name)] = value
    return formatted


def _code(error: GraphQLError) -> str:
    original = error.original_error
    if isinstance(original, HubError):
        return original.code
    if isinstance(original, DATABASE_AWAY):
        return AWAY
    if original is not None and not isinstance(original, GraphQLError):
        # A value that a scalar refuses: the sender's own, where it came in a variable.
        return INTERNAL if error.path else "bad_input"
    return str((error.extensions or {}).get("code", "invalid_document"))
