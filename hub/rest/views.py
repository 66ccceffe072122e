"""The REST views of every entity: list, record, explanation, history."""

from __future__ import annotations

from typing import Any

from django.db.models import prefetch_related_objects
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from catalog.entities import Entity
from catalog.history import timeline
from hub import listing, locales, tracing
from hub.problems import BadInputError, NotFoundError
from hub.rest.represent import PARTS_DEPTH, needed, represent, serializer

INCLUDES = ("provenance", "parts")
LOCALE = OpenApiParameter("locale", str, description="`de_DE`, `de-DE` or `de`.")
INCLUDE = OpenApiParameter(
    "include", str, description="Comma-separated: provenance; on lists also parts."
)


class ProblemSerializer(serializers.Serializer[Any]):
    """Problem details (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    correlation_id = serializers.CharField(allow_blank=True)
    errors = serializers.ListField(  # type: ignore[assignment]  # hides a property nobody reads
        child=serializers.DictField(), required=False
    )


PROBLEM = {
    (status, "application/problem+json"): ProblemSerializer for status in (400, 401, 404, 503)
}
REVISION = inline_serializer(
    "Revision",
    {
        "kind": serializers.CharField(),
        "at": serializers.DateTimeField(),
        "changes": serializers.DictField(child=serializers.ListField()),
        "run": serializers.IntegerField(allow_null=True),
        "event": serializers.IntegerField(allow_null=True),
        "correlation_id": serializers.CharField(allow_blank=True),
    },
    many=True,
)


class CandidateSerializer(serializers.Serializer[Any]):
    """What one system says about a field."""

    system = serializers.CharField()
    stream = serializers.CharField()
    record = serializers.CharField()
    raw = serializers.ListField(child=serializers.DictField())
    value = serializers.JSONField()
    observed_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField(allow_null=True)
    age_seconds = serializers.FloatField()
    stale = serializers.BooleanField()
    event = serializers.IntegerField(allow_null=True)
    run = serializers.IntegerField(allow_null=True)
    correlation_id = serializers.CharField(allow_blank=True)
    allowed = serializers.BooleanField(help_text="Whether the rule lets the system supply it.")
    differs = serializers.BooleanField(help_text="Whether it says something else than the winner.")


# inline, because a serializer's own attribute is called `field`
EXPLANATION = inline_serializer(
    "Explanation",
    {
        "entity": serializers.CharField(),
        "key": serializers.CharField(),
        "field": serializers.CharField(),
        "value": serializers.JSONField(allow_null=True),
        "rule": serializers.DictField(allow_null=True),
        "winner": CandidateSerializer(allow_null=True),
        "losing": CandidateSerializer(many=True),
    },
)


def _row(cls: type[Entity], key: str) -> Any:
    row = None
    if "\x00" not in key:
        row = cls._default_manager.filter(pk=key, deleted_at__isnull=True).first()
    if row is None:
        name, called = cls.declaration.name, cls.declaration.key
        raise NotFoundError(f"no {name} with {called} {key!r}", parameter=called)
    return row


def _included(request: Request) -> set[str]:
    wished = set(filter(None, request.query_params.get("include", "").split(",")))
    if unknown := wished - set(INCLUDES):
        raise BadInputError(
            f"cannot include {', '.join(sorted(unknown))}; known are {', '.join(INCLUDES)}",
            parameter="include",
        )
    return wished


def _refuse_unknown(request: Request, known: set[str]) -> None:
    for name in request.query_params:
        if name not in known:
            raise BadInputError(
                f"unknown parameter {name!r}; known are {', '.join(sorted(known))}", parameter=name
            )


def list_view(cls: type[Entity]) -> Any:
    """The view of an entity's list."""
    declared, names = cls.declaration, listing.filters_of(cls)
    answer = inline_serializer(
        f"{declared.plural.title().replace('_', '')}Page",
        {
            "items": serializer(cls, 0)(many=True),
            "next": serializers.CharField(allow_null=True, help_text="Cursor of the next page."),
        },
    )

    class EntityList(APIView):
        """One page of records in order of key."""

        @extend_schema(
            operation_id=f"list_{declared.plural}",
            tags=[declared.plural],
            parameters=[
                OpenApiParameter("limit", int, description=f"1 to {listing.LARGEST}."),
                OpenApiParameter("cursor", str, description="`next` of the page before."),
                LOCALE,
                INCLUDE,
                *(OpenApiParameter(name, str) for name in names),
            ],
            responses={200: answer, **PROBLEM},
        )
        def get(self, request: Request) -> Response:
            query = request.query_params
            _refuse_unknown(request, {"limit", "cursor", "locale", "include", *names})
            order, include = locales.chain(query.get("locale")), _included(request)
            filters = {name: query[name] for name in names if name in query}
            page = listing.listed(cls, _number(query.get("limit")), query.get("cursor"), filters)
            parts = PARTS_DEPTH if include else 0
            if page.rows:
                prefetch_related_objects(page.rows, *needed(cls, parts))
            items = [
                represent(
                    row,
                    order,
                    parts=parts if "parts" in include else 0,
                    trace="provenance" in include,
                )
                for row in page.rows
            ]
            return Response({"items": items, "next": page.next})

    return EntityList.as_view()


def record_view(cls: type[Entity]) -> Any:
    """The view of one record with its parts."""
    declared = cls.declaration

    class EntityRecord(APIView):
        """One record with its parts."""

        @extend_schema(
            operation_id=f"get_{declared.name}",
            tags=[declared.plural],
            parameters=[_key(cls), LOCALE, INCLUDE],
            responses={200: serializer(cls, PARTS_DEPTH), **PROBLEM},
        )
        def get(self, request: Request, key: str) -> Response:
            _refuse_unknown(request, {"locale", "include"})
            order = locales.chain(request.query_params.get("locale"))
            include, row = _included(request), _row(cls, key)
            prefetch_related_objects([row], *needed(cls, PARTS_DEPTH))
            return Response(represent(row, order, parts=PARTS_DEPTH, trace="provenance" in include))

    return EntityRecord.as_view()


def explain_view(cls: type[Entity]) -> Any:
    """The view that says why a field has its value."""
    declared = cls.declaration

    class EntityExplanation(APIView):
        """System, record, raw and mapped value, event, run, time, owner rule, losing candidates."""

        @extend_schema(
            operation_id=f"explain_{declared.name}",
            tags=[declared.plural],
            parameters=[
                _key(cls),
                OpenApiParameter("field", str, "path", description="A path as in provenance."),
            ],
            responses={200: EXPLANATION, **PROBLEM},
        )
        def get(self, request: Request, key: str, field: str) -> Response:
            _refuse_unknown(request, set())
            return Response(tracing.explained(_row(cls, key), field))

    return EntityExplanation.as_view()


def history_view(cls: type[Entity]) -> Any:
    """The view of a record's revisions."""
    declared = cls.declaration

    class EntityHistory(APIView):
        """Which fields changed, from what to what, newest first."""

        @extend_schema(
            operation_id=f"history_of_{declared.name}",
            tags=[declared.plural],
            parameters=[_key(cls)],
            responses={200: REVISION, **PROBLEM},
        )
        def get(self, request: Request, key: str) -> Response:
            _refuse_unknown(request, set())
            return Response(
                [
                    {
                        "kind": r.kind,
                        "at": r.at,
                        "changes": r.changes,
                        "run": r.run_id,
                        "event": r.event_id,
                        "correlation_id": r.correlation_id,
                    }
                    for r in timeline(_row(cls, key))
                ]
            )

    return EntityHistory.as_view()


def _key(cls: type[Entity]) -> OpenApiParameter:
    return OpenApiParameter("key", str, "path", description=f"`{cls.declaration.key}`")


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadInputError(f"limit must be from 1 to {listing.LARGEST}", parameter="limit")
    return int(text)
