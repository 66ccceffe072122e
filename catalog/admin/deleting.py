"""The question before a row is deleted, where more may belong to it than a page can show.

Django's page walks and lists everything that would go with the row. Of a person who has asked for
twenty thousand things that takes seconds, and nobody reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import CASCADE, PROTECT, RESTRICT, Model
from django.http import HttpRequest

from catalog.sizes import EXACT

#: Rows of one relation that are listed, each by its name; of more it is told how many there are.
LISTED = 50


@dataclass(frozen=True, slots=True)
class Belonging:
    """Rows of a model that would go too, or stand against it; counted up to `EXACT`."""

    model: type[Model]
    count: int
    goes: bool

    def __str__(self) -> str:
        many = f"more than {EXACT:,}" if self.count > EXACT else f"{self.count:,}"
        return f"{many} {self.model._meta.verbose_name_plural}"


class BoundedDeletion:
    """Goes before the admin class that it completes.

    What belongs to the row in large numbers is counted, not listed. Whether it may go is decided as
    otherwise: by the permission to delete such rows, and by what protects the row. Where it may not,
    `instead` says what to do.
    """

    admin_site: Any
    instead: str

    def get_deleted_objects(
        self, objs: Sequence[Any], request: HttpRequest
    ) -> tuple[list[Any], dict[str, Any], set[str], list[Any]]:
        """Django's (what goes, how many, what may not be deleted, what stands against it)."""
        belonging = list(_belonging(list(objs)))
        if any(rows.count > LISTED for rows in belonging):
            gone, counts, may_not, against = self._counted(objs, request, belonging)
        else:
            gone, counts, may_not, against = super().get_deleted_objects(objs, request)  # type: ignore[misc]
        return gone, counts, {*may_not, self.instead} if may_not else may_not, against

    def _counted(
        self, objs: Sequence[Any], request: HttpRequest, belonging: list[Belonging]
    ) -> tuple[list[Any], dict[str, Any], set[str], list[Any]]:
        going = [rows for rows in belonging if rows.goes]
        may_not = {
            str(rows)
            for rows in going
            if (page := self.admin_site._registry.get(rows.model))
            and not page.has_delete_permission(request)
        }
        counts = {str(rows.model._meta.verbose_name_plural): rows.count for rows in going}
        against = [str(rows) for rows in belonging if not rows.goes]
        return [*map(str, objs), [str(rows) for rows in going]], counts, may_not, against


def _belonging(rows: list[Model]) -> Iterator[Belonging]:
    """What belongs to these rows. A statement for each relation, by its index."""
    relations: list[Any] = rows[0]._meta.get_fields(include_hidden=True) if rows else []
    for relation in relations:
        if not (relation.auto_created and relation.one_to_many):
            continue
        if relation.on_delete in (CASCADE, PROTECT, RESTRICT):
            to = relation.related_model
            found = to._base_manager.filter(**{f"{relation.field.name}__in": rows}).order_by()
            if count := found[: EXACT + 1].count():
                yield Belonging(to, count, relation.on_delete is CASCADE)
