"""Statements that a session of PostgreSQL keeps: parsed and planned once, not each time.

Planning the merge of one record takes longer than merging it. `PREPARE` is not undone by a rollback, so
what a connection has prepared stays until it is closed. Plans are the server's to renew: when a
table is analysed or changed it does so by itself. What a statement returns must be named, column by
column: one that returns `*` would fail in sessions that are older than a new column.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connection

#: In one session. A rule that changes makes new statements, and the old ones go by and by.
MOST_KEPT = 96
_PLACE = re.compile(r"%\((\w+)\)s|%%")
#: By connection: what it has prepared, the one that was not used for longest first.
_kept: WeakKeyDictionary[Any, OrderedDict[str, None]] = WeakKeyDictionary()


def call(statement: str, types: Mapping[str, str] | None = None) -> str:
    """SQL that runs a statement with the same named parameters, `%(name)s`, as one of this session.

    `types`: the SQL type of each parameter; it may name more than the statement has. None: it has no
    parameters, and is to be executed without. Raises django.db.DatabaseError.
    """
    name, prepare, execute = _said(statement, tuple((types or {}).items()))
    connection.ensure_connection()
    kept = _kept.setdefault(connection.connection, OrderedDict())
    if name in kept:
        kept.move_to_end(name)
        return execute
    with connection.cursor() as cursor:
        while len(kept) >= MOST_KEPT:
            cursor.execute(f"DEALLOCATE {kept.popitem(last=False)[0]}")
        # Without parameters, so that nothing in it is taken for one.
        cursor.execute(prepare)
    kept[name] = None
    return execute


@lru_cache(maxsize=512)
def _said(statement: str, types: tuple[tuple[str, str], ...]) -> tuple[str, str, str]:
    """Name, PREPARE and EXECUTE of a statement."""
    known: dict[str, str] = dict(types)
    places: dict[str, int] = {}

    def numbered(found: re.Match[str]) -> str:
        if found[1] is None:
            return "%"
        return f"${places.setdefault(found[1], len(places) + 1)}"

    text = _PLACE.sub(numbered, statement) if types else statement
    name = "kept_" + blake2b(f"{types}{text}".encode(), digest_size=12).hexdigest()
    listed = f" ({', '.join(known[place] for place in places)})" if places else ""
    given = f" ({', '.join(f'%({place})s' for place in places)})" if places else ""
    return name, f"PREPARE {name}{listed} AS {text}", f"EXECUTE {name}{given}"
