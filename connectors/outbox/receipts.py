"""Purge receipts: how long it took from an upstream's change to the last subscriber's taking it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from catalog.notices import ChangeNotice

#: Figures are of the last day's receipts, the latest of these at most.
MOST_COUNTED = 2_000

# The events behind a notice stand in the revisions of its merge. What the hub read itself, in a run,
# it knows from then on.
OPEN = """
INSERT INTO connectors_purgereceipt
    (entities, notices, records, changed_at, received_at, merged_at, correlation_ids)
SELECT array_agg(DISTINCT n.entity), count(DISTINCT n.id), %(records)s,
       min(COALESCE(LEAST(e.occurred_at, e.received_at), n.at)),
       min(COALESCE(e.received_at, n.at)), min(n.at),
       -- a merge of several causes has revisions under several ids, and a notice under none
       ARRAY(SELECT DISTINCT id FROM unnest(array_agg(DISTINCT n.correlation_id)
                                            || array_agg(DISTINCT r.correlation_id)) AS told (id)
             WHERE id <> '')
FROM catalog_changenotice n
LEFT JOIN catalog_revision r ON n.run_id IS NULL
    AND r.entity = n.entity AND r.key = ANY(n.keys) AND r.at = n.at
LEFT JOIN connectors_inboxevent e ON e.id = r.event_id
WHERE n.id = ANY(%(notices)s)
RETURNING id"""

FIGURES = """
SELECT count(*), count(*) FILTER (WHERE all_took),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE all_took),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE all_took)
FROM (
    SELECT bool_and(c.state = 'applied') AS all_took,
           EXTRACT(EPOCH FROM max(c.finished_at) - r.changed_at)::float8 AS seconds
    FROM (SELECT id, changed_at FROM connectors_purgereceipt
          WHERE told_at > now() - interval '1 day' ORDER BY id DESC LIMIT %(most)s) r
    JOIN connectors_outboxcommand c ON c.receipt_id = r.id
        AND (%(subscriber)s::bigint IS NULL OR c.subscriber_id = %(subscriber)s)
    GROUP BY r.id, r.changed_at) AS told"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Receipts of the last day: how many, and the seconds of those that everybody took."""

    told: int
    taken: int
    p50: float | None
    p95: float | None


def open_for(notices: Sequence[ChangeNotice]) -> int:
    """A receipt for these notices, in the caller's transaction; its id."""
    with connection.cursor() as cursor:
        cursor.execute(
            OPEN,
            {"notices": [n.pk for n in notices], "records": sum(len(n.keys) for n in notices)},
        )
        return int(cursor.fetchone()[0])


def figures(subscriber: int | None = None) -> Figures:
    """Of one subscriber, or until the last of all of them took it."""
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, {"subscriber": subscriber, "most": MOST_COUNTED})
        return Figures(*cursor.fetchone())
