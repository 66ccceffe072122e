"""What is written down of commands: each function is one statement, and one commit.

Every statement that changes a command takes its fencing token: whoever lost the lease changes
nothing, neither the command nor a step of it. Those that change many lock them in the order of
their ids. Times are the database's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any

from django.db import connection
from pydantic_core import to_json

from catalog.prepared import call
from connectors.models import Command, CommandStep
from connectors.runtime.box import ABANDONED, NO_WAIT

#: A request that died is gone on with so long after; the drain prolongs its own.
LEASE_SECONDS = 10.0
OPEN = "state IN ('accepted', 'sent', 'acknowledged')"
NOW = object()
#: Characters of an error that are kept.
MOST_SAID = 2000
#: Types of what statements are given: columns of commands, and what else they take.
_TYPES = {
    "id": "bigint", "token": "bigint", "rows": "jsonb", "lease": "float8", "after": "float8",
    "state": "text", "status": "int", "attempts": "int", "waits_for_id": "bigint",
    "result": "jsonb", "problem": "jsonb", "error_code": "text", "error": "text",
}  # fmt: skip
#: As JSON writes it.
NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

_COLUMNS = {
    "name": "text", "kind": "text", "state": "text", "capability": "text",
    "connection_id": "bigint", "stream": "text", "record_key": "text", "idempotency_key": "text",
    "body": "text", "started_at": "timestamptz", "sent_at": "timestamptz",
    "finished_at": "timestamptz", "read_back_at": "timestamptz", "attempts": "int",
    "result": "jsonb", "error_code": "text", "error": "text",
}  # fmt: skip
_STEPS = f"""
, kept AS (
    INSERT INTO connectors_commandstep (command_id, {", ".join(_COLUMNS)})
    SELECT mine.id, {", ".join(f"r.{name}" for name in _COLUMNS)}
    FROM mine JOIN jsonb_to_recordset(%(rows)s::jsonb)
        AS r (command_id bigint, {", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())})
        ON {{of}}
    ON CONFLICT (command_id, name) DO UPDATE
    SET {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "name")})"""  # noqa: S608 (our own SQL)

#: What can be done for many at once (`confirming`, `together`): what was never met by an error.
TO_CONFIRM = "(state = 'acknowledged' AND error_code = '')"
FRESH = "(state = 'accepted' AND attempts = 0 AND operation = ANY(%(operations)s))"
ALONE = f"NOT {TO_CONFIRM} AND NOT {FRESH}"

_CLAIMED_BY = {"limit": "int", "operations": "text[]"}
_CLAIM = f"""
WITH due AS (
    SELECT id FROM connectors_command
    WHERE {OPEN} AND lease_until IS NULL AND next_attempt_at <= now() AND {NO_WAIT} AND {{which}}
    ORDER BY next_attempt_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
UPDATE connectors_command c
SET token = token + 1, attempts = attempts + 1,
    lease_until = now() + {LEASE_SECONDS} * interval '1 second',
    deferred_at = CASE WHEN status IS NULL THEN COALESCE(deferred_at, now()) ELSE deferred_at END
FROM due WHERE c.id = due.id
RETURNING {", ".join(f"c.{field.column}" for field in Command._meta.concrete_fields)},
    clock_timestamp() AS looked_at"""  # noqa: S608 (our own SQL)

_RELEASE = """
UPDATE connectors_command c
SET lease_until = NULL, token = token + 1, error_code = %(code)s, error = %(error)s,
    next_attempt_at = now() + CASE WHEN error_code = %(code)s
        THEN LEAST(2 ^ LEAST(attempts, 12), 3600) ELSE 0 END * interval '1 second'
FROM (SELECT id FROM connectors_command WHERE lease_until < now()
      ORDER BY lease_until LIMIT 1000 FOR UPDATE SKIP LOCKED) AS expired
WHERE c.id = expired.id"""

_HOLD = f"""
UPDATE connectors_command c SET lease_until = now() + {LEASE_SECONDS} * interval '1 second'
FROM (
    SELECT o.id FROM connectors_command o
    JOIN unnest(%(ids)s::bigint[], %(tokens)s::bigint[]) AS mine (id, token) ON o.id = mine.id
    WHERE o.token = mine.token AND o.lease_until IS NOT NULL AND {NO_WAIT}
    -- what is being written just now gets its lease so
    FOR UPDATE OF o SKIP LOCKED) AS held
WHERE c.id = held.id"""  # noqa: S608 (our own SQL)

_DUE = f"""
SELECT count(*) FILTER (WHERE {ALONE}), count(*) FILTER (WHERE {FRESH}),
       count(*) FILTER (WHERE {TO_CONFIRM})
FROM (SELECT state, error_code, attempts, operation FROM connectors_command
      WHERE {OPEN} AND lease_until IS NULL AND next_attempt_at <= now() LIMIT 500) AS due"""  # noqa: S608 (our own SQL)


class LeaseLostError(Exception):
    """Somebody else works on the command now, or a person has decided about it."""


def write(
    command: Command,
    steps: Iterable[CommandStep] = (),
    *,
    lease: float | None = None,
    after: float | None = None,
    wait: bool = True,
    **changes: Any,
) -> Command:
    """Change a command and its steps at once; the command as it is then.

    `NOW` among the changes is the database's time. `lease`: seconds; None: it is let go, and due in
    `after` seconds. `wait`: whether it is on disk before this returns. Raises LeaseLostError.
    """
    rows = _as_json([_row(step) for step in steps])
    assigned = ["lease_until = now() + %(lease)s * interval '1 second'"]
    if after is not None:
        assigned.append("next_attempt_at = now() + %(after)s * interval '1 second'")
    for name, value in changes.items():
        assigned.append(f"{name} = now()" if value is NOW else f"{name} = %({name})s")
    stored = [name for name, value in changes.items() if isinstance(value, dict)]
    statement = f"""
WITH mine AS (
    UPDATE connectors_command SET {", ".join(assigned)}
    WHERE id = %(id)s AND token = %(token)s AND lease_until IS NOT NULL
        {"" if wait else f"AND {NO_WAIT}"}
    RETURNING *){_STEPS.format(of="true") if rows != "[]" else ""}
SELECT now(), {", ".join(stored) or "NULL"} FROM mine"""  # noqa: S608 (names of our own columns)
    values = {
        **{name: _kept(value) for name, value in changes.items()},
        "id": command.pk, "token": command.token, "rows": rows, "lease": lease, "after": after,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(call(statement, _TYPES), values)
        found = cursor.fetchone()
    if found is None:
        raise LeaseLostError(command.reference)
    now, *kept = found
    changed = copy(command)
    for name, value in changes.items():
        setattr(changed, name, now if value is NOW else value)
    # As they will be read, so that an answer is the same each time that it is given.
    for name, text in zip(stored, kept, strict=False):
        setattr(changed, name, json.loads(text))
    return changed


def write_all(
    told: Sequence[tuple[Command, Sequence[CommandStep]]],
    *,
    lease: float | None = None,
    wait: bool = True,
    results: Mapping[int, Any] | None = None,
    **changes: Any,
) -> set[int]:
    """Change many commands alike, each with its steps; the ids of those whose lease was not lost.

    `lease`, `wait` and `changes` as in `write`; `results` by id of the command, where it is given one.
    """
    if not told:
        return set()
    mine = [
        {"id": command.pk, "token": command.token, "result": (results or {}).get(command.pk)}
        for command, _ in told
    ]
    rows = [{**_row(step), "command_id": c.pk} for c, steps in told for step in steps]
    assigned = "".join(
        f", {name} = now()" if value is NOW else f", {name} = %({name})s"
        for name, value in changes.items()
    )
    statement = f"""
WITH given AS MATERIALIZED (
    SELECT c.id, g.result FROM connectors_command c
    JOIN jsonb_to_recordset(%(mine)s::jsonb) AS g (id bigint, token bigint, result jsonb)
        ON g.id = c.id
    WHERE c.token = g.token AND c.lease_until IS NOT NULL {"" if wait else f"AND {NO_WAIT}"}
    ORDER BY c.id FOR UPDATE OF c
), mine AS (
    UPDATE connectors_command c SET lease_until = now() + %(lease)s * interval '1 second',
        result = COALESCE(g.result, c.result){assigned}
    FROM given g WHERE c.id = g.id RETURNING c.id){_STEPS.format(of="r.command_id = mine.id")}
SELECT id FROM mine"""  # noqa: S608 (names of our own columns)
    values = {"mine": _as_json(mine), "rows": _as_json(rows), "lease": lease, **changes}
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return {row[0] for row in cursor.fetchall()}


def claim() -> Command | None:
    """Take the command that has been due for longest."""
    return next(iter(claim_all("true", 1)), None)


def claim_all(which: str, limit: int, operations: Sequence[str] = ()) -> list[Command]:
    """Take commands of a kind (`ALONE`, `FRESH`, `TO_CONFIRM`), those due for longest."""
    told = {"limit": limit, "operations": list(operations)}
    claiming = call(_CLAIM.format(which=which), _CLAIMED_BY)
    return list(Command.objects.raw(claiming, told))


def hold(tokens: Mapping[int, int]) -> None:
    """Prolong leases; one that was lost stays lost."""
    if tokens:
        _run(_HOLD, ids=list(tokens), tokens=list(tokens.values()))


def due(operations: Sequence[str] = ()) -> tuple[int, int, int]:
    """How many commands are due of each kind: `ALONE`, `FRESH` of these operations, `TO_CONFIRM`.

    Counted among five hundred.
    """
    with connection.cursor() as cursor:
        cursor.execute(call(_DUE, _CLAIMED_BY), {"operations": list(operations)})
        alone, fresh, to_confirm = cursor.fetchone()
    return alone, fresh, to_confirm


def release_expired() -> int:
    """Let go of what vanished processes held; how many.

    The second time in a row has a wait behind it: what kills its process must not keep doing so.
    """
    return _run(_RELEASE, code=ABANDONED, error="its process ended before it came to an outcome")


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return _as_json(value)
    return _cut(value) if isinstance(value, str) else value


def _cut(text: str) -> str:
    return text.replace("\x00", "")[:MOST_SAID]


def _as_json(value: Any) -> str:
    """PostgreSQL's jsonb takes no NUL, which an upstream may well send."""
    text = to_json(value).decode()
    return NUL.sub(r"\1", text) if "\\u0000" in text else text


def _row(step: CommandStep) -> dict[str, Any]:
    return {name: getattr(step, name) for name in _COLUMNS} | {"error": _cut(step.error)}


def _run(statement: str, **values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
