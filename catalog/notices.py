"""Change notices: what changed, told in the commit that changed it.

Whoever has to react to a change (a purge of cached answers, a webhook to a frontend, a push to a
mirror) reads these rows and none of the entity tables. A notice covers a whole merge, so telling
of a thousand changes costs one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.models.functions import Cast, Now

from catalog.followers import FOLLOWERS, UNSEEN
from catalog.prepared import call


class PresentTransaction(models.Func):
    """The number of the transaction that writes; it never wraps around (xid8)."""

    function = "pg_current_xact_id"
    output_field = models.TextField()


class ChangeNotice(models.Model):
    """The records of one entity that one merge changed. Append-only; written by `catalog.merge`.

    `told` says that it was turned into whatever follows from it (see `take_untold`). Readers of
    whom there are many, and who forget when they end, go by `xid` (see `since`).

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
    xid = models.BigIntegerField(
        editable=False,
        db_default=Cast(Cast(PresentTransaction(), models.TextField()), models.BigIntegerField()),
        help_text="The transaction that wrote it.",
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["id"], name="notice_untold", condition=models.Q(told=False)),
            models.Index(fields=["xid"], name="notice_xid"),
        ]

    def __str__(self) -> str:
        return f"{self.entity}: {len(self.keys)} changed"

    def changes(self) -> Iterator[tuple[str, str]]:
        """(key, kind) of each record."""
        return zip(self.keys, self.kinds, strict=True)


#: Instead of an entity: whatever anybody keeps is to be dropped (`catalog.tags` knows no such name).
EVERYTHING = "*"


def purge_all() -> None:
    """Tell whoever keeps answers to drop all of them, as if all there is had changed."""
    ChangeNotice.objects.create(entity=EVERYTHING, keys=[], kinds=[], at=Now())


_COLUMNS = ", ".join(str(field.column) for field in ChangeNotice._meta.concrete_fields)

TAKE = f"""
WITH {FOLLOWERS}
UPDATE catalog_changenotice SET told = true
WHERE id IN (SELECT n.id FROM catalog_changenotice n
             WHERE NOT n.told AND (n.id = ANY(%(anyway)s) OR NOT {UNSEEN})
             ORDER BY n.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING {_COLUMNS}"""  # noqa: S608 (our own constants)

#: What committed between two snapshots, told by the later one. A number that no transaction has had
#: yet comes from another server, by way of a dump.
SINCE = """
SELECT pg_current_snapshot()::text, n.entity, n.keys, n.at
FROM (SELECT 1) AS always LEFT JOIN catalog_changenotice n
    ON n.xid >= pg_snapshot_xmin(%(seen)s::pg_snapshot)::text::bigint
    AND n.xid < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    AND NOT pg_visible_in_snapshot(n.xid::text::xid8, %(seen)s::pg_snapshot)
ORDER BY n.id LIMIT %(limit)s"""


def take_untold(limit: int, anyway: Sequence[int] = ()) -> list[ChangeNotice]:
    """Notices that nobody has told of, ticked off in the caller's transaction; oldest first.

    Those that every follower has seen (see `catalog.followers`), and those with the ids in `anyway`.
    """
    return sorted(
        ChangeNotice.objects.raw(
            call(TAKE, {"anyway": "bigint[]", "limit": "int"}),
            {"anyway": list(anyway), "limit": limit},
        ),
        key=lambda notice: notice.pk,
    )


@dataclass(frozen=True, slots=True)
class Changes:
    """Records of one entity that one merge changed, and when its transaction began."""

    entity: str
    keys: list[str]
    at: datetime


def position() -> str:
    """The position of a reader who has seen everything that is committed: a pg_snapshot."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_snapshot()::text")
        return str(cursor.fetchone()[0])


def since(seen: str, limit: int) -> tuple[str, list[Changes]]:
    """What committed after a position, oldest first, and the position after it.

    None is missed, in whatever order transactions commit. Where `limit` were found there may be
    more, which the new position passes over. Raises DatabaseError on what is no position.
    """
    with connection.cursor() as cursor:
        cursor.execute(SINCE, {"seen": seen, "limit": limit})
        rows = cursor.fetchall()
    return rows[0][0], [Changes(*row[1:]) for row in rows if row[1] is not None]
