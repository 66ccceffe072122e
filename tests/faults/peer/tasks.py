"""What a careful author writes: a lock, a comparison of versions, one transaction."""

from __future__ import annotations

from django.db import connection, transaction

SCHEMA = """
CREATE TABLE level (sku text PRIMARY KEY, number int NOT NULL);
CREATE TABLE done (event text NOT NULL)"""


def apply(event: str, sku: str, number: int) -> None:
    """Apply one event; `done` has a row for each time that it was run to its end."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO level VALUES (%s, %s) ON CONFLICT (sku) DO UPDATE"
            " SET number = excluded.number WHERE excluded.number > level.number",
            [sku, number],
        )
        cursor.execute("INSERT INTO done VALUES (%s)", [event])
