"""GraphQL over HTTP: one view for queries, one page for people, one text for machines."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import structlog
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from graphql import (
    ASTValidationRule,
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    execute,
    parse,
    print_schema,
    specified_rules,
    validate,
)

from hub.auth.access import admitted
from hub.graphql.limits import MAX_BODY_BYTES, MAX_TOKENS, Limits
from hub.graphql.schema import build
from hub.problems import RequestError, problem
from observability.context import current_id
from observability.errors import HubError

log = structlog.get_logger(__name__)

RULES: tuple[type[ASTValidationRule], ...] = (Limits, *specified_rules)
EXAMPLE = """query($sku: String!, $locale: String) {
  product(sku: $sku, locale: $locale) {
    sku slug name description
    category { name path { name slug } }
    variants {
      sku
      prices { currency market amount }
      stock { warehouse available }
    }
    reviews { count average }
    provenance { field system record observedAt ageSeconds stale event run }
  }
}
"""


@lru_cache(maxsize=1)
def schema() -> Any:
    """The graphql-core schema, built once a process."""
    return build().graphql_schema


@csrf_exempt
def graphql(request: HttpRequest) -> HttpResponse:
    """POST: execute. GET by a browser: GraphiQL. Sessions count for same-origin JSON only."""
    if request.method == "GET":
        return render(request, "hub/graphiql.html", {"example": EXAMPLE})
    if request.method != "POST":
        return problem(
            405, "method_not_allowed", "POST a JSON body", headers={"Allow": "GET, POST"}
        )
    try:
        return admitted(request) or _executed(*_read(request))
    except RequestError as error:
        return problem(error.http_status, error.code, error.message, parameter=error.parameter)
    except DatabaseError:
        log.exception("the database failed under a query")
        return problem(503, "unavailable", "the database does not answer; try again")


def _executed(query: str, variables: dict[str, Any] | None, operation: str | None) -> HttpResponse:
    document = _checked(query)
    if not isinstance(document, DocumentNode):
        return _answer(None, list(document), 400)
    result = execute(
        schema(),
        document,
        variable_values=variables,
        operation_name=operation,
        context_value={},
    )
    assert isinstance(result, ExecutionResult)  # noqa: S101 (no resolver is asynchronous)
    errors = result.errors or []
    if any(isinstance(e.original_error, DatabaseError) for e in errors):
        log.error("the database failed under a query", exc_info=errors[0].original_error)
        return problem(503, "unavailable", "the database does not answer; try again")
    return _answer(result.data, errors, _status(result.data, errors))


def sdl(request: HttpRequest) -> HttpResponse:
    """The schema in GraphQL's schema definition language."""
    refusal = admitted(request)
    return refusal or HttpResponse(print_schema(schema()), content_type="text/plain; charset=utf-8")


def _read(request: HttpRequest) -> tuple[str, dict[str, Any] | None, str | None]:
    if int(request.headers.get("Content-Length") or 0) > MAX_BODY_BYTES:
        raise RequestError(f"the body is larger than {MAX_BODY_BYTES} bytes", parameter="body")
    if request.content_type not in ("application/json", "application/graphql-response+json"):
        raise RequestError("send application/json", parameter="Content-Type")
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}", parameter="body") from error
    if not isinstance(body, dict):
        raise RequestError("send one operation as an object; batches are off", parameter="body")
    query, variables, operation = (body.get(k) for k in ("query", "variables", "operationName"))
    if not isinstance(query, str):
        raise RequestError("`query` must be a string", parameter="query")
    if not isinstance(variables, dict | None):
        raise RequestError("`variables` must be an object", parameter="variables")
    if not isinstance(operation, str | None):
        raise RequestError("`operationName` must be a string", parameter="operationName")
    return query, variables, operation


@lru_cache(maxsize=512)
def _checked(query: str) -> DocumentNode | tuple[GraphQLError, ...]:
    """The parsed and valid document, or what is wrong with it; remembered by its text."""
    try:
        document = parse(query, max_tokens=MAX_TOKENS)
    except GraphQLError as error:
        return (error,)
    except RecursionError:
        return (GraphQLError("the document is nested too deeply"),)
    try:
        errors = validate(schema(), document, RULES, max_errors=20)
    except RecursionError:
        return (GraphQLError("the document is nested too deeply"),)
    return tuple(errors) if errors else document


def _status(data: Any, errors: list[GraphQLError]) -> int:
    nothing = data is None or not any(value is not None for value in data.values())
    return 400 if nothing and any(_code(e) == "bad_input" for e in errors) else 200


def _code(error: GraphQLError) -> str:
    original = error.original_error
    if isinstance(original, HubError):
        return original.code
    if original is not None and not isinstance(original, GraphQLError):
        return "internal"
    return str((error.extensions or {}).get("code", "invalid_document"))


def _answer(data: Any, errors: list[GraphQLError], status: int) -> HttpResponse:
    body: dict[str, Any] = {"data": data} if status == 200 or data is not None else {}
    if errors:
        body["errors"] = [_error(error) for error in errors]
    return JsonResponse(body, status=status, json_dumps_params={"ensure_ascii": False})


def _error(error: GraphQLError) -> dict[str, Any]:
    code = _code(error)
    if code == "internal":
        log.error("a resolver broke", exc_info=error.original_error)
        formatted: dict[str, Any] = {
            "message": "internal error; the log has it by this correlation id"
        }
    else:
        formatted = {"message": error.message}
    if error.path:
        formatted["path"] = error.path
    if error.locations:
        formatted["locations"] = [loc.formatted for loc in error.locations]
    parameter = getattr(error.original_error, "parameter", "")
    extensions = {"code": code, "correlationId": current_id() or ""}
    formatted["extensions"] = {**extensions, **({"parameter": parameter} if parameter else {})}
    return formatted
