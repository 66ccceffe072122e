"""Two records become one, and two again.

Merging moves source records, not values: what was told about one key is kept under the other, both
entity rows are merged anew from what stands under them, and so is whatever refers to either. Taking
apart is the same with the keys that the systems told. So there is nothing to be remembered for the
way back, and what systems said in the meantime goes where it belongs.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from catalog.entities import Entity, Reference, entities, entity, related
from catalog.matching.models import MatchCandidate, SameAs
from catalog.merge import Cause
from catalog.stage import merge_again
from observability import context
from observability.errors import ConflictError

# Whoever stores source records or merges has read the table, and holds this off until it commits;
# whoever begins after us waits, and sees what we did.
LOCK = "LOCK TABLE catalog_sameas IN ACCESS EXCLUSIVE MODE"

#: The alias and all that lead to it.
BELOW = """
WITH RECURSIVE below (alias) AS (
    SELECT %(alias)s::text COLLATE "C"
    UNION
    SELECT s.alias FROM catalog_sameas s JOIN below b ON s.key = b.alias
    WHERE s.entity = %(entity)s AND s.ended_at IS NULL
)
SELECT array_agg(alias) FROM below"""

MOVE = """
UPDATE catalog_sourcerecord r SET
    previous_key = r.entity_key, entity_key = %(to)s,
    told_key = NULLIF(COALESCE(r.told_key, r.entity_key), %(to)s)
FROM catalog_source o
WHERE o.id = r.source_id AND o.entity = %(entity)s AND r.entity_key = %(from)s
  AND COALESCE(r.told_key, r.entity_key) = ANY(%(told)s)"""

SPEAKERS = """
SELECT r.entity_key, array_agg(DISTINCT o.system ORDER BY o.system), array_agg(DISTINCT r.source_id)
FROM catalog_sourcerecord r JOIN catalog_source o ON o.id = r.source_id AND o.entity = %s
WHERE r.entity_key = ANY(%s) AND r.deleted_at IS NULL GROUP BY 1"""


@dataclass(frozen=True, slots=True)
class Speakers:
    """Who speaks about a record: slugs of systems, ids of sources."""

    systems: tuple[str, ...] = ()
    sources: frozenset[int] = frozenset()


def speakers(name: str, *keys: str) -> dict[str, Speakers]:
    """Who speaks about records of an entity, by key."""
    with connection.cursor() as cursor:
        cursor.execute(SPEAKERS, [name, list(keys)])
        found = {k: Speakers(tuple(s), frozenset(i)) for k, s, i in cursor.fetchall()}
    return {key: found.get(key, Speakers()) for key in keys}


def survivor(name: str, first: str, second: str) -> tuple[str, str]:
    """(key that stays, key that is merged into it): more systems know the one that stays."""
    spoken = speakers(name, first, second)
    if len(spoken[second].systems) > len(spoken[first].systems):
        return second, first
    return first, second


def merge(
    name: str, alias: str, key: str, *, by: str, reason: str, score: float | None = None
) -> SameAs:
    """From now on what is said about `alias` is said about `key`. Raises ConflictError.

    References to `alias` lead to `key`, `alias` itself is tombstoned.
    """
    with transaction.atomic():
        _lock()
        _check(name, alias, key)
        root = _root(name, key)
        if root == alias:
            raise ConflictError(f"{key} is merged into {alias}: take that apart first", record=key)
        made = SameAs.objects.create(
            entity=name, alias=alias, key=key, root=root, reason=reason, merged_by=by, score=score
        )
        _move(name, alias, alias, root)
        first, second = sorted((alias, key))
        MatchCandidate.objects.filter(entity=name, first=first, second=second).update(
            state=MatchCandidate.State.MERGED, decided_at=Now(), decided_by=by
        )
    return made


def unmerge(same: SameAs, *, by: str, reason: str) -> None:
    """Take apart: what systems told as the alias is said about it again. Raises ConflictError.

    The pair is not merged again by its score: a person has decided.
    """
    with transaction.atomic():
        _lock()
        same = SameAs.objects.get(pk=same.pk)
        if same.root is None:
            raise ConflictError(f"{same} was taken apart already", record=same.alias)
        was = same.root
        same.root, same.ended_at, same.ended_by, same.ended_because = None, Now(), by, reason
        same.save()
        _move(same.entity, same.alias, was, same.alias)
        first, second = sorted((same.alias, same.key))
        MatchCandidate.objects.update_or_create(
            entity=same.entity, first=first, second=second,
            defaults={"state": MatchCandidate.State.REJECTED, "decided_at": Now(), "decided_by": by},
            create_defaults={
                "score": same.score or 0, "state": MatchCandidate.State.REJECTED,
                "decided_at": Now(), "decided_by": by,
            },
        )  # fmt: skip


def reject(candidate: MatchCandidate, *, by: str) -> None:
    """They are not the same: nobody is asked again."""
    MatchCandidate.objects.filter(pk=candidate.pk, state=MatchCandidate.State.OPEN).update(
        state=MatchCandidate.State.REJECTED, decided_at=Now(), decided_by=by
    )


def stands_for(name: str, key: str) -> str | None:
    """The key that a merged one leads to; None for any other."""
    found = SameAs.objects.filter(entity=name, alias=key, ended_at=None)
    return found.values_list("root", flat=True).first()


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute(LOCK)


def _check(name: str, alias: str, key: str) -> None:
    rows = entity(name)._default_manager.filter(deleted_at=None)
    if alias == key:
        raise ConflictError(f"{key} is one record already", record=key)
    if led := stands_for(name, alias):
        raise ConflictError(f"{alias} is merged into {led} already", record=alias)
    for one in (alias, key):
        if stands_for(name, one) is None and not rows.filter(key=one).exists():
            raise ConflictError(f"there is no {name} {one}", record=one)


def _root(name: str, key: str) -> str:
    return stands_for(name, key) or key


def _move(name: str, alias: str, was: str, root: str) -> None:
    """Put what was told as `alias`, or as what leads to it, from under `was` under `root`."""
    with connection.cursor() as cursor:
        cursor.execute(BELOW, {"entity": name, "alias": alias})
        told = cursor.fetchone()[0]
        SameAs.objects.filter(
            Q(entity=name, alias__in=told, ended_at=None) & ~Q(alias=root)
        ).update(root=root)
        cursor.execute(MOVE, {"entity": name, "from": was, "to": root, "told": told})
    touched = {name: [was, root], **_referring(entity(name), was)}
    merge_again(touched, Cause(correlation_id=context.current_id() or ""))


def _referring(cls: type[Entity], key: str) -> dict[str, list[str]]:
    """Records that refer to a record, by entity."""
    found = {}
    for name, other in entities().items():
        references = [
            f for f in other._meta.concrete_fields
            if isinstance(f, Reference) and related(other, f.name) is cls
        ]  # fmt: skip
        led = Q(*[(f.attname, key) for f in references], _connector=Q.OR)
        if references:
            found[name] = list(other._default_manager.filter(led).values_list(F("key"), flat=True))
    return found
