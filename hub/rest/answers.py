"""The OpenAPI components that are the same for every entity: explanations, history, problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, inline_serializer
from rest_framework import serializers

from hub.rest.components import ProvenanceSerializer


class RawMemberSerializer(serializers.Serializer[Any]):
    """One member of an upstream record, in the vendor's own spelling."""

    path = serializers.CharField()
    value = serializers.JSONField(allow_null=True)


class KeptConflictSerializer(serializers.Serializer[Any]):
    """That a system says something else than the company believes, as the hub keeps it."""

    state = serializers.CharField(help_text="open, by_rule or by_hand: who settled it.")
    since = serializers.DateTimeField()
    rule = serializers.CharField(help_text="What decided, in words.")


class OverrideSerializer(serializers.Serializer[Any]):
    """What a person put above the rules, and is in force."""

    by = serializers.CharField()
    reason = serializers.CharField()
    made_at = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True, help_text="It ends then; null: never.")


class CandidateSerializer(serializers.Serializer[Any]):
    """What one system says about a field."""

    system = serializers.CharField()
    stream = serializers.CharField()
    record = serializers.CharField()
    raw = RawMemberSerializer(many=True, help_text="What the upstream sent.")
    value = serializers.JSONField(allow_null=True, help_text="The same as mapped to our field.")
    observed_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField(allow_null=True)
    age_seconds = serializers.FloatField()
    stale = serializers.BooleanField()
    event = serializers.IntegerField(allow_null=True)
    run = serializers.IntegerField(allow_null=True)
    correlation_id = serializers.CharField(allow_blank=True)
    allowed = serializers.BooleanField(help_text="Whether the rule lets the system supply it.")
    differs = serializers.BooleanField(help_text="Whether it says something else than the winner.")
    conflict = KeptConflictSerializer(allow_null=True)


# Inline where a member has the name of a serializer's own attribute (`field`, `errors`).
RULE = inline_serializer(
    "Rule",
    {
        "owner": serializers.CharField(),
        "fallbacks": serializers.ListField(child=serializers.CharField()),
        "field": serializers.CharField(help_text="`*`: the whole entity."),
        "reason": serializers.CharField(allow_blank=True),
    },
    allow_null=True,
)
EXPLANATION = inline_serializer(
    "Explanation",
    {
        "entity": serializers.CharField(),
        "key": serializers.CharField(),
        "field": serializers.CharField(),
        "value": serializers.JSONField(
            allow_null=True, help_text="The value served; texts in every locale."
        ),
        "rule": RULE,
        "override": OverrideSerializer(allow_null=True),
        "winner": CandidateSerializer(allow_null=True),
        "losing": CandidateSerializer(many=True),
        "computed_from": ProvenanceSerializer(
            many=True, help_text="What a computed value stands on; it has no winner."
        ),
    },
)
REVISION = inline_serializer(
    "Revision",
    {
        "kind": serializers.CharField(help_text="created, changed, deleted or restored."),
        "at": serializers.DateTimeField(),
        "changes": serializers.DictField(
            child=serializers.ListField(child=serializers.JSONField(allow_null=True)),
            help_text="{field: [old value, new value]}",
        ),
        "run": serializers.IntegerField(allow_null=True),
        "event": serializers.IntegerField(allow_null=True),
        "correlation_id": serializers.CharField(allow_blank=True),
    },
    many=True,
)
PROBLEM = inline_serializer(
    "Problem",
    {
        "type": serializers.CharField(),
        "title": serializers.CharField(),
        "status": serializers.IntegerField(),
        "code": serializers.CharField(help_text="Stable; also in GraphQL and in the logs."),
        "detail": serializers.CharField(help_text="What is wrong, and the remedy."),
        "correlation_id": serializers.CharField(allow_blank=True),
        "errors": inline_serializer(
            "ProblemError",
            {"parameter": serializers.CharField(), "detail": serializers.CharField()},
            many=True,
            required=False,
        ),
    },
)
CODES = {
    400: ("bad_input", "A parameter that cannot be understood; `errors` names it."),
    401: ("unauthorized", "No valid API key or token."),
    403: ("forbidden", "The key lacks a scope; `detail` names it."),
    404: (
        "not_found",
        "Nothing has this key; `not_known_then`: history does not reach back so far.",
    ),
    429: ("rate_limited", "The key's rate limit is spent; `Retry-After` says for how long."),
    503: ("unavailable", "The database does not answer; `too_old`: see the header Headwater-Use."),
}


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """The problem responses of an operation, by status."""
    return {
        (status, "application/problem+json"): problem_response(status, [CODES[status]])
        for status in statuses
    }


def problem_response(status: int, told: Sequence[tuple[str, str]]) -> OpenApiResponse:
    """The response of one status, with an example for each code: (code, when)."""
    return OpenApiResponse(
        PROBLEM,
        description=" ".join(said for _, said in told),
        examples=[
            OpenApiExample(
                code,
                value={
                    "type": f"urn:headwater:problem:{code}",
                    "title": code.replace("_", " ").capitalize(),
                    "status": status,
                    "code": code,
                    "detail": said,
                    "correlation_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                },
            )
            for code, said in told
        ],
    )
