"""Derived columns: kept equal to their truth in the transaction that changes a part.

The merge notes in `unsettled` which rows stand above a part whose change matters; `settle` climbs
from there to the rows that have derived columns, and derives these anew, once for a whole merge.

Two transactions may change two parts of one record at once, and neither sees the other's change.
So both take the lock of the record's key, and derive after they have it: the later one sees both.
The same holds on the way: who reads which record a variant belongs to, and who changes that, take
the lock of the variant's key. Locks are taken from the parts upward, rows in order of their keys.

Prices begin and end by the clock, not by a merge: `NextChange` keeps the day of it, and the
supervisor has what is due derived again (`renew_due`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import connection, models, transaction

from catalog import guard
from catalog.entities import Entity, derived_fields, entities
from catalog.entities.derived import TODAY, NextChange, quoted, steps

LOCK_BUCKETS = 64
#: In one transaction, which holds up merges of the same rows; the supervisor asks each second while
#: there are more.
RENEWED_AT_ONCE = 1000
#: Instead of a path of parts: all that there are.
ALL = ""

UNSETTLED = """
CREATE TEMPORARY TABLE IF NOT EXISTS unsettled (
    entity text STORAGE PLAIN, key text STORAGE PLAIN, parts text STORAGE PLAIN, event_id bigint,
    correlation_id text STORAGE PLAIN
) ON COMMIT DELETE ROWS"""


@dataclass(frozen=True, slots=True)
class Watch:
    """That derived columns of `owner` hang on an entity, at the end of a path of parts or on it.

    `above` is the column of the entity that names the row above, and `over` that row's entity:
    both empty for the owner itself. `place` is 0 for the owner, 1 for its parts, and so on.
    """

    owner: type[Entity]
    group: str
    place: int
    over: str
    above: str
    last: bool


def watches(cls: type[Entity]) -> list[Watch]:
    """What hangs on an entity's rows."""
    return [watch for watched, watch in _all_watches() if watched is cls]


@lru_cache(maxsize=1)
def _all_watches() -> list[tuple[type[Entity], Watch]]:
    return [found for owner in entities().values() for found in _watches_of(owner)]


def _watches_of(owner: type[Entity]) -> Iterator[tuple[type[Entity], Watch]]:
    for parts in sorted({field.parts for field in derived_fields(owner, served=False)}):
        group, over = ".".join(parts), owner
        yield owner, Watch(owner, group, 0, "", "", last=False)
        for place, (child, column) in enumerate(steps(owner, parts), start=1):
            last = place == len(parts)
            yield child, Watch(owner, group, place, over.declaration.name, column, last)
            over = child


def noting(cls: type[Entity]) -> str:
    """The part of a merge statement that notes what has to be settled; empty: nothing has.

    It reads `merged` and `old` as `catalog.merge` makes them.
    """
    watching = watches(cls)
    selects = [_noted(cls, watch) for watch in watching if watch.place]
    if any(not watch.last for watch in watching):
        selects.append(_came(cls))
    if not selects:
        return ""
    noted = " UNION ALL ".join(selects)
    return f", unsettling AS (INSERT INTO unsettled {noted} RETURNING key)"


def _came(cls: type[Entity]) -> str:
    """A new row: its parts may have come before it. Most have not, so climbing looks first."""
    return (
        f"SELECT '{cls.declaration.name}', m.key, '{ALL}', m.event_id, m.correlation_id"
        " FROM merged m WHERE m.alive AND NOT EXISTS (SELECT FROM old o WHERE o.key = m.key)"
    )


def _noted(cls: type[Entity], watch: Watch) -> str:
    """What stands above a row that changed: above it before, and above it now."""
    above = quoted(watch.above)
    changed = "(o.key IS NOT NULL AND o.deleted_at IS NULL) <> m.alive"
    old, new = ([f"{alias}.{above}"] for alias in "om")
    if watch.last:
        for field in _fields(watch):
            old += field.watched("o")
            new += field.watched("m")
        rows = f"('{watch.over}', o.{above}), ('{watch.over}', m.{above})"
    else:
        changed = f"o.key IS NOT NULL AND {changed}"
        rows = f"('{watch.over}', o.{above}), ('{cls.declaration.name}', m.key)"
    differ = f"ROW({', '.join(old)}) IS DISTINCT FROM ROW({', '.join(new)})"
    came = "true" if watch.last else "o.key IS NOT NULL"
    return (
        f"SELECT DISTINCT x.entity, x.key, '{watch.group}', m.event_id, m.correlation_id"
        f" FROM merged m LEFT JOIN old o ON o.key = m.key"
        f" CROSS JOIN LATERAL (VALUES {rows}) x (entity, key)"
        f" WHERE x.key IS NOT NULL AND ({changed} OR {came} AND m.alive AND {differ})"
    )


def _fields(watch: Watch) -> list[Any]:
    return [f for f in derived_fields(watch.owner, served=False) if f.group == watch.group]


def settle(names: set[str], cause: dict[str, Any]) -> int:
    """Derive anew what `unsettled` names, where merges of these entities noted it.

    Inside the caller's transaction; `cause`: run, event and correlation. How many rows changed.
    """
    changed = 0
    with connection.cursor() as cursor:
        for owner in entities().values():
            watching = [
                w for cls, w in _all_watches() if w.owner is owner and cls.declaration.name in names
            ]
            if watching:
                cursor.execute(_climbing(owner))
                changed += guard.written(cursor, _deriving(owner), cause)[0]
        cursor.execute("DELETE FROM unsettled")
    return changed


@lru_cache(maxsize=64)
def _climbing(owner: type[Entity]) -> str:
    """Statements that lead from what was noted to the rows of the owner, and lock on the way."""
    ways = [(cls, w) for cls, w in _all_watches() if w.owner is owner and w.place and not w.last]
    said = []
    for cls, way in sorted(ways, key=lambda found: -found[1].place):
        name, above = cls.declaration.name, quoted(way.above)
        said += [
            _locked(name),
            (
                f"INSERT INTO unsettled SELECT DISTINCT '{way.over}', r.{above}, '{way.group}',"
                f" u.event_id, u.correlation_id"
                f" FROM unsettled u JOIN {quoted(cls._meta.db_table)} r ON r.key = u.key"
                f" WHERE u.entity = '{name}' AND r.{above} IS NOT NULL AND (u.parts = '{way.group}'"
                f" OR u.parts = '{ALL}' AND {_has_parts(cls, way.group, way.place)})"
            ),
        ]
    name, table = owner.declaration.name, quoted(owner._meta.db_table)
    # Rows before the lock of their keys: a merge of the owner's has its rows when it comes here.
    rows = (
        f"SELECT count(*) FROM (SELECT FROM {table} WHERE key = ANY (ARRAY(SELECT key"
        f" FROM unsettled WHERE entity = '{name}' AND parts <> '{ALL}'))"
        f" ORDER BY key FOR NO KEY UPDATE) l"
    )
    return ";\n".join([*dict.fromkeys(said), rows, _locked(name)])


def _has_parts(cls: type[Entity], group: str, place: int) -> str:
    """Whether any part on the way of a group names the noted row `u`, buried or not."""
    part = group.split(".")[place]
    child, column = steps(cls, [part])[0]
    return f"EXISTS (SELECT FROM {quoted(child._meta.db_table)} c WHERE c.{quoted(column)} = u.key)"


def _locked(name: str) -> str:
    return (
        f"SELECT count(pg_advisory_xact_lock(hashtext('derived from {name}'), bucket)) FROM ("
        f"SELECT DISTINCT hashtext(key) & {LOCK_BUCKETS - 1} AS bucket FROM unsettled"
        f" WHERE entity = '{name}' ORDER BY 1) AS buckets"
    )


@lru_cache(maxsize=64)
def _deriving(owner: type[Entity]) -> str:
    """The statement that writes what differs from its truth, and tells of it."""
    name, table = owner.declaration.name, quoted(owner._meta.db_table)
    fields = derived_fields(owner, served=False)
    columns = [quoted(str(f.column)) for f in fields]
    groups = {f.group: f"g{n}" for n, f in enumerate({f.group: f for f in fields}.values())}
    asked = ", ".join(
        f"bool_or(parts IN ('{group}', '{ALL}')) AS {g}" for group, g in groups.items()
    )
    firsts = {group.split(".")[0]: group for group in groups}.values()
    has_parts = " OR ".join(_has_parts(owner, group, 0) for group in firsts)
    true = ", ".join(
        f"o.{c} AS {_was(f)}, CASE WHEN a.{groups[f.group]} THEN {f.truth('o')} ELSE o.{c} END AS {c}"
        for f, c in zip(fields, columns, strict=True)
    )

    def differ(*, served: bool) -> str:
        shown = derived_fields(owner, served=served)
        was = ", ".join(f.compared(_was(f)) for f in shown)
        now = ", ".join(f.compared(quoted(str(f.column))) for f in shown)
        return f"ROW({was}) IS DISTINCT FROM ROW({now})"

    # Joins of two lists are avoided: `catalog.stage.INDEX_PLANS` leaves nested loops alone.
    return f"""
WITH asked AS MATERIALIZED (
    SELECT key, {asked}, min(event_id) AS event_id, max(event_id) AS last_event_id,
           min(correlation_id) AS correlation_id
    FROM unsettled u WHERE entity = '{name}' AND (parts <> '{ALL}' OR {has_parts}) GROUP BY key
), truth AS MATERIALIZED (
    SELECT o.key, o.changed_at, o.deleted_at, a.event_id, a.last_event_id, a.correlation_id,
           {true}
    FROM asked a JOIN {table} o ON o.key = a.key
), news AS MATERIALIZED (
    SELECT *, deleted_at IS NULL AND {differ(served=True)} AS shows
    FROM truth WHERE {differ(served=False)}
), kept AS (
    UPDATE {table} o SET {", ".join(f"{c} = t.{c}" for c in columns)},
        changed_at = CASE WHEN t.shows THEN now() ELSE o.changed_at END
    FROM news t WHERE o.key = t.key
), told AS (
    INSERT INTO catalog_changenotice
        (entity, keys, kinds, at, run_id, event_id, correlation_id)
    SELECT '{name}', array_agg(key ORDER BY key), array_agg('changed'::text), now(), %(run)s::bigint,
           COALESCE(CASE WHEN min(event_id) = max(last_event_id) THEN min(event_id) END,
                    %(event)s::bigint),
           COALESCE(CASE WHEN min(correlation_id) = max(correlation_id) THEN min(correlation_id)
                    END, %(correlation)s)
    -- what was merged in this transaction has been told of
    FROM news WHERE shows AND changed_at < now() HAVING count(*) > 0
)
SELECT count(*) FROM news"""


def _was(field: Any) -> str:
    return quoted(f"was {field.column}")


def wrong(owner: type[Entity]) -> list[str]:
    """Keys of the rows whose derived columns differ from their truth; derives all of them."""
    fields = derived_fields(owner, served=False)
    if not fields:
        return []
    kept = ", ".join(f.compared(f"o.{quoted(str(f.column))}") for f in fields)
    true = ", ".join(f.compared(f.truth("o")) for f in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT o.key FROM {quoted(owner._meta.db_table)} o"
            f" WHERE ROW({kept}) IS DISTINCT FROM ROW({true}) ORDER BY o.key"
        )
        return [key for (key,) in cursor.fetchall()]


def renew(owner: type[Entity], keys: list[str]) -> int:
    """Derive the columns of these rows anew, in a transaction; how many changed."""
    name = owner.declaration.name
    groups = sorted({f.group for f in derived_fields(owner, served=False)})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(UNSETTLED)
        cursor.execute(
            "INSERT INTO unsettled SELECT %s, k, p FROM unnest(%s::text[]) k, unnest(%s::text[]) p",
            [name, keys, groups],
        )
        return settle({name}, {"run": None, "event": None, "correlation": ""})


def renew_due(limit: int = RENEWED_AT_ONCE) -> int:
    """Derive anew what the clock has changed, up to so many rows; how many there were."""
    found = 0
    for owner in entities().values():
        for field in owner._meta.concrete_fields:
            if isinstance(field, NextChange):
                keys = _due(owner, field, limit)
                found += len(keys)
                if keys:
                    renew(owner, keys)
    return found


def _due(owner: type[Entity], field: models.Field[Any, Any], limit: int) -> list[str]:
    column = quoted(str(field.column))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT key FROM {quoted(owner._meta.db_table)} WHERE {column} <= {TODAY}"
            f" ORDER BY {column}, key LIMIT %s",
            [limit],
        )
        return [key for (key,) in cursor.fetchall()]
