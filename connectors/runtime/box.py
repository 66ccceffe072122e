"""Claim, finish, fail, release: what the inbox and the outbox have in common, in sets.

`connectors.models.messages` documents the states. Each function is one statement; those that
finish a message take its fencing token, so that whoever lost the lease changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from django.db import connection, models, transaction

from catalog.prepared import call
from connectors.models.messages import Message
from connectors.runtime.retry import RetryPolicy
from observability import metrics
from observability.errors import SPARING, Action, CircuitOpenError, HubError, action_for
from observability.redaction import redact_text

#: Long enough for any batch, short enough that a killed worker's messages are soon taken up.
LEASE_SECONDS = 10
#: Leases of what is worked one after the other are prolonged this often; calls are waited for
#: with leases that exceed their time-out by more than this.
HOLD_SECONDS = 5.0
#: The error of a message whose worker vanished; it is claimed alone from then on.
ABANDONED = "abandoned"
#: Where a rate-limited upstream does not say how long.
PAUSE_SECONDS = 30.0
#: What was a probe in vain waits so long beyond the cool-down: the next probe is another's, at the
#: latest the supervisor's. One record that its upstream chokes on must not keep the breaker open.
IN_VAIN_SECONDS = 30.0

#: At commit this stands for the transaction it is said in, so that one statement is enough. Right
#: where nothing was sent or answered yet: what is, waits for a later commit, and this one with it.
NO_WAIT = "set_config('synchronous_commit', 'off', true) = 'off'"
WAITING = "m.state IN ('received', 'retrying') AND m.next_attempt_at <= now()"


@dataclass(frozen=True, slots=True)
class Failure:
    """What an attempt of one message met, and when it is tried again (None: never)."""

    id: int
    token: int
    code: str
    error: str
    wait: float | None
    #: An attempt that says nothing about the message (a rate limit, a paused connection).
    spared: bool = False


class Box:
    """The messages of one table.

    SQL about `m`, a message: `attempts` is how often it is tried, `place` whom it is from or for.
    """

    def __init__(
        self, name: str, model: type[Message], columns: Sequence[str], *, attempts: str, place: str
    ) -> None:
        self.name, self._attempts = name, attempts
        self._told = f"{place}, EXTRACT(EPOCH FROM clock_timestamp() - m.received_at)::float8"
        self.table = model._meta.db_table
        self._columns = ", ".join(f"m.{c}" for c in columns)

    def claim(
        self,
        where: str,
        parameters: Mapping[str, Any],
        limit: int,
        lease: float = LEASE_SECONDS,
        *,
        join: str = "",
        first: str = "m.next_attempt_at",
    ) -> list[tuple[Any, ...]]:
        """Take due messages, oldest first: rows of the box's columns, in order of id.

        `where`, and `first` where something goes before age, are SQL about `m`, the message, and
        whatever `join` brings in.
        """
        # Looked for much more often than found: planned once, and one trip.
        claiming = call(
            f"""
            WITH due AS (
                SELECT m.id FROM {self.table} m {join}
                WHERE {WAITING} AND {where} AND {NO_WAIT}
                ORDER BY {first}, m.id LIMIT %(limit)s
                FOR UPDATE OF m SKIP LOCKED
            ), claimed AS (
                UPDATE {self.table} m
                SET state = 'claimed', attempts = attempts + 1, token = token + 1,
                    lease_until = now() + %(lease)s * interval '1 second'
                FROM due WHERE m.id = due.id RETURNING m.*
            )
            SELECT {self._columns} FROM claimed m ORDER BY m.id""",  # noqa: S608 (our own SQL)
            {"limit": "int", "lease": "float8", "of": "bigint", "target": "text"},
        )
        with connection.cursor() as cursor:
            cursor.execute(claiming, {**parameters, "limit": limit, "lease": lease})
            claimed: list[tuple[Any, ...]] = cursor.fetchall()
        return claimed

    def dismiss(self, where: str, note: str, limit: int) -> int:
        """End due messages of which there is nothing to do, without a claim; how many.

        `where` is SQL about `m`, the message.
        """
        dismissing = call(
            f"""
            WITH due AS (
                SELECT m.id FROM {self.table} m WHERE {WAITING} AND {where} AND {NO_WAIT}
                ORDER BY m.next_attempt_at LIMIT %(limit)s FOR UPDATE OF m SKIP LOCKED)
            UPDATE {self.table} m
            SET state = 'superseded', note = %(note)s, finished_at = now()
            FROM due WHERE m.id = due.id RETURNING {self._told}""",  # noqa: S608 (our own SQL)
            {"limit": "int", "note": "text"},
        )
        with connection.cursor() as cursor:
            cursor.execute(dismissing, {"limit": limit, "note": note})
            ended = cursor.fetchall()
        self._measure(ended, Message.State.SUPERSEDED)
        return len(ended)

    def hold(self, tokens: Mapping[int, int], lease: float = LEASE_SECONDS) -> set[int]:
        """Prolong leases; the ids that are still ours."""
        return self._mine(tokens, "lease_until = now() + %(lease)s * interval '1 second'", lease)

    def finish(self, tokens: Mapping[int, int], state: str, note: str = "") -> set[int]:
        """End messages, in the caller's transaction; the ids that were still ours.

        First of its transaction: what is not among them must not be applied.
        """
        ended = self._changed(
            tokens,
            "state = %(state)s, note = %(note)s, finished_at = now(), lease_until = NULL",
            self._told,
            state=state,
            note=note,
        )
        transaction.on_commit(partial(self._measure, [row[1:] for row in ended], state))
        return {row[0] for row in ended}

    def give_back(self, tokens: Mapping[int, int]) -> set[int]:
        """Return messages that were not tried: no attempt is spent."""
        return self._mine(tokens, "state = 'received', attempts = attempts - 1, lease_until = NULL")

    def fail(self, failures: Iterable[Failure]) -> None:
        """Write down failed attempts: again later, or dead. A lost lease changes nothing."""
        said = list(failures)
        if not said:
            return
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                UPDATE {self.table} m SET
                    state = CASE WHEN f.wait IS NULL THEN 'dead' ELSE 'retrying' END,
                    attempts = m.attempts - f.spared::int, lease_until = NULL,
                    next_attempt_at = now() + COALESCE(f.wait, 0) * interval '1 second',
                    finished_at = CASE WHEN f.wait IS NULL THEN now() END,
                    error_code = f.code, error = f.error,
                    -- an outage of days is met thousands of times: the last one is told of
                    errors = CASE WHEN f.spared AND m.errors -> -1 ->> 'code' = f.code
                        THEN m.errors - -1 ELSE m.errors END
                        || jsonb_build_array(jsonb_build_object(
                        'attempt', m.attempts, 'at', now(), 'code', f.code, 'error', f.error))
                FROM unnest(%(ids)s::bigint[], %(tokens)s::bigint[], %(codes)s::text[],
                            %(errors)s::text[], %(waits)s::float8[], %(spared)s::bool[])
                    AS f (id, token, code, error, wait, spared)
                WHERE m.id = f.id AND m.token = f.token AND m.state = 'claimed'
                RETURNING m.state, {self._told}""",  # noqa: S608
                {
                    "ids": [f.id for f in said],
                    "tokens": [f.token for f in said],
                    "codes": [f.code for f in said],
                    "errors": [f.error.replace("\x00", "")[:2000] for f in said],
                    "waits": [f.wait for f in said],
                    "spared": [f.spared for f in said],
                },
            )
            dead = [rest for state, *rest in cursor.fetchall() if state == Message.State.DEAD]
        transaction.on_commit(partial(self._measure, dead, Message.State.DEAD))

    def release_expired(self, orphaned: str = "false") -> int:
        """Let go of what vanished workers held; how many.

        `orphaned` is SQL about `m`: claims whose holder is known to be gone, whatever their lease.

        They are claimed alone from now on; after the last attempt they are dead letters. The
        second such death has a wait behind it: a poisonous message must not keep workers dying.
        """
        letting_go = call(
            f"""
                WITH expired AS (
                    SELECT m.id, {self._attempts} AS most FROM {self.table} m
                    WHERE m.state = 'claimed' AND (m.lease_until < now() OR {orphaned})
                    ORDER BY m.lease_until LIMIT 1000 FOR UPDATE OF m SKIP LOCKED)
                UPDATE {self.table} m SET
                    state = CASE WHEN attempts >= most THEN 'dead' ELSE 'retrying' END,
                    finished_at = CASE WHEN attempts >= most THEN now() END,
                    lease_until = NULL, token = token + 1,
                    next_attempt_at = now() + CASE WHEN error_code = %(code)s
                        THEN LEAST(2 ^ attempts, 3600) ELSE 0 END * interval '1 second',
                    error_code = %(code)s, error = %(error)s,
                    errors = errors || jsonb_build_array(jsonb_build_object(
                        'attempt', attempts, 'at', now(), 'code', %(code)s, 'error', %(error)s))
                FROM expired WHERE m.id = expired.id""",  # noqa: S608 (our own SQL)
            {"code": "text", "error": "text"},
        )
        told = "its worker ended, or was stopped, before it came to an outcome"
        with connection.cursor() as cursor:
            cursor.execute(letting_go, {"code": ABANDONED, "error": told})
            return int(cursor.rowcount)

    def waiting(self) -> tuple[int, float]:
        """(messages that are due, for how many seconds the longest has been)."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT count(*), COALESCE(
                        EXTRACT(EPOCH FROM max(now() - m.next_attempt_at)), 0)::float8
                    FROM {self.table} m WHERE {WAITING}"""  # noqa: S608 (our own SQL)
            )
            count, seconds = cursor.fetchone()
        return count, seconds

    def _mine(
        self, tokens: Mapping[int, int], assignment: str, lease: float = 0.0, **values: Any
    ) -> set[int]:
        return {row[0] for row in self._changed(tokens, assignment, "NULL", lease, **values)}

    def _changed(
        self,
        tokens: Mapping[int, int],
        assignment: str,
        told: str,
        lease: float = 0.0,
        **values: Any,
    ) -> list[tuple[Any, ...]]:
        """(id, what is to be told of it) of those that are ours, which were changed."""
        if not tokens:
            return []
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                UPDATE {self.table} m SET {assignment}
                FROM unnest(%(ids)s::bigint[], %(tokens)s::bigint[]) AS mine (id, token)
                WHERE m.id = mine.id AND m.token = mine.token AND m.state = 'claimed'
                RETURNING m.id, {told}""",  # noqa: S608 (our own SQL)
                {
                    "ids": list(tokens),
                    "tokens": list(tokens.values()),
                    "lease": lease,
                    **values,
                },
            )
            changed: list[tuple[Any, ...]] = cursor.fetchall()
        return changed

    def _measure(self, ended: Iterable[Sequence[Any]], outcome: str) -> None:
        for place, seconds in ended:
            metrics.observe("box_seconds", seconds, box=self.name, place=place, outcome=outcome)


class Leases:
    """What was claimed together, and is worked one after the other for longer than a lease."""

    def __init__(self, box: Box, tokens: Mapping[int, int], seconds: float) -> None:
        self._box, self._left, self._seconds = box, dict(tokens), seconds
        self._held = monotonic()

    def take(self, *ids: int) -> bool:
        """Begin work on these; False where all of them were lost to somebody else meanwhile."""
        if monotonic() - self._held > HOLD_SECONDS:
            mine = self._box.hold(self._left, self._seconds)
            self._left = {id_: token for id_, token in self._left.items() if id_ in mine}
            self._held = monotonic()
        taken = [self._left.pop(id_, None) for id_ in ids]
        return any(token is not None for token in taken)

    def give_back(self) -> None:
        """Return what was not begun."""
        self._box.give_back(self._left)


def wait_for_no_disk() -> None:
    """Let the current transaction's commit return before it is on disk.

    Right where a crash of PostgreSQL takes back the work together with the note that it is done:
    the message, whose own commit was waited for, is then worked again.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO off")


def failure(
    error: BaseException, id_: int, token: int, attempts: int, policy: RetryPolicy
) -> Failure:
    """What the error table says about a failed attempt; an error that is not ours may pass."""
    known = isinstance(error, HubError)
    code = error.code if isinstance(error, HubError) else "internal"
    text = (
        error.message
        if isinstance(error, HubError)
        else redact_text(f"{type(error).__name__}: {error}")
    )
    action = action_for(error) if known else Action.RETRY
    asked = error.retry_after if isinstance(error, HubError) else None
    if isinstance(error, SPARING) or action is Action.PAUSE:
        spared = (asked or PAUSE_SECONDS) + beyond(error)
        return Failure(id_, token, code, text, spared, spared=True)
    wait = policy.wait(attempts, asked) if action is Action.RETRY else None
    return Failure(id_, token, code, text, wait)


def beyond(error: BaseException) -> float:
    """Seconds that the work which met the error waits longer than its connection."""
    return IN_VAIN_SECONDS if isinstance(error, CircuitOpenError) and error.in_vain else 0.0


def columns_of(model: type[models.Model], *names: str) -> tuple[str, ...]:
    """Column names of fields, checked when the module is read."""
    return tuple(str(model._meta.get_field(name).column) for name in names)  # type: ignore[union-attr]
