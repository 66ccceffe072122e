"""Where a statement runs, and what its columns become."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.db import connection

from hub.reads.plan import Bound, Statement

#: Runs a statement with its parameters: a JSON text for each root field, None for an unknown key.
Runner = Callable[[Statement, list[str]], Sequence[bytes | None]]


def on_django(statement: Statement, parameters: list[str]) -> Sequence[bytes | None]:
    """Through Django's connection of this thread, in its transaction if there is one."""
    named = {f"p{place}": value for place, value in enumerate(parameters, start=1)}
    with connection.cursor() as cursor:
        cursor.execute(statement.named, named)
        row = cursor.fetchone()
    if row is None:
        return [None]
    return [None if column is None else column.encode() for column in row]


def run(bound: Bound, runner: Runner) -> Sequence[bytes | None]:
    """The columns of an operation. One without root fields to look up needs no database."""
    if not bound.roots:
        return []
    return runner(bound.statement, bound.parameters)


def body(bound: Bound, columns: Sequence[bytes | None]) -> bytes:
    """`{"data":{…}}`; every column must be there."""
    pieces = bound.statement.pieces
    if len(columns) == 1:
        return pieces[0] + (columns[0] or b"null") + pieces[1]
    found = bytearray(pieces[0])
    for column, piece in zip(columns, pieces[1:], strict=True):
        found += column or b"null"
        found += piece
    return bytes(found)
