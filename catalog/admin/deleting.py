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
class Crowd:
    """More rows of a model than are listed, which would go too, or stand against it."""

    model: type[Model]
    count: int
    goes: bool

    def __str__(self) -> str:
        many = f"more than {EXACT:,}" if self.count > EXACT else f"{self.count:,}"
        return f"{many} {self.model._meta.verbose_name_plural}"


class BoundedDeletion:
    """Goes before the admin class that it completes.

    What belongs to the row in large numbers is counted, not listed. Whether it may go is decided as
    otherwise: by the permission to delete such rows, and by what protects the row.
    """

    admin_site: Any

    def get_deleted_objects(
        self, objs: Sequence[Any], request: HttpRequest
    ) -> tuple[list[Any], dict[str, Any], set[str], list[Any]]:
        """Django's (what goes, how many, what may not be deleted, what stands against it)."""
        crowds = list(_crowds(list(objs)))
        if not crowds:
            return super().get_deleted_objects(objs, request)  # type: ignore[misc,no-any-return]
        going = [crowd for crowd in crowds if crowd.goes]
        may_not = {
            str(crowd.model._meta.verbose_name)
            for crowd in going
            if (page := self.admin_site._registry.get(crowd.model))
            and not page.has_delete_permission(request)
        }
        counts = {str(crowd.model._meta.verbose_name_plural): crowd.count for crowd in going}
        against = [str(crowd) for crowd in crowds if not crowd.goes]
        return [*map(str, objs), [str(crowd) for crowd in going]], counts, may_not, against


def _crowds(rows: list[Model]) -> Iterator[Crowd]:
    """What belongs to these rows in large numbers. A statement for each relation, by its index."""
    relations: list[Any] = rows[0]._meta.get_fields(include_hidden=True) if rows else []
    for relation in relations:
        if not (relation.auto_created and relation.one_to_many):
            continue
        if relation.on_delete in (CASCADE, PROTECT, RESTRICT):
            belonging = relation.related_model._base_manager.filter(
                **{f"{relation.field.name}__in": rows}
            )
            count = belonging.order_by()[: EXACT + 1].count()
            if count > LISTED:
                yield Crowd(relation.related_model, count, relation.on_delete is CASCADE)
