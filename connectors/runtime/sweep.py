"""After a full refresh: what was not seen is gone upstream, unless too much of it is.

An upstream that answers with half of its records is likelier broken than half empty. So a
refresh that would tombstone more than the stream's share is held until a person confirms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from catalog.merge import Cause
from catalog.stage import Applied, withdraw, withdraw_children
from connectors.models import SyncRun
from connectors.runtime.prepare import Preparer

#: So few tombstones are never held, whatever their share.
HARMLESS = 10
#: No version is newer: the children of a record that is gone are gone whatever their version.
NEWEST = 2**63 - 1

UNSEEN = """
SELECT r.record_key FROM catalog_sourcerecord r
WHERE r.source_id = %(source)s AND r.deleted_at IS NULL AND r.observed_at < %(began)s
  AND NOT EXISTS (SELECT 1 FROM seen s WHERE s.key = r.record_key)"""

# The merge, in the same transaction, has asked for index plans; this one compares two whole sets.
SET_PLANS = """
SELECT set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true),
       set_config('enable_nestloop', 'off', true), set_config('work_mem', '64MB', true)"""

SEEN = """
CREATE TEMPORARY TABLE seen ON COMMIT DROP AS
SELECT DISTINCT key COLLATE "C" AS key
FROM connectors_seenpage p, jsonb_array_elements_text(p.keys) AS key WHERE p.run_id = %(run)s"""


@dataclass(frozen=True, slots=True)
class Swept:
    """How many records were tombstoned, or why none was."""

    tombstoned: int = 0
    merged: int = 0
    held_because: str = ""


def tombstone_unseen(run: SyncRun, preparer: Preparer, cause: Cause) -> Swept:
    """Tombstone what a full refresh did not see, inside the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(SEEN, {"run": run.pk})
        cursor.execute("ANALYZE seen")
        cursor.execute(SET_PLANS)
        cursor.execute(UNSEEN, {"source": preparer.source, "began": run.started_at})
        gone = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "SELECT count(*) FROM catalog_sourcerecord WHERE source_id = %s AND deleted_at IS NULL",
            [preparer.source],
        )
        alive = cursor.fetchone()[0]
        cursor.execute("SET LOCAL enable_nestloop TO on")
    if not gone:
        return Swept()
    share = len(gone) / alive
    if len(gone) > HARMLESS and share > run.stream.delete_guard_share and not run.allow_deletes:
        return Swept(
            held_because=(
                f"{len(gone)} of {alive} records ({share:.0%}) were not in this full refresh, more"
                f" than the {run.stream.delete_guard_share:.0%} that may vanish unconfirmed."
                " Nothing was tombstoned. If they are truly gone, confirm the deletions."
            )
        )
    applied = tombstone(gone, preparer, cause, run.started_at)
    return Swept(tombstoned=applied.stored, merged=applied.merged.total)


def tombstone(
    keys: Sequence[str],
    preparer: Preparer,
    cause: Cause,
    asked: datetime | None = None,
) -> Applied:
    """Withdraw records and their children, inside the caller's transaction.

    `asked`: see `catalog.stage.withdraw`.
    """
    applied = withdraw(preparer.source, keys, cause, entity=preparer.spec.entity, asked=asked)
    if not applied.stored:
        return applied
    for child in preparer.spec.children:
        withdraw_children(
            preparer.child_sources[child.slug],
            dict.fromkeys(keys, NEWEST),
            (),
            cause,
            entity=child.entity,
        )
    return applied
