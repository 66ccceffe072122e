"""The GraphQL types of provenance and explanations: the same for every entity."""

from __future__ import annotations

from typing import Any

import graphene
from graphql.language import ast


class JSON(graphene.Scalar):  # type: ignore[misc]
    """Any JSON value, as it is: text, number, true, false, null, list or object."""

    @staticmethod
    def serialize(value: Any) -> Any:
        return value

    @staticmethod
    def parse_value(value: Any) -> Any:
        return value

    @staticmethod
    def parse_literal(node: ast.ValueNode, _variables: dict[str, Any] | None = None) -> Any:
        """No argument takes JSON; a literal stands for its text."""
        return getattr(node, "value", None)


def listed(kind: Any) -> graphene.NonNull:
    """A list without gaps, never null."""
    return graphene.NonNull(graphene.List(graphene.NonNull(kind)))


class Provenance(graphene.ObjectType):  # type: ignore[misc]
    """Which system said so: one entry for each served field, parts and references by their path.

    A computed field (`reviews.average`, `category.path`) names the oldest record that it stands on.
    """

    field = graphene.NonNull(graphene.String)
    system = graphene.NonNull(graphene.String)
    stream = graphene.NonNull(graphene.String)
    record = graphene.NonNull(graphene.String, description="The upstream's identifier.")
    observed_at = graphene.NonNull(graphene.DateTime, description="When the hub read it.")
    age_seconds = graphene.NonNull(
        graphene.Float, description="Since the hub last knew the value to be what the source says."
    )
    stale = graphene.NonNull(
        graphene.Boolean, description="Older than the freshness objective of its stream."
    )
    reason = graphene.String(
        description="Why it may be older than promised: its system is down. Null while all is well."
    )
    event = graphene.String(description="The received event that brought it, if one did.")
    run = graphene.String(description="The sync run that brought it, if one did.")
    correlation_id = graphene.String()


class RawMember(graphene.ObjectType):  # type: ignore[misc]
    """One member of an upstream record, in the vendor's own spelling."""

    path = graphene.NonNull(graphene.String)
    value = JSON()


class KeptConflict(graphene.ObjectType):  # type: ignore[misc]
    """That a system says something else than the company believes, as the hub keeps it."""

    state = graphene.NonNull(
        graphene.String, description="open, by_rule or by_hand: who settled it."
    )
    since = graphene.NonNull(graphene.DateTime)
    rule = graphene.NonNull(graphene.String, description="What decided, in words.")


class Override(graphene.ObjectType):  # type: ignore[misc]
    """What a person put above the rules, and is in force."""

    by = graphene.NonNull(graphene.String)
    reason = graphene.NonNull(graphene.String)
    made_at = graphene.NonNull(graphene.DateTime)
    until = graphene.DateTime(description="It ends then; null: never.")


class Candidate(graphene.ObjectType):  # type: ignore[misc]
    """What one system says about a field."""

    system = graphene.NonNull(graphene.String)
    stream = graphene.NonNull(graphene.String)
    record = graphene.NonNull(graphene.String)
    raw = graphene.Field(listed(RawMember), description="What the upstream sent.")
    value = JSON(description="The same as mapped to our field.")
    observed_at = graphene.NonNull(graphene.DateTime)
    changed_at = graphene.DateTime(description="The source's own change time, where it has one.")
    age_seconds = graphene.NonNull(graphene.Float)
    stale = graphene.NonNull(graphene.Boolean)
    event = graphene.String()
    run = graphene.String()
    correlation_id = graphene.String()
    allowed = graphene.NonNull(graphene.Boolean, description="The rule lets it supply the field.")
    differs = graphene.NonNull(graphene.Boolean, description="It says another value.")
    conflict = graphene.Field(KeptConflict)


class Rule(graphene.ObjectType):  # type: ignore[misc]
    """The ownership rule that decided. `field` is `*` for a rule about the whole entity."""

    owner = graphene.NonNull(graphene.String)
    fallbacks = graphene.Field(listed(graphene.String))
    field = graphene.NonNull(graphene.String)
    reason = graphene.NonNull(graphene.String)


class Explanation(graphene.ObjectType):  # type: ignore[misc]
    """Why a field has its value: who supplied it, under which rule, against whom."""

    entity = graphene.NonNull(graphene.String)
    key = graphene.NonNull(graphene.String)
    field = graphene.NonNull(graphene.String)
    value = JSON(description="The value served; texts in every locale.")
    rule = graphene.Field(Rule)
    override = graphene.Field(Override)
    winner = graphene.Field(Candidate)
    losing = graphene.Field(listed(Candidate))
    computed_from = graphene.Field(
        listed(Provenance), description="What a computed value stands on; it has no winner."
    )


class TextLocale(graphene.ObjectType):  # type: ignore[misc]
    """Which locale a text was served in."""

    field = graphene.NonNull(graphene.String)
    locale = graphene.String()
