"""Records that have to be merged again at some time although nobody says anything of them.

A rule that accepts others once the owner is silent changes what is believed by the clock alone.
The merge notes when that will be; who looks after it (`connectors.runtime.rules`) merges what is due.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import connection, models, transaction

from catalog.merge import Cause, Merged
from catalog.stage import merge_again
from observability.clock import database_now

#: In one transaction, which holds up merges of the same rows.
MERGED_AT_ONCE = 1000

DUE = """
SELECT d.entity, array_agg(d.key) FROM (
    SELECT entity, key FROM catalog_mergedue WHERE at <= %s ORDER BY at LIMIT %s) d
GROUP BY 1 ORDER BY 1"""

# After the merge, which holds the locks of the records and has noted what is due next.
DONE = """
DELETE FROM catalog_mergedue d USING touched t
WHERE d.entity = t.entity AND d.key = t.key AND d.at <= %s"""


class MergeDue(models.Model):
    """When the next owner of a record will have been silent for long enough."""

    pk = models.CompositePrimaryKey("entity", "key")
    entity = models.TextField()
    key = models.TextField(db_collation="C")
    at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["at"], name="merge_due_at")]

    def __str__(self) -> str:
        return f"{self.entity} {self.key}"


@transaction.atomic
def merge_due(limit: int = MERGED_AT_ONCE) -> tuple[int, Merged]:
    """Merge some of what is due; how many records there were, and what changed."""
    now = database_now()
    with connection.cursor() as cursor:
        cursor.execute(DUE, [now, limit])
        due = dict(cursor.fetchall())
        if not due:
            return 0, Merged()
        merged = merge_again(due, Cause())
        cursor.execute(DONE, [now])
    return sum(map(len, due.values())), merged
