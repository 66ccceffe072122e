"""How many rows there are, without counting what is huge.

Up to `EXACT` rows are counted; beyond that PostgreSQL's own statistics answer, as a person wants
to know whether it is three hundred thousand or five, and not to wait for the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.db import connection
from django.utils.functional import cached_property

from catalog.entities import entities

EXACT = 10_000


@dataclass(frozen=True, slots=True)
class Size:
    """A number of rows; `exact` is false for an estimate."""

    count: int
    exact: bool

    def __str__(self) -> str:
        return f"{self.count:,}" if self.exact else f"≈ {_rounded(self.count):,}"


ENTITY = """
SELECT %s, (SELECT count(*) FROM (SELECT FROM {table} WHERE deleted_at IS NULL LIMIT %s) AS counted),
       (SELECT reltuples::bigint FROM pg_class WHERE oid = '{table}'::regclass)"""

SOURCES = """
WITH said AS (
    SELECT value::smallint AS source, share
    FROM pg_stats, unnest(most_common_vals::text::text[], most_common_freqs) AS s (value, share)
    WHERE schemaname = current_schema() AND tablename = 'catalog_sourcerecord'
      AND attname = 'source_id'
)
SELECT s.system, s.stream,
       (SELECT count(*) FROM (
            SELECT FROM catalog_sourcerecord r WHERE r.source_id = s.id LIMIT %s) AS counted),
       (SELECT (share * reltuples)::bigint FROM said, pg_class
        WHERE source = s.id AND oid = 'catalog_sourcerecord'::regclass)
FROM catalog_source s"""


def entity_sizes() -> dict[str, Size]:
    """Live rows of every entity, by name. One statement."""
    statements: list[str] = []
    parameters: list[str | int] = []
    for name, cls in entities().items():
        table = connection.ops.quote_name(cls._meta.db_table)
        statements.append(ENTITY.format(table=table))
        parameters += [name, EXACT + 1]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(statements), parameters)
        return {name: _size(counted, guess) for name, counted, guess in cursor.fetchall()}


def source_sizes() -> dict[tuple[str, str], Size]:
    """Source records by (system, stream). One statement."""
    with connection.cursor() as cursor:
        cursor.execute(SOURCES, (EXACT + 1,))
        return {
            (system, stream): _size(counted, guess)
            for system, stream, counted, guess in cursor.fetchall()
        }


def _size(counted: int, guess: int | None) -> Size:
    if counted <= EXACT:
        return Size(counted, exact=True)
    return Size(max(counted, guess or 0), exact=False)


def _rounded(count: int) -> int:
    """Two significant digits: an estimate should not look like a count."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return int(round(count / unit) * unit)


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than `EXACT`: who needs more than that many rows narrows the list."""

    @cached_property
    def count(self) -> int:
        """Rows that can be paged through."""
        rows: Any = self.object_list
        return int(rows.order_by()[:EXACT].count())
