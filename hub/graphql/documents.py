"""From a document's text to one that is valid and within its limits."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
    validate,
)

from hub.graphql.limits import MAX_COST, MAX_TOKENS, cost, measure, too_complex
from hub.graphql.schema import build

#: Longer documents are checked each time, so that nobody fills the memory with them.
REMEMBERED_CHARACTERS = 8 * 1024

#: A long document is checked once a request, though several ask: the last one of each thread.
_latest = threading.local()

Checked = DocumentNode | tuple[GraphQLError, ...]


@lru_cache(maxsize=1)
def schema() -> GraphQLSchema:
    """The graphql-core schema, built once a process."""
    built: GraphQLSchema = build().graphql_schema
    return built


def checked(text: str) -> Checked:
    """The parsed document, or what is wrong with it."""
    if len(text) <= REMEMBERED_CHARACTERS:
        return _remembered(text)
    known: tuple[str, Checked] | None = getattr(_latest, "known", None)
    if known is None or known[0] != text:
        _latest.known = known = (text, _check(text))
    return known[1]


def _check(text: str) -> Checked:
    try:
        document = parse(text, max_tokens=MAX_TOKENS)
        if refusal := measure(document):
            return (refusal,)
        return tuple(validate(schema(), document, specified_rules, max_errors=20)) or document
    except GraphQLError as error:
        return (error,)
    except RecursionError:
        return (GraphQLError("the document is nested too deeply"),)


_remembered = lru_cache(maxsize=512)(_check)


def chosen(
    document: DocumentNode, name: str | None, variables: dict[str, Any]
) -> OperationDefinitionNode | GraphQLError:
    """The operation that is to run, or why none can."""
    found = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    if name is not None:
        found = [d for d in found if d.name is not None and d.name.value == name]
    if len(found) != 1:
        return GraphQLError(
            "the document has several operations; say which in `operationName`"
            if found
            else "the document has no operation of that name"
        )
    if found[0].operation is OperationType.SUBSCRIPTION:
        return GraphQLError("there is no subscription here; webhooks tell of changes")
    estimated = cost(schema(), document, found[0], variables)
    if estimated > MAX_COST:
        return too_complex("values by estimate (ask for shorter pages)", estimated, MAX_COST)
    return found[0]
