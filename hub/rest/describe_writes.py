"""How OpenAPI describes writes: from the operations' own models (pydantic), and what all have in common."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers

from connectors.commands.declare import Operation, offered
from hub.rest import answers, idempotency
from hub.rest.preconditions import HEADER, Target
from hub.rest.schemas import name_of, reference, schemas_of

TAG = "writes"
ACCEPTED = inline_serializer(
    "AcceptedCommand",
    {
        "command": serializers.CharField(help_text="Its reference."),
        "links": inline_serializer("CommandLink", {"command": serializers.CharField()}),
    },
)
STEP = inline_serializer(
    "CommandTrace",
    {
        "name": serializers.CharField(),
        "kind": serializers.CharField(help_text="check, write, decide or undo."),
        "state": serializers.CharField(
            help_text="running, done, skipped, refused, failed, undone."
        ),
        "system": serializers.CharField(allow_null=True),
        "record": serializers.CharField(allow_null=True, help_text="Its key in that system."),
        "started_at": serializers.DateTimeField(allow_null=True),
        "sent_at": serializers.DateTimeField(allow_null=True),
        "finished_at": serializers.DateTimeField(allow_null=True),
        "read_back_at": serializers.DateTimeField(allow_null=True),
        "attempts": serializers.IntegerField(),
        "error_code": serializers.CharField(allow_null=True),
        "error": serializers.CharField(
            allow_null=True, help_text="For holders of the scope `commands`."
        ),
    },
    many=True,
)
COMMAND = inline_serializer(
    "Command",
    {
        "reference": serializers.CharField(),
        "operation": serializers.CharField(),
        "title": serializers.CharField(),
        "state": serializers.CharField(
            help_text="accepted, sent, acknowledged (its answer is fixed) and confirmed (read back "
            "from its owners); or refused, or failed."
        ),
        "accepted_at": serializers.DateTimeField(),
        "sent_at": serializers.DateTimeField(allow_null=True),
        "acknowledged_at": serializers.DateTimeField(allow_null=True),
        "confirmed_at": serializers.DateTimeField(allow_null=True),
        "finished_at": serializers.DateTimeField(allow_null=True),
        "deadline_at": serializers.DateTimeField(),
        "attempts": serializers.IntegerField(),
        "next_attempt_at": serializers.DateTimeField(allow_null=True),
        "waits_for": serializers.CharField(
            allow_null=True, help_text="The system whose trouble it waits out."
        ),
        "status": serializers.IntegerField(
            allow_null=True, help_text="HTTP status of its answer, once that is fixed."
        ),
        "result": serializers.JSONField(allow_null=True, help_text="What its caller is given."),
        "problem": serializers.JSONField(
            allow_null=True, help_text="Why it did not come about: a problem document."
        ),
        "correlation_id": serializers.CharField(allow_blank=True),
        "steps": STEP,
        "links": inline_serializer("CommandLinks", {"self": serializers.CharField()}),
    },
)
#: Where a 202 leads, for tools that read it (OpenAPI 3.0.3, Link Object).
FOLLOWED = {
    "command": {
        "operationId": "get_command",
        "parameters": {"reference": "$response.body#/command"},
    }
}
IF_MATCH = "The `ETag` that `GET` of the record answered, whatever of it was asked for."
#: What each write may be answered besides: status, code, when.
PROBLEMS = (
    (400, "bad_input", "A body that cannot be understood; `errors` names each member."),
    (400, "idempotency_key_missing", "No `Idempotency-Key`, or `idempotency_key_invalid`."),
    (401, "unauthorized", "No valid API key or token."),
    (403, "forbidden", "The key lacks a scope; `detail` names it."),
    (404, "not_found", "There is no such record."),
    (409, "idempotency_key_in_flight", "The first request with this key is being worked on."),
    (412, "precondition_failed", "The record has changed since it was read."),
    (413, "too_large", "The body is over 64 KiB."),
    (415, "unsupported_media_type", "Something else than JSON."),
    (422, "idempotency_key_reused", "The key came with another body before."),
    (422, "refused", "A definite no, with a code of its own; nothing is left behind."),
    (428, "precondition_required", "`If-Match` is missing."),
    (429, "rate_limited", "The key's rate limit is spent; `Retry-After` says for how long."),
    (500, "internal", "What was begun could not be finished or taken back; a person looks at it."),
    (502, "upstream.permanent", "A system failed for good; what was done before was taken back."),
    (503, "upstream.circuit_open", "A system is down, and nothing was begun; or the database is."),
)


def described_write(operation: Operation, target: Target | None) -> Any:
    """The decorator that says what an operation takes and answers."""
    example = operation.params.model_json_schema().get("examples", [None])[0]
    shown = [OpenApiExample(operation.title, value=example, request_only=True)] if example else []
    location = OpenApiParameter(
        "Location", str, OpenApiParameter.HEADER, response=[202], description="Follow it there."
    )
    return extend_schema(
        operation_id=operation.slug.replace(".", "_"),
        summary=operation.title,
        description=operation.description,
        tags=[TAG],
        parameters=[
            idempotency.PARAMETER, *_if_match(target), *_members(operation), location,
        ],
        request={"application/json": reference(name_of(operation, "Request"))}
        if _body(operation)
        else None,
        responses={
            (operation.status, "application/json"): OpenApiResponse(
                reference(name_of(operation, "Answer")), description="Done."
            ),
            (202, "application/json"): OpenApiResponse(
                ACCEPTED,
                description="Accepted, and not done yet: the deadline came, or a system is away.",
            ),
            **_problems(),
        },
        examples=shown,
    )  # fmt: skip


def described_command(method: Any) -> Any:
    """The decorator of the address where commands are followed."""
    key = OpenApiParameter("reference", str, "path", description="`cmd_…`")
    return extend_schema(
        operation_id="get_command",
        tags=[TAG],
        parameters=[key],
        responses={200: COMMAND, **answers.problems(400, 401, 404, 429, 503)},
    )(method)


def components() -> dict[str, Any]:
    """The schemas of every operation's request and answer, by name."""
    found: dict[str, Any] = {}
    for operation in offered():
        found |= schemas_of(operation.result_model, name_of(operation, "Answer"), "serialization")
        if _body(operation):
            members = {m for m in operation.params.model_fields if f"{{{m}}}" in operation.path}
            found |= schemas_of(operation.params, name_of(operation, "Request"), leave_out=members)
    return found


def add_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: they are no serializers, so it does not find them by itself."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas |= components()
    result["components"]["schemas"] = dict(sorted(schemas.items()))
    for methods in result["paths"].values():
        for described in methods.values():
            if TAG in described.get("tags", ()) and "202" in described["responses"]:
                described["responses"]["202"]["links"] = FOLLOWED
                if "requestBody" in described:
                    described["requestBody"]["required"] = True
    return result


def _body(operation: Operation) -> bool:
    """Whether anything is left to be sent beside the path."""
    return any(f"{{{m}}}" not in operation.path for m in operation.params.model_fields)


def _if_match(target: Target | None) -> list[OpenApiParameter]:
    if target is None:
        return []
    return [OpenApiParameter(HEADER, str, "header", required=target.whole, description=IF_MATCH)]


def _members(operation: Operation) -> list[OpenApiParameter]:
    fields = operation.params.model_fields
    return [
        OpenApiParameter(name, str, "path", description=field.description or "")
        for name, field in fields.items()
        if f"{{{name}}}" in operation.path
    ]


def _problems() -> dict[tuple[int, str], OpenApiResponse]:
    found: dict[tuple[int, str], OpenApiResponse] = {}
    for status in sorted({status for status, _, _ in PROBLEMS}):
        told = [(code, said) for other, code, said in PROBLEMS if other == status]
        found[status, "application/problem+json"] = answers.problem_response(status, told)
    return found
