"""A request's answer from its compiled plan, or None: then Graphene has to give it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import structlog
from django.db import Error as DjangoDatabaseError
from django.http import HttpResponse
from graphql import GraphQLError, located_error
from psycopg import Error as DatabaseError
from psycopg import OperationalError

from hub import degraded
from hub.auth.rights import Rights
from hub.graphql.answers import answer as graphql_answer
from hub.negotiation import Wishes
from hub.problems import DATABASE_AWAY, BadInputError
from hub.reads import execute, fallbacks
from hub.reads.plan import Bound, plan_of
from hub.reads.reasons import LeftToGrapheneError, NotCompiledError
from hub.usage import noted
from hub.use_limits import use_of
from observability.degradation import Outage

log = structlog.get_logger(__name__)

Columns = Sequence[bytes | None]


def answered(
    text: str,
    variables: Mapping[str, Any],
    name: str | None,
    runner: execute.Runner,
    *,
    rights: Rights,
    wishes: Wishes,
    use: str | None = None,
) -> bytes | HttpResponse | None:
    """The body of an answer without errors, a response that has some, or None.

    `use` is the one that the request declares.
    """
    try:
        plan, literals = plan_of(text, name, variables)
        bound = plan.bind(variables, literals, rights, wishes)
        _allow(use, bound)
        noted.uses(bound.statement.uses)
        columns = execute.run(bound, runner)
        outages = degraded.affecting(bound.statement.uses.fields)
        if None in columns:
            return _with_errors(bound, columns, outages)
        return degraded.marked(execute.body(bound, columns), outages)
    except NotCompiledError as error:
        fallbacks.count(text, name, error.reason)
        return None
    except (LeftToGrapheneError, BadInputError):
        return None
    except (*DATABASE_AWAY, OperationalError):
        raise
    except (DjangoDatabaseError, DatabaseError):
        # A statement of ours that PostgreSQL refuses is a defect, and no reason not to answer.
        log.exception("a compiled statement failed", document=text[:2000])
        fallbacks.count(text, name, "the statement failed")
        return None


def _allow(use: str | None, bound: Bound) -> None:
    """Raises LeftToGrapheneError where values may be too old: Graphene's executor notes each."""
    wanted = use_of(use)
    if wanted is not None and not wanted.safe(bound.statement.uses.fields):
        raise LeftToGrapheneError


def _with_errors(bound: Bound, columns: Columns, outages: Sequence[Outage]) -> HttpResponse:
    """Data with null for each key that nothing has, and an error that says so."""
    if bound.plan.operation.lifted:
        # The places of an error are those in the text as it was sent, which nobody parsed.
        raise LeftToGrapheneError
    missing = [
        (root, asked)
        for root, asked, column in zip(bound.roots, bound.asked, columns, strict=True)
        if column is None
    ]
    errors: list[GraphQLError] = [
        located_error(root.not_found(asked), root.nodes, [root.name]) for root, asked in missing
    ]
    errors.sort(key=lambda error: (error.locations or [], error.path or [], error.message))
    data = orjson.loads(execute.body(bound, columns))["data"]
    return graphql_answer(data, errors, outages)
