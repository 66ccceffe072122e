"""A page of a list as of a moment, in order of key.

A view of the past cannot be walked in order of an index, so the keys are taken from the table, a
batch at a time, until enough of them were there then and fit.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from catalog.entities.derived import quoted
from catalog.past.moments import SECONDS, TOO_MUCH, TooMuchError

#: Rows that are looked at with one statement, at most; twice as many as are missing at first.
MOST = 2000


def page(rows: QuerySet[Any], size: int, after: str = "") -> list[Any]:
    """The first rows behind a key, inside `knowing`. Raises TooMuchError."""
    table = quoted(rows.model._meta.db_table)
    found: list[Any] = []
    batch, until = 2 * size, monotonic() + SECONDS
    while len(found) < size:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT key FROM public.{table} WHERE key > %s ORDER BY key LIMIT %s",
                [after, batch],
            )
            keys = [key for (key,) in cursor.fetchall()]
        found += rows.filter(pk__in=keys).order_by("pk")[: size - len(found)]
        if len(keys) < batch:
            break
        if monotonic() > until:
            raise TooMuchError(TOO_MUCH)
        after, batch = keys[-1], min(2 * batch, MOST)
    return found
