"""Counts how many values of each field changed within minutes, for `observability.field_changes`.

What the merge wrote as history is read once more, from a few minutes back: a look that is repeated
counts the same. What a person or a rule changed is not among it, for nothing came in, and neither is what
was empty before.
"""

from __future__ import annotations

from django.db import connection

from observability.field_changes import WINDOW_MINUTES

#: Fewer are not looked at: somebody corrects a few records every day.
FEWEST = 20
#: A window of more than so many revisions is counted from its newest.
MOST = 50_000

COUNT = f"""
WITH changed AS (
    SELECT o.source_id, r.entity, c.key AS field, r.key,
           c.value -> 1 IN ('null'::jsonb, '""'::jsonb, '{{}}'::jsonb) AS emptied,
           COALESCE(n.kind = 'remap', false) AS remapped
    FROM catalog_revision r
    JOIN catalog_sourcerecord o ON o.id = r.source_record_id
    LEFT JOIN connectors_syncrun n ON n.id = r.run_id
    CROSS JOIN LATERAL jsonb_each(r.changes) c
    WHERE r.id > (SELECT COALESCE(max(id), 0) - {MOST} FROM catalog_revision)
      AND r.id > %(floor)s AND r.at > now() - interval '{WINDOW_MINUTES} minutes'
      AND r.kind = 'changed' AND (r.run_id IS NOT NULL OR r.event_id IS NOT NULL)
      AND c.value -> 0 <> 'null'::jsonb
), counted AS (
    SELECT source_id, entity, field, count(DISTINCT key) AS changed,
           count(DISTINCT key) FILTER (WHERE emptied) AS emptied,
           count(DISTINCT key) FILTER (WHERE remapped) AS remapped
    FROM changed GROUP BY 1, 2, 3 HAVING count(DISTINCT key) >= {FEWEST}
)
INSERT INTO observability_fieldchanges AS f
    (hour, system, stream, entity, field, peak, now, emptied, remapped, records)
SELECT date_trunc('hour', now()), s.system, s.stream, c.entity, c.field, c.changed, c.changed,
       c.emptied, c.remapped, (SELECT count(*) FROM catalog_sourcerecord o
                               WHERE o.source_id = c.source_id AND o.deleted_at IS NULL)
FROM counted c JOIN catalog_source s ON s.id = c.source_id
ON CONFLICT (system, stream, entity, field, hour) DO UPDATE
SET peak = GREATEST(f.peak, excluded.peak), now = excluded.now, emptied = excluded.emptied,
    remapped = excluded.remapped, records = excluded.records, counted_at = now()"""  # noqa: S608 (our own constants)

# Ids rise with time, nearly: what lies before this one is older than any window.
FLOOR = f"""
SELECT COALESCE(max(id), 0) FROM (
    SELECT id, at FROM catalog_revision WHERE id > %s ORDER BY id LIMIT {MOST}) r
WHERE at < now() - interval '{2 * WINDOW_MINUTES} minutes'"""  # noqa: S608 (our own constants)

_floor = 0


def count_changes() -> None:
    """One look; a few milliseconds where little changed."""
    global _floor  # noqa: PLW0603 (how far this process has looked)
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"floor": _floor})
        cursor.execute(FLOOR, [_floor])
        _floor = max(_floor, int(cursor.fetchone()[0]))
