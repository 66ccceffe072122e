"""Tags: the names of what answers read, and of what changes make wrong.

    product:P-1   the record with all its parts: variants, their prices and stock, reviews
    products      any of the products: what a list reads, or what is reached by a reference

Whoever keeps an answer keeps it by these, here (`hub.cache`) and elsewhere: a CDN, a frontend that is
told by `connectors.outbox`. A change makes wrong the record's own tag, its entity's, and those of its
owners. An owner is found by the reference of its part, as it is now and as it was before the change:
a variant that moved to another product alters both. A part's part alters the owner's owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from django.db import connection, models

from catalog.entities import Entity, entities, entity
from catalog.notices import Changes

#: More changed records than this at once, and dropping everything is the cheaper purge.
MOST_RECORDS = 5_000

# References as they are now, and as revisions say that they were.
OWNERS = """
SELECT {column} FROM {table} WHERE key = ANY(%(keys)s) AND {column} IS NOT NULL
UNION
SELECT changes -> '{field}' ->> 0 FROM catalog_revision
WHERE entity = '{entity}' AND key = ANY(%(keys)s) AND at >= %(since)s
  AND changes -> '{field}' ->> 0 IS NOT NULL"""


def of_record(name: str, key: str) -> str:
    """A record's tag. Safe in a header: keys may hold blanks and commas."""
    return f"{name}:{quote(key, safe='-._~/')}"


def of_all(cls: type[Entity]) -> str:
    """The tag of what reads any records of an entity."""
    return cls.declaration.plural


@dataclass(frozen=True, slots=True)
class Owner:
    """An entity of which another is a part, and the SQL that finds its keys."""

    name: str
    find: str


def tags_of(changes: Iterable[Changes]) -> set[str] | None:
    """The tags of all answers that these changes may have altered; None: of every answer there is.

    Raises django.db.DatabaseError.
    """
    found: set[str] = set()
    changed: dict[str, set[str]] = {}
    since: dict[str, datetime] = {}
    for change in changes:
        changed.setdefault(change.entity, set()).update(change.keys)
        since[change.entity] = min(change.at, since.get(change.entity, change.at))
    if sum(map(len, changed.values())) > MOST_RECORDS or not changed.keys() <= entities().keys():
        return None
    for name, keys in changed.items():
        found.add(of_all(entity(name)))
        found.update(_upwards(name, keys, since[name]))
    return found


def _upwards(name: str, keys: set[str], since: datetime) -> Iterator[str]:
    """The tags of records and of their owners, however far up."""
    seen: dict[str, set[str]] = {}
    ahead = [(name, keys)]
    while ahead:
        called, there = ahead.pop()
        fresh = there - seen.setdefault(called, set())
        seen[called] |= fresh
        yield from (of_record(called, key) for key in fresh)
        above = owners().get(called, ()) if fresh else ()
        ahead += [(owner.name, _found(owner, fresh, since)) for owner in above]


def _found(owner: Owner, keys: set[str], since: datetime) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(owner.find, {"keys": list(keys), "since": since})
        return {row[0] for row in cursor.fetchall()}


@lru_cache(maxsize=1)
def owners() -> dict[str, list[Owner]]:
    """Who owns the records of an entity, by its name."""
    found: dict[str, list[Owner]] = {}
    for name, cls in entities().items():
        for part in cls.declaration.parts:
            relation: Any = cls._meta.get_field(part)
            reference: models.ForeignKey[Any, Any] = relation.field
            child: type[Entity] = relation.related_model
            find = OWNERS.format(
                column=connection.ops.quote_name(str(reference.column)),
                table=connection.ops.quote_name(child._meta.db_table),
                field=reference.name,
                entity=child.declaration.name,
            )
            found.setdefault(child.declaration.name, []).append(Owner(name, find))
    return found
