"""What each system actually says and supplies, counted in a sample of an entity's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import connection

from catalog.entities import Entity
from catalog.entities.derived import quoted

#: So many rows are looked at. They lie where PostgreSQL finds them first in blocks drawn at random.
SAMPLE = 1000

#: `share` of the table's blocks, so that a large table is not read for its first rows alone.
SUPPLIED = """
SELECT {number}, counted.* FROM (
WITH drawn AS MATERIALIZED (
    SELECT key, provenance FROM {table} TABLESAMPLE SYSTEM ({share}) REPEATABLE (1)
    WHERE deleted_at IS NULL LIMIT {limit}
)
SELECT 'rows', '', '', count(*) FROM drawn
UNION ALL
SELECT 'supplies', p.label, s.system, count(*)
FROM drawn, jsonb_each_text(drawn.provenance) p (label, record)
JOIN catalog_sourcerecord r ON r.id = p.record::bigint JOIN catalog_source s ON s.id = r.source_id
GROUP BY 2, 3
UNION ALL
SELECT 'says', f.label, s.system, count(DISTINCT drawn.key)
FROM drawn JOIN catalog_sourcerecord r ON r.entity_key = drawn.key AND r.deleted_at IS NULL
JOIN catalog_source s ON s.id = r.source_id AND s.entity = %s,
LATERAL jsonb_object_keys(r.fields) f (label)
GROUP BY 2, 3) counted"""

ROWS = """
SELECT c.reltuples FROM unnest(%s::text[]) WITH ORDINALITY AS t (name, place)
JOIN pg_class c ON c.oid = t.name::regclass ORDER BY t.place"""


@dataclass(slots=True)
class Supplied:
    """Of `rows` looked at: how many values of a field came from a system, and how often it spoke."""

    rows: int = 0
    supplies: dict[tuple[str, str], int] = field(default_factory=dict)
    says: dict[tuple[str, str], int] = field(default_factory=dict)


def supplied(classes: Sequence[type[Entity]]) -> dict[str, Supplied]:
    """{entity: by (field or `name.de_DE`, system)}. Two statements, however many entities there are;
    a few milliseconds for a thousand rows.
    """
    names = [cls.declaration.name for cls in classes]
    tables = [quoted(cls._meta.db_table) for cls in classes]
    found = {name: Supplied() for name in names}
    if not names:
        return found
    with connection.cursor() as cursor:
        cursor.execute(ROWS, [tables])
        drawn = [
            SUPPLIED.format(number=number, table=table, share=_share(rows), limit=SAMPLE)
            for number, (table, (rows,)) in enumerate(zip(tables, cursor.fetchall(), strict=True))
        ]
        cursor.execute("\nUNION ALL\n".join(drawn), names)
        for number, what, label, system, count in cursor.fetchall():
            one = found[names[number]]
            if what == "rows":
                one.rows = count
            else:
                getattr(one, what)[label, system] = count
    return found


def _share(rows: float) -> float:
    """Per cent of a table's blocks in which about three samples lie; all of a small table."""
    return 100.0 if rows < 10 * SAMPLE else max(0.01, 300.0 * SAMPLE / rows)
