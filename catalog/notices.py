"""Change notices: what changed, told in the commit that changed it.

Whoever has to react to a change (a purge of cached answers, a webhook to a frontend, a push to a
mirror) reads these rows and none of the entity tables. A notice covers a whole merge, so telling
of a thousand changes costs one row.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.postgres.fields import ArrayField
from django.db import models


class ChangeNotice(models.Model):
    """The records of one entity that one merge changed. Append-only; written by `catalog.merge`.

    `kinds` runs parallel to `keys`, which are distinct and sorted; a kind is one of
    `Revision.Kind`. Ids rise, but two merges at once may become visible in the other order: who
    keeps a position must look back over transactions that are still open.
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

    def __str__(self) -> str:
        return f"{self.entity}: {len(self.keys)} changed"

    def changes(self) -> Iterator[tuple[str, str]]:
        """(key, kind) of each record."""
        return zip(self.keys, self.kinds, strict=True)
