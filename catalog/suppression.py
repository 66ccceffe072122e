"""Who was erased does not come back: what a system says about them later is dropped and counted.

Of an erased record the digest of its natural key stays, and nothing else. Every sentence about an
entity that concerns people is held against it at the door of the catalogue (`catalog.stage`): what
is about an erased person is dropped; what refers to one (an order) is stored without the members of
its payload that may hold personal data. Digests are peppered: a copy of this table alone tells nobody
which numbers were erased.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar

from django.db import connection, models
from django.db.models import F
from django.db.models.functions import Now
from django.dispatch import Signal

from catalog import masking
from catalog.entities import Reference, entity, related, value_fields
from catalog.payload import scrubbed
from catalog.prepared import call
from catalog.source import Source

if TYPE_CHECKING:
    from catalog.stage import Contribution

#: Sent with `events`, the ids of events that brought what was dropped or scrubbed; in the transaction.
dropped = Signal()


class Suppression(models.Model):
    """One key of an entity that was erased."""

    id = models.BigAutoField(primary_key=True)
    entity = models.TextField()
    digest = models.BinaryField(max_length=32, unique=True)
    since = models.DateTimeField(db_default=Now())
    dropped = models.BigIntegerField(default=0, db_default=0, help_text="Sentences since then.")
    last_dropped_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        permissions: ClassVar = [("erase_person", "Can erase a person")]

    def __str__(self) -> str:
        return f"{self.entity} {bytes(self.digest).hex()[:12]}"


class Pepper(models.Model):
    """What digests are made with; one row."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    value = models.BinaryField(max_length=32)

    def __str__(self) -> str:
        return "pepper"


#: Who lets a sentence in holds the door; who erases waits for them, and is seen by whoever comes next.
DOOR = "hashtext('headwater erasure')"
HELD_OPEN = f"SELECT pg_advisory_xact_lock_shared({DOOR})"
ANYBODY = "SELECT EXISTS (SELECT FROM catalog_suppression)"
SHUT = f"SELECT pg_advisory_xact_lock({DOOR})"


def guarded_door() -> bool:
    """Whether anybody was ever erased; until the transaction ends nobody else is."""
    with connection.cursor() as cursor:
        # The second statement sees what the first has waited for.
        cursor.execute(f"{call(HELD_OPEN)};\n{call(ANYBODY)}")
        cursor.nextset()
        return bool(cursor.fetchone()[0])


def digests(name: str, keys: Iterable[str]) -> dict[bytes, str]:
    """The keys of an entity by their digests."""
    row, _ = Pepper.objects.get_or_create(pk=1, defaults={"value": secrets.token_bytes(32)})
    begun = sha256(bytes(row.value) + name.encode() + b"\0")
    found = {}
    for key in keys:
        one = begun.copy()
        one.update(key.encode())
        found[one.digest()] = key
    return found


def suppress(name: str, keys: Iterable[str]) -> list[str]:
    """From now on these are erased; their digests in hex. Waits for what is being let in."""
    with connection.cursor() as cursor:
        cursor.execute(SHUT)
    made = digests(name, keys)
    Suppression.objects.bulk_create(
        [Suppression(entity=name, digest=one) for one in made], ignore_conflicts=True
    )
    return [one.hex() for one in made]


def place(system: str, stream: str) -> str:
    """In the place of an entity: under it the keys of source records are suppressed."""
    return f"{system}.{stream}"


def suppressed(name: str, keys: Iterable[str]) -> set[str]:
    """Those of the keys that were erased."""
    made = digests(name, keys)
    if not made:
        return set()
    rows = Suppression.objects.filter(digest__in=list(made)).values_list("digest", flat=True)
    return {made[bytes(one)] for one in rows}


def screened(contributions: Sequence[Contribution], names: Sequence[str]) -> Sequence[Contribution]:
    """Without what is about erased persons, and what refers to them without personal members.

    Nothing is asked of the database for entities that concern nobody, and next to nothing where nobody
    was ever erased. In the caller's transaction.
    """
    if not any(masking.concerns_people(name) for name in names):
        return contributions
    if not guarded_door():
        return contributions
    sources = Source.objects.in_bulk({c.source_id for c in contributions})
    left: list[Contribution] = []
    events: set[int] = set()
    gone: dict[str, int] = {}
    erased = _erased(contributions, sources)
    for one in contributions:
        source = sources[one.source_id]
        if (source.entity, one.entity_key) in erased:
            gone[one.entity_key] = gone.get(one.entity_key, 0) + 1
        elif any(
            (to, str(one.fields.get(name))) in erased for name, to in people_of(source.entity)
        ):
            left.append(_scrubbed(one, source))
        else:
            left.append(one)
            continue
        if one.told is not None and one.told.event_id is not None:
            events.add(one.told.event_id)
    _count(erased, gone)
    if events:
        dropped.send(sender=Suppression, events=events)
    return left


def people_of(name: str) -> list[tuple[str, str]]:
    """(field, entity) of the references of an entity to such as have personal data."""
    cls = entity(name)
    return [
        (f.name, to.declaration.name)
        for f in value_fields(cls)
        if isinstance(f, Reference) and masking.has_personal(to := related(cls, f.name))
    ]


def _erased(
    contributions: Sequence[Contribution], sources: dict[int, Source]
) -> set[tuple[str, str]]:
    wanted: dict[str, set[str]] = {}
    for one in contributions:
        name = sources[one.source_id].entity
        if masking.has_personal(entity(name)):
            wanted.setdefault(name, set()).add(one.entity_key)
        for field, to in people_of(name):
            if (key := one.fields.get(field)) is not None:
                wanted.setdefault(to, set()).add(str(key))
    return {(name, key) for name, keys in wanted.items() for key in suppressed(name, keys)}


def _scrubbed(one: Contribution, source: Source) -> Contribution:
    opened = masking.open_members(source.system, source.stream, source.entity)
    if opened is None:
        return one
    payload = scrubbed(bytes(one.payload).decode("utf-8", "replace"), masking.but(opened))
    # The hash stays that of what came: by it an unchanged record is recognised.
    return replace(one, payload=payload.encode(), line=b"")


def _count(erased: set[tuple[str, str]], gone: dict[str, int]) -> None:
    for name in {name for name, _ in erased}:
        for digest, key in digests(name, gone).items():
            Suppression.objects.filter(digest=digest).update(
                dropped=F("dropped") + gone[key], last_dropped_at=Now()
            )
