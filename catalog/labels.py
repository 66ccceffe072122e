"""The names of records in a narrow table of their own, by which people find them.

A word that somebody remembers may stand anywhere in a name. To find it, an index over every three
letters of every name is needed, and keeping that in the merge would double what a product costs
there. So the names are copied beside it: `follow` goes by the change notices, twice a minute in the
supervisor's rounds, and what it has not seen yet is found by its key all the same.

An entity takes part if its first label is a text that names it (no list is narrowed by it), and it
is no part of another. Personal labels stand in rows of their own, so that whoever may not see them
finds nobody by them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, ClassVar

from django.db import connection, connections, models, transaction

from catalog import notices
from catalog.entities import PERSONAL, Entity, LocalizedField, entities, related
from catalog.entities.derived import quoted

#: More notices than this, and every name of the entity is copied again.
MOST_NOTICES = 1000
TRIGRAMS, INDEX = "pg_trgm", "record_label_words"


class RecordLabel(models.Model):
    """The words by which one record is found, in lower case, of all its labels and locales."""

    id = models.BigAutoField(primary_key=True)
    entity = models.TextField()
    key = models.TextField(db_collation="C")
    personal = models.BooleanField(help_text="Only who may see personal data finds by it.")
    words = models.TextField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["entity", "key", "personal"], name="record_label_once")
        ]

    def __str__(self) -> str:
        return f"{self.entity} {self.key}"


class LabelPosition(models.Model):
    """Up to where in the change notices an entity's names were copied (a pg_snapshot)."""

    entity = models.TextField(primary_key=True)
    seen = models.TextField()

    def __str__(self) -> str:
        return f"{self.entity} up to {self.seen}"


def follow() -> int:
    """Copy the names of what changed since the last look; how many rows were written or removed."""
    return sum(_follow(name, cls) for name, cls in entities().items() if named(cls))


def _follow(name: str, cls: type[Entity]) -> int:
    with transaction.atomic():
        row, new = LabelPosition.objects.select_for_update().get_or_create(
            entity=name, defaults={"seen": notices.position()}
        )
        keys: list[str] | None = None
        if not new:
            now, changes = notices.since(row.seen, MOST_NOTICES)
            if len(changes) < MOST_NOTICES:
                keys = sorted({k for one in changes if one.entity == name for k in one.keys})
            LabelPosition.objects.filter(pk=name).update(seen=now)
            if keys == []:
                return 0
        with connection.cursor() as cursor:
            cursor.execute(statement(cls), {"keys": keys})
            return int(cursor.fetchone()[0])


@lru_cache(maxsize=64)
def named(cls: type[Entity]) -> tuple[str, ...]:
    """The labels by whose words records of an entity are found; none where it takes no part."""
    declared = cls.declaration
    texts = [
        name
        for name in declared.labels
        if isinstance(cls._meta.get_field(name), models.TextField | LocalizedField)
    ]
    first = declared.labels[0] if declared.labels else ""
    part = any(related(o, p) is cls for o in entities().values() for p in o.declaration.parts)
    names = not part and first in texts and first not in declared.filters
    return tuple(texts) if names else ()


@lru_cache(maxsize=64)
def statement(cls: type[Entity]) -> str:
    """The SQL that copies an entity's names. Parameter keys: None for all."""
    name, every = cls.declaration.name, "%(keys)s::text[] IS NULL"
    asked = f"({every} OR {{}}.key = ANY(%(keys)s))"
    said = " UNION ALL ".join(
        f"SELECT e.key, {personal} AS personal, lower(concat_ws(' ', {words})) AS words"
        f" FROM {quoted(cls._meta.db_table)} e WHERE e.deleted_at IS NULL AND {asked.format('e')}"
        for personal, words in _words(cls)
    )
    return f"""
WITH said AS MATERIALIZED (
    SELECT * FROM ({said}) s WHERE s.words <> ''
), gone AS (
    DELETE FROM catalog_recordlabel l WHERE l.entity = '{name}' AND {asked.format("l")}
    AND NOT EXISTS (SELECT FROM said s WHERE s.key = l.key AND s.personal = l.personal)
    RETURNING 1
), kept AS (
    INSERT INTO catalog_recordlabel AS l (entity, key, personal, words)
    SELECT '{name}', key, personal, words FROM said
    ON CONFLICT (entity, key, personal) DO UPDATE SET words = excluded.words
    WHERE l.words <> excluded.words
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM kept)"""


def _words(cls: type[Entity]) -> Iterator[tuple[str, str]]:
    """(whether they are personal, SQL of the texts) of an entity's labels."""
    guarded = cls.declaration.guarded
    for personal in (False, True):
        texts = [n for n in named(cls) if (guarded.get(n) == PERSONAL) is personal]
        if texts:
            yield str(personal).lower(), ", ".join(_text(cls, name) for name in texts)


def _text(cls: type[Entity], name: str) -> str:
    field: Any = cls._meta.get_field(name)
    column = f"e.{quoted(str(field.column))}"
    if isinstance(field, LocalizedField):
        return f"(SELECT string_agg(t.value, ' ') FROM jsonb_each_text({column}) t)"
    return column


def index(using: str = "default", **_signal: Any) -> None:
    """After each `migrate`: the index over three letters, where PostgreSQL has what it takes."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT to_regclass('catalog_recordlabel') IS NOT NULL AND to_regclass(%s) IS NULL"
            " AND EXISTS (SELECT FROM pg_available_extensions WHERE name = %s)"
            " AND (EXISTS (SELECT FROM pg_extension WHERE extname = %s)"
            "      OR has_database_privilege(current_database(), 'CREATE'))",
            [INDEX, TRIGRAMS, TRIGRAMS],
        )
        if cursor.fetchone()[0]:
            cursor.execute(
                f"CREATE EXTENSION IF NOT EXISTS {TRIGRAMS};"
                f"CREATE INDEX {INDEX} ON catalog_recordlabel USING gin (words gin_trgm_ops)"
            )


def trigrams() -> bool:
    """Whether names are found by words that are nearly the same."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [INDEX])
        return bool(cursor.fetchone()[0])
