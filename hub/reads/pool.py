"""PostgreSQL connections of the compiled reads: one for each thread of the web process.

Made at a thread's first read, so never before the fork of a worker. Statements are prepared once
a connection and then named: a third of the cost of a cursor, which sends and plans them anew.

So these statements carry no comment with the correlation id, as all others do (observability.comments):
a prepared statement is sent by its name and has no text any more; a comment in it would make each
request's statement a new one, to be parsed and planned, which is what this path saves. The request's
log line has the id; `application_name` tells these sessions from the others.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from django.db import connection
from psycopg import errors, pq
from psycopg.conninfo import make_conninfo

from hub.reads.statement import Statement

#: Characters of the statements that PostgreSQL keeps plans of, for a connection: a plan takes some
#: hundred bytes for each.
MOST_PREPARED = 200_000
CONNECT_SECONDS = 5
#: Values never change the plan: all are keys, positions and filters that have an index or need none.
SETTINGS = (
    "SET plan_cache_mode = force_generic_plan; SET jit = off; SET timezone = 'UTC';"
    " SET datestyle = 'ISO'; SET default_transaction_read_only = on;"
    " SET application_name = 'headwater reads'"
)


class Connection:
    """One connection and what is prepared on it. Raises psycopg's errors."""

    def __init__(self) -> None:
        self._link = pq.PGconn.connect(_conninfo().encode())
        if self._link.status != pq.ConnStatus.OK:
            raise errors.OperationalError(_message(self._link.error_message))
        self._prepared: dict[bytes, int] = {}
        self._characters = 0
        self._done(self._link.exec_(SETTINGS.encode()), pq.ExecStatus.COMMAND_OK)

    @property
    def usable(self) -> bool:
        """Whether PostgreSQL is still there, as far as the last statement has shown."""
        return self._link.status == pq.ConnStatus.OK

    def run(self, statement: Statement, parameters: Sequence[str]) -> Sequence[bytes | None]:
        """The one row of the statement; [None] where it has none."""
        if statement.name not in self._prepared:
            self._prepare(statement)
        values = [value.encode() for value in parameters]
        result = self._link.exec_prepared(statement.name, values)
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise self._error(result)
        if result.ntuples == 0:
            return [None]
        if result.nfields == 1:
            return [result.get_value(0, 0)]
        return [result.get_value(0, place) for place in range(result.nfields)]

    def close(self) -> None:
        self._link.finish()

    def _prepare(self, statement: Statement) -> None:
        self._characters += len(statement.sql)
        while self._characters > MOST_PREPARED and self._prepared:
            oldest = next(iter(self._prepared))
            self._characters -= self._prepared.pop(oldest)
            self._done(self._link.exec_(b'DEALLOCATE "%b"' % oldest), pq.ExecStatus.COMMAND_OK)
        result = self._link.prepare(statement.name, statement.sql.encode())
        self._done(result, pq.ExecStatus.COMMAND_OK)
        self._prepared[statement.name] = len(statement.sql)

    def _done(self, result: pq.abc.PGresult, wanted: pq.ExecStatus) -> None:
        if result.status != wanted:
            raise self._error(result)

    def _error(self, result: pq.abc.PGresult) -> errors.Error:
        told = _message(result.error_message)
        if not self.usable:
            return errors.OperationalError(told)
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        try:
            return errors.lookup(state)(told)
        except KeyError:
            return errors.DatabaseError(told)


_own = threading.local()


def on_pool(statement: Statement, parameters: list[str]) -> Sequence[bytes | None]:
    """Run on this thread's connection; a broken one is replaced once."""
    held: Connection | None = getattr(_own, "connection", None)
    if held is not None:
        try:
            return held.run(statement, parameters)
        except errors.Error as error:
            # A changed table needs a new plan, and a restarted PostgreSQL a new connection.
            if held.usable and not isinstance(error, errors.FeatureNotSupported):
                raise
            release()
    _own.connection = held = Connection()
    return held.run(statement, parameters)


def release() -> None:
    """Close this thread's connection."""
    held: Connection | None = getattr(_own, "connection", None)
    _own.connection = None
    if held is not None:
        held.close()


def _conninfo() -> str:
    """Django's database, which the tests name anew."""
    known: dict[str, Any] = connection.settings_dict
    names = {
        "dbname": "NAME",
        "user": "USER",
        "password": "PASSWORD",
        "host": "HOST",
        "port": "PORT",
    }
    options = {n: v for n, v in known.get("OPTIONS", {}).items() if isinstance(v, str)}
    given: dict[str, Any] = {name: known[ours] for name, ours in names.items() if known[ours]}
    usual = {"connect_timeout": CONNECT_SECONDS, "client_encoding": "UTF8"}
    return make_conninfo(**{**given, **usual, **options})


def _message(text: bytes | str) -> str:
    return (text.decode(errors="replace") if isinstance(text, bytes) else text).strip()
