"""Change notices: what changed, told in the commit that changed it.

Whoever has to react to a change (a purge of cached answers, a webhook to a frontend, a push to a
mirror) reads these rows and none of the entity tables. A notice covers a whole merge, so telling
of a thousand changes costs one row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import connection, models


class ChangeNotice(models.Model):
    """The records of one entity that one merge changed. Append-only; written by `catalog.merge`.

    `told` says that it was turned into whatever follows from it (see `take_untold`).

    `kinds` runs parallel to `keys`, which are distinct and sorted; a kind is one of
    `Revision.Kind`. Ids rise, but two merges at once may become visible in the other order: a
    reader that kept a position would miss some, so each notice is ticked off by itself.
    """

    id = models.BigAutoField(primary_key=True)
    entity = models.TextField()
    keys = ArrayField(models.TextField(), help_text="Natural keys of the changed records.")
    kinds = ArrayField(
        models.TextField(), help_text="created, changed, deleted or restored, for each key."
    )
    at = models.DateTimeField()
    run_id = models.BigIntegerField(null=True)
    event_id = models.BigIntegerField(null=True)
    correlation_id = models.TextField(default="")
    told = models.BooleanField(default=False, db_default=False)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["id"], name="notice_untold", condition=models.Q(told=False))
        ]

    def __str__(self) -> str:
        return f"{self.entity}: {len(self.keys)} changed"

    def changes(self) -> Iterator[tuple[str, str]]:
        """(key, kind) of each record."""
        return zip(self.keys, self.kinds, strict=True)


TAKE = """
UPDATE catalog_changenotice SET told = true
WHERE id IN (SELECT id FROM catalog_changenotice WHERE NOT told
             ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING *"""

KEPT_DAYS = 7


def take_untold(limit: int) -> list[ChangeNotice]:
    """Notices that nobody has told of, ticked off in the caller's transaction; oldest first."""
    return sorted(ChangeNotice.objects.raw(TAKE, [limit]), key=lambda notice: notice.pk)


def prune_notices(limit: int = 5000) -> int:
    """Delete notices that were told of long ago; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM catalog_changenotice WHERE id IN ("
            " SELECT id FROM catalog_changenotice"
            " WHERE told AND at < now() - %s * interval '1 day' ORDER BY id LIMIT %s)",
            [KEPT_DAYS, limit],
        )
        return int(cursor.rowcount)
