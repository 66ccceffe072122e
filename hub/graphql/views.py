"""GraphQL over HTTP: one view for queries, one page for people, one text for machines.

Requests and status codes follow the GraphQL over HTTP draft where it speaks: 200 for an operation
that ran, 400 for one that could not, and every error with `extensions.code`.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute,
    located_error,
    print_schema,
)

from hub import degraded, negotiation, past, use_limits
from hub.auth.access import reader_of, wishes_of
from hub.auth.rights import INTROSPECT, Needs, Rights
from hub.bodies import body_of
from hub.graphql.answers import answer
from hub.graphql.documents import REMEMBERED_CHARACTERS, checked, chosen, schema
from hub.graphql.limits import MAX_BODY_BYTES
from hub.graphql.mutations import WRITER, Writer
from hub.negotiation import Wishes
from hub.problems import (
    DATABASE_AWAY,
    BadInputError,
    ForbiddenError,
    RequestError,
    TooManyRequestsError,
    problem,
    problem_of,
    unavailable,
)
from hub.reads import needs, persisted
from hub.reads.answer import answered
from hub.reads.execute import on_django
from hub.reads.front import LEFT, members_of_query
from hub.rest import idempotency
from hub.usage import noted
from hub.usage.uses import Uses, filters_in, of_document

log = structlog.get_logger(__name__)

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
JSON_TYPES = ("application/json", "application/graphql-response+json")
#: Errors of a request that GraphQL says in its own form.
AT_RUN_TIME = (
    ForbiddenError, TooManyRequestsError, past.UnknownThenError, past.TooMuchPastError,
)  # fmt: skip
MOST_USES = 512
_known_uses: dict[tuple[str, str], Uses] = {}


# A foreign page cannot send JSON without being asked first (CORS); none that may sends cookies.
@csrf_exempt
def graphql(request: HttpRequest) -> HttpResponse:
    """POST, or GET of a persisted document: execute. GET: GraphiQL, for a browser."""
    asked_by_get = members_of_query(request.META.get("QUERY_STRING", ""))
    if request.method in ("GET", "HEAD") and asked_by_get is None:
        return render(request, "hub/graphiql.html", {"example": EXAMPLE})
    if request.method not in ("GET", "HEAD", "POST"):
        allowed = {"Allow": "GET, HEAD, POST"}
        return problem(405, "method_not_allowed", "POST a JSON body", headers=allowed)
    try:
        return _run(request, asked_by_get)
    except (GraphQLError, RequestError) as error:
        return _refusal(error)
    except DATABASE_AWAY:
        log.exception("the database failed under a query")
        return unavailable()


def _run(request: HttpRequest, asked_by_get: dict[str, Any] | None) -> HttpResponse:
    reader, wishes = reader_of(request), wishes_of(request)
    body = _body(request) if request.method == "POST" else asked_by_get
    # People in the admin, who have no key, may try things out.
    trusted_only = settings.HEADWATER_TRUSTED_ONLY and not reader.person
    text, variables, name = _read(body, trusted_only=trusted_only)
    # What `hub.reads.front` could not answer needs no second attempt.
    left, use = LEFT in request.META, request.headers.get(use_limits.HEADER)
    use_limits.use_of(use)
    if past.PARAMETER in request.GET:
        return _run_past(request, text, variables, name)
    asked = (text, variables, name)
    who: dict[str, Any] = {"rights": reader.rights, "wishes": wishes, "use": use}
    compiled = None if left else answered(*asked, on_django, **who)
    if request.method == "POST":
        who["writer"] = Writer(reader.holder, request.headers.get(idempotency.HEADER, ""))
    if isinstance(compiled, bytes):
        headers = degraded.headers_of(compiled)
        compiled = HttpResponse(compiled, content_type="application/json", headers=headers)
    response = compiled or executed(*asked, **who)
    patch_vary_headers(response, negotiation.VARY)
    return response


def _run_past(
    request: HttpRequest, text: str, variables: dict[str, Any], name: str | None
) -> HttpResponse:
    """The same as of an earlier moment: by the reference executor, from the views of the past."""
    if use_limits.HEADER in request.headers:
        raise BadInputError(
            f"an answer of the past has no age: send no {use_limits.HEADER} with it",
            parameter=use_limits.HEADER,
        )
    moment = past.moment_of(request.GET[past.PARAMETER])
    rights, wishes = reader_of(request).rights, wishes_of(request)
    response = executed(text, variables, name, rights=rights, wishes=wishes, moment=moment)
    for header, value in past.headers(moment).items():
        response[header] = value
    patch_vary_headers(response, negotiation.VARY)
    return response


def _refusal(error: GraphQLError | RequestError) -> HttpResponse:
    """What a client of GraphQL meets at run time comes in GraphQL's own form."""
    if isinstance(error, GraphQLError):
        return answer(None, [error])
    if not isinstance(error, AT_RUN_TIME):
        return problem_of(error)
    return answer(None, [GraphQLError(error.message, original_error=error)])


def executed(
    text: str,
    variables: dict[str, Any],
    name: str | None,
    *,
    rights: Rights,
    wishes: Wishes,
    use: str | None = None,
    moment: datetime | None = None,
    writer: Writer | None = None,
) -> HttpResponse:
    """The answer of Graphene's executor: the reference, and for all that is not compiled.

    Raises ForbiddenError for a document that takes more than these rights. As of a moment it also
    raises BadInputError for what history cannot tell, and what `hub.past.reading` raises.
    """
    document = checked(text)
    if isinstance(document, tuple):
        return answer(None, document)
    operation = chosen(document, name, variables)
    if isinstance(operation, GraphQLError):
        return answer(None, [operation])
    fragments = {
        d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)
    }
    needed = needs.of_operation(schema(), operation, fragments)
    if moment is not None:
        if operation.operation is not OperationType.QUERY:
            raise BadInputError("the past can be read alone", parameter=past.PARAMETER)
        past.must_not_trace(needed, "query")
        needed = past.of_past(needed)
    rights.must_cover(needed)
    reads = _uses(text, document, operation, variables)
    noted.uses(reads)
    wanted, watching = use_limits.use_of(use), use_limits.Noted()
    context = {"visibility": rights.visibility, "wishes": wishes, WRITER: writer}
    with past.reading(moment):
        result = execute(
            schema(), document, variable_values=variables, operation_name=name,
            context_value=context, middleware=[watching] if wanted else None,
        )  # fmt: skip
        if moment is not None and isinstance(result, ExecutionResult):
            past.must_be_known(error.original_error for error in result.errors or ())
    if not isinstance(result, ExecutionResult):
        raise TypeError("a resolver is asynchronous")
    try:
        if wanted:
            wanted.check(watching.values)
    except use_limits.TooOldError as error:
        return answer(None, [located_error(error, None)])
    outages = degraded.affecting(reads.fields) if moment is None else ()
    return answer(result.data, result.errors or (), outages)


def _uses(
    text: str, document: DocumentNode, operation: OperationDefinitionNode, variables: dict[str, Any]
) -> Uses:
    """What the document reads, and the filters in its variables."""
    name = operation.name.value if operation.name else ""
    uses = _known_uses.get((text, name))
    if uses is None:
        uses = of_document(document, operation)
        if len(text) <= REMEMBERED_CHARACTERS:
            if len(_known_uses) >= MOST_USES:
                _known_uses.clear()
            _known_uses[text, name] = uses
    for cls, filters in filters_in(operation, variables):
        uses = uses.filtered(cls, filters)
    return uses


def sdl(request: HttpRequest) -> HttpResponse:
    """The schema in GraphQL's schema definition language; no secret, unless introspection is off."""
    if not settings.HEADWATER_INTROSPECTION:
        try:
            reader_of(request).rights.must_cover(Needs((INTROSPECT,)))
        except RequestError as error:
            return problem_of(error)
    return HttpResponse(print_schema(schema()), content_type="text/plain; charset=utf-8")


def _body(request: HttpRequest) -> Any:
    """The JSON that was sent. Raises RequestError."""
    raw = body_of(request, MAX_BODY_BYTES, JSON_TYPES)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}", parameter="body") from error


def _read(body: Any, *, trusted_only: bool) -> tuple[str, dict[str, Any], str | None]:
    """Document, variables and operation name of a request. Raises RequestError, GraphQLError."""
    if isinstance(body, list):
        raise BatchError("send one operation as an object; batches are off", parameter="body")
    if not isinstance(body, dict):
        raise RequestError("send an object with a `query`", parameter="body")
    text = persisted.text_of(body, trusted_only=trusted_only)
    variables, name = (body.get(k) for k in ("variables", "operationName"))
    if text is None:
        raise RequestError("`query` must be a string", parameter="query")
    if not isinstance(variables, dict | None):
        raise RequestError("`variables` must be an object", parameter="variables")
    if not isinstance(name, str | None):
        raise RequestError("`operationName` must be a string", parameter="operationName")
    return text, variables or {}, name


class BatchError(RequestError):
    """Several operations in one request."""

    code = "batch_not_supported"
