"""Statements say what they are run for, in the comment that sqlcommenter specifies.

https://google.github.io/sqlcommenter/spec/: after the statement, `key='value'` sorted by key. It is
seen where statements are: in `pg_stat_activity`, in PostgreSQL's log of slow ones and of errors.

Django's cursors send each statement as text, which PostgreSQL parses every time: the comment costs its
bytes, and `pg_stat_statements` tells statements apart by their parse trees, which have no comments.
Statements that are prepared have none (`hub.reads.pool`, `connectors.inbox.arrive`).

Where a statement has parameters the comment's values are parameters too, which Django's cursors put into
the text: psycopg takes each text apart once and knows it again, and with the values in it none would be
like another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from observability.context import current_id, trace_parent

#: Runs a statement: (statement, parameters, many, context).
Execute = Callable[[Any, Any, Any, dict[str, Any]], Any]


def comment(sender: object, connection: Any, **_: Any) -> None:  # noqa: ARG001 (a signal's receiver)
    """Comment all statements of a connection that was just opened, for the first time or again."""
    if commented not in connection.execute_wrappers:
        connection.execute_wrappers.append(commented)


def commented(
    execute: Execute,
    sql: Any,
    params: Any,
    many: Any,
    context: dict[str, Any],
) -> Any:
    """Run a statement with the comment; without one, where nothing has an id.

    Neither value needs quoting: of ids no others are accepted, see `observability.context`.
    """
    correlation_id = current_id()
    if correlation_id is None or not isinstance(sql, str):
        return execute(sql, params, many, context)
    told = {"correlation_id": correlation_id}
    if parent := trace_parent():
        told["traceparent"] = parent
    if params is None or many:
        sql = _with(sql, [f"{name}='{value}'" for name, value in told.items()])
    elif isinstance(params, Mapping):
        sql = _with(sql, [f"{name}=%(said {name})s" for name in told])
        params = {**params, **{f"said {name}": value for name, value in told.items()}}
    else:
        sql = _with(sql, [f"{name}=%s" for name in told])
        params = (*params, *told.values())
    return execute(sql, params, many, context)


def _with(sql: str, told: Sequence[str]) -> str:
    return f"{sql} /*{','.join(told)}*/"
