"""The REST views of every entity: list, record, explanation, history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from catalog.entities import Entity, entities
from catalog.history import timeline
from hub import degraded, listing, negotiation, past, tracing, use_limits
from hub.problems import NotFoundError
from hub.reads import needs
from hub.rest import answers, components, parameters
from hub.rest.access import rights
from hub.rest.examples import example
from hub.rest.represent import Wanted, represented
from hub.usage import noted
from hub.usage.uses import Uses, of_rest
from hub.versions import etag, version_of

FIELD = OpenApiParameter("field", str, "path", description="A path as in provenance.")


class Index(APIView):
    """Where everything is."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """The address of every list, and of the description."""
        names = [cls.declaration.plural for cls in entities().values()]
        found = {name: reverse(f"rest-{name}", request=request) for name in names}
        return Response({"openapi": reverse("openapi", request=request), **found})


def list_view(cls: type[Entity]) -> type[APIView]:
    """The view of an entity's list."""
    declared, known = cls.declaration, parameters.of_list(cls)
    filters = listing.filters_of(cls)
    shown = OpenApiExample(
        f"{declared.plural} page", value=example(components.page(cls)), response_only=True
    )

    class EntityList(APIView):
        @extend_schema(
            operation_id=f"list_{declared.plural}",
            description=f"One page of {declared.plural.replace('_', ' ')}, in order of key.",
            tags=[declared.plural],
            parameters=known,
            responses={200: components.page(cls), **answers.problems(400, 401, 403, 429, 503)},
            examples=[shown],
        )
        def get(self, request: Request) -> Response:
            parameters.refuse_unknown(request, known)
            query, wanted = request.query_params, parameters.wanted(request, cls)
            asked = {name: query[name] for name in filters if name in query}
            reads = _uses(cls, wanted, asked, many=True)
            limit, after = parameters.limit(request), query.get("cursor")
            moment = past.moment_of(query.get(past.PARAMETER))
            with past.reading(moment):
                page = listing.listed(cls, limit, after, asked, wanted.visibility)
                items = represented(cls, page.rows, wanted)
            found = {"items": items, "next": page.next}
            return _served(request, page.rows, wanted, reads, found, moment=moment)

    return EntityList


def record_view(cls: type[Entity]) -> type[APIView]:
    """The view of one record with its parts."""
    declared, known = cls.declaration, parameters.of_record(cls)
    shown = OpenApiExample(declared.name, value=example(components.record(cls)), response_only=True)

    class EntityRecord(APIView):
        @extend_schema(
            operation_id=f"get_{declared.name}",
            description=(cls.__doc__ or "").strip(),
            tags=[declared.plural],
            parameters=known,
            responses={
                200: components.record(cls),
                **answers.problems(400, 401, 403, 404, 429, 503),
            },
            examples=[shown],
        )
        def get(self, request: Request, **at: str) -> Response:
            parameters.refuse_unknown(request, known)
            wanted = parameters.wanted(request, cls, parts=True)
            moment = past.moment_of(request.query_params.get(past.PARAMETER))
            try:
                with past.reading(moment):
                    row = listing.found(cls, at[declared.key])
                    shown = represented(cls, [row], wanted)[0]
            except NotFoundError as error:
                raise past.not_found(error, cls, at[declared.key], moment) from None
            reads = _uses(cls, wanted, {}, many=False)
            answer = _served(request, [row], wanted, reads, shown, moment=moment)
            if moment is None:  # what was is no version that a write could name
                answer.add_post_render_callback(lambda made: _tagged(made, version_of(row)))
            return answer

    return EntityRecord


def _served(
    request: Request,
    rows: Sequence[Entity],
    wanted: Wanted,
    reads: Uses,
    shown: Any,
    *,
    moment: datetime | None,
) -> Response:
    """The answer, marked where a system is down. Raises TooOldError, as the declared use wants."""
    use = use_limits.use_of(request.headers.get(use_limits.HEADER))
    if use is not None:
        sees, parts = wanted.visibility.sees, wanted.parts
        use.check(v for row in rows for v in use_limits.values_of(row, sees, parts=parts))
    noted.uses(reads)
    negotiated = {
        "Content-Language": negotiation.content_language(tuple(wanted.locales)),
        "Vary": ", ".join(negotiation.VARY),
    }
    # what was known then does not suffer from an outage of now
    about = degraded.headers(reads.fields) if moment is None else past.headers(moment)
    return Response(shown, headers=negotiated | about)


def _tagged(made: Response, version: str) -> None:
    made["ETag"] = etag(made.content, version)


def explain_view(cls: type[Entity]) -> Any:
    """The view that says why a field has its value."""
    declared = cls.declaration

    class EntityExplanation(APIView):
        @extend_schema(
            operation_id=f"explain_{declared.name}",
            description="Why a field has its value: system, record, raw and mapped value, event, "
            "run, time, owner rule, and what the other systems say.",
            tags=[declared.plural],
            parameters=[parameters.key(cls), FIELD],
            responses={200: answers.EXPLANATION, **answers.problems(400, 401, 403, 404, 429, 503)},
        )
        def get(self, request: Request, field: str, **at: str) -> Response:
            parameters.refuse_unknown(request, [])
            granted = rights(request)
            granted.must_cover(needs.of_lineage(cls))
            row = listing.found(cls, at[declared.key])
            told = tracing.explained(row, field, granted.visibility)
            reads = [(declared.name, "explain")]
            return Response(told, headers=degraded.headers(reads))

    return EntityExplanation.as_view()


def history_view(cls: type[Entity]) -> Any:
    """The view of a record's revisions."""
    declared = cls.declaration

    class EntityHistory(APIView):
        @extend_schema(
            operation_id=f"history_of_{declared.name}",
            description="Which fields changed, from what to what, through which run; the newest "
            "two hundred changes, newest first.",
            tags=[declared.plural],
            parameters=[parameters.key(cls)],
            responses={200: answers.REVISION, **answers.problems(400, 401, 403, 404, 429, 503)},
        )
        def get(self, request: Request, **at: str) -> Response:
            parameters.refuse_unknown(request, [])
            granted = rights(request)
            granted.must_cover(needs.of_history(cls))
            sees = granted.visibility.sees
            return Response(
                [
                    {
                        "kind": revision.kind,
                        "at": revision.at,
                        "changes": changes,
                        "run": revision.run_id,
                        "event": revision.event_id,
                        "correlation_id": revision.correlation_id,
                    }
                    for revision in timeline(listing.found(cls, at[declared.key]))
                    # one that touched only what the reader may not see did not happen to them
                    if (changes := {n: c for n, c in revision.changes.items() if sees(cls, n)})
                    or not revision.changes
                ]
            )

    return EntityHistory.as_view()


def _uses(cls: type[Entity], wanted: Wanted, asked: Mapping[str, str], *, many: bool) -> Uses:
    return of_rest(
        cls, many=many, parts=wanted.parts, provenance=wanted.provenance,
        filters=tuple(asked), fields=wanted.fields,
    )  # fmt: skip
