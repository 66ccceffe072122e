"""Entity rows written by a test itself, as no upstream could have them said.

The database refuses whoever is not the merge (`catalog.guard`); a test says that it means it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from catalog import guard


@contextmanager
def written_directly() -> Iterator[None]:
    """A transaction in which this test may write entity tables."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(guard.OPEN)
        yield
        cursor.execute(guard.SHUT)
