"""The schema `past`: one view an entity, and the few functions that undo its history.

A revision is a reverse delta, so the value of a field at a moment is the old value of its first
change after that, or what stands in the row today. `after`: from the first revision of the record
with a later time on, in the order in which they were written; of two transactions that changed one
record, the one that began first may have come last.

Rows have to be found by key and by what they belong to. A key never changes, and a reference hardly
ever: rows whose references stand as they did are found by the table's own indexes, the few others
by the index `revision_moved`. PostgreSQL hands constants down into both halves of a view, and no joined
rows: so these views are asked by lists of keys, never joined, and what is derived from parts is a
function that gathers the keys first.

The schema is dropped before tables change, and made anew after; what it was made from stands in its
comment. An entity of any app takes part, with nothing to add here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from django.db import connections, models

from catalog.entities import Derived, Entity, LocalizedField, Reference, entities, value_fields
from catalog.entities.derived import TODAY, quoted, steps

SCHEMA = "past"
#: The moment as the session knows it.
SETTING = "headwater.at"
INDEX = "revision_moved"
#: PostgreSQL's class of errors that we raise there: history does not reach back to the moment.
NOT_KNOWN = "HW404"
THE_DAY = f"({SCHEMA}.moment() AT TIME ZONE 'UTC')::date"
#: No transaction is open for longer, so none wrote a revision with a time so much earlier.
LONGEST = "interval '1 hour'"

# Ids are compared as `id + 0`: else the planner may walk the whole history by its primary key.
FUNCTIONS = f"""
CREATE FUNCTION {SCHEMA}.moment() RETURNS timestamptz LANGUAGE sql STABLE AS
$$ SELECT current_setting('{SETTING}')::timestamptz $$;

CREATE FUNCTION {SCHEMA}.after(entity text, key text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT min(r.id + 0) FROM public.catalog_revision r
            WHERE r.key = $2 AND r.entity = $1 COLLATE "default" AND r.at > {SCHEMA}.moment());
END $$;

CREATE FUNCTION {SCHEMA}.was(entity text, key text, field text, stands jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    undone bigint := {SCHEMA}.after($1, $2);
BEGIN
    IF undone IS NULL THEN
        RETURN stands;
    END IF;
    RETURN COALESCE((
        SELECT r.changes -> $3 -> 0 FROM public.catalog_revision r
        WHERE r.key = $2 AND r.entity = $1 COLLATE "default" AND r.changes ? $3 AND r.id >= undone
        ORDER BY r.id + 0 LIMIT 1), stands);
END $$;

-- Whether the row was there, buried or not, and has, or has not, moved since (NULL: whichever).
CREATE FUNCTION {SCHEMA}.known(entity text, key text, changed_at timestamptz, moved boolean)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    undone record;
BEGIN
    SELECT r.id, r.kind, r.at INTO undone FROM public.catalog_revision r
    WHERE r.key = $2 AND r.entity = $1 COLLATE "default" AND r.at > {SCHEMA}.moment()
    ORDER BY r.id + 0 LIMIT 1;
    IF undone.id IS NULL AND (moved OR changed_at <= {SCHEMA}.moment()) THEN
        RETURN moved IS NOT TRUE;
    END IF;
    IF undone.id IS NOT NULL AND moved <> EXISTS (
        SELECT FROM public.catalog_revision r WHERE r.key = $2
        AND r.entity = $1 COLLATE "default" AND r.id >= undone.id AND {{moves}}) THEN
        RETURN false;
    END IF;
    IF undone.kind = 'created' THEN
        RETURN false;
    END IF;
    -- A change without values is one that was emptied, by retention or because a person was erased;
    -- a record may come back as it was, so that says nothing unless others of it were emptied.
    IF undone.id IS NOT NULL AND EXISTS (
        SELECT FROM public.catalog_revision r WHERE r.key = $2
        AND r.entity = $1 COLLATE "default" AND r.id >= undone.id AND r.changes = '{{}}'
        AND (r.kind = 'changed' OR (r.kind = 'restored' AND EXISTS (
            SELECT FROM public.catalog_revision x WHERE x.key = $2
            AND x.entity = $1 COLLATE "default" AND x.kind = 'changed' AND x.changes = '{{}}')))) THEN
        RAISE EXCEPTION USING ERRCODE = '{NOT_KNOWN}', MESSAGE = format(
            'of %s %s the values of that time are not kept any more', $1, $2);
    END IF;
    IF EXISTS (SELECT FROM public.catalog_revision r WHERE r.key = $2
               AND r.entity = $1 COLLATE "default" AND (undone.id IS NULL OR r.id < undone.id)) THEN
        RETURN true;
    END IF;
    RAISE EXCEPTION USING ERRCODE = '{NOT_KNOWN}', MESSAGE = format(
        'of %s %s no history is kept from before %s', $1, $2,
        to_char(COALESCE(undone.at, changed_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
END $$;

CREATE FUNCTION {SCHEMA}.changed(entity text, key text, stands timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
DECLARE
    undone bigint := {SCHEMA}.after($1, $2);
BEGIN
    IF undone IS NULL AND stands <= {SCHEMA}.moment() THEN
        RETURN stands;
    END IF;
    RETURN (SELECT max(r.at) FROM public.catalog_revision r
            WHERE r.key = $2 AND r.entity = $1 COLLATE "default"
              AND (undone IS NULL OR r.id < undone));
END $$;

CREATE FUNCTION {SCHEMA}.buried(entity text, key text, stands timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
DECLARE
    undone record;
BEGIN
    SELECT r.id, r.kind INTO undone FROM public.catalog_revision r
    WHERE r.id = {SCHEMA}.after($1, $2);
    IF undone.id IS NULL THEN
        RETURN stands;
    ELSIF undone.kind <> 'restored' THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT max(r.at) FROM public.catalog_revision r
            WHERE r.key = $2 AND r.entity = $1 COLLATE "default" AND r.id < undone.id
              AND r.kind = 'deleted');
END $$;

CREATE FUNCTION {SCHEMA}.stood_for(entity text, alias text) RETURNS text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE led (key, step) AS (
        SELECT $2 COLLATE "C", 0 UNION ALL
        SELECT s.key, led.step + 1 FROM led JOIN public.catalog_sameas s
          ON s.entity = $1 AND s.alias = led.key AND s.merged_at <= {SCHEMA}.moment()
         AND (s.ended_at IS NULL OR s.ended_at > {SCHEMA}.moment())
        WHERE led.step < 100)
    SELECT led.key FROM led ORDER BY led.step DESC LIMIT 1 $$;

CREATE VIEW {SCHEMA}.catalog_sameas AS
SELECT s.id, s.entity, s.alias, s.key, {SCHEMA}.stood_for(s.entity, s.alias) COLLATE "C" AS root,
       s.score, s.reason, s.merged_at, s.merged_by, NULL::timestamptz AS ended_at,
       ''::text AS ended_by, ''::text AS ended_because
FROM public.catalog_sameas s
WHERE s.merged_at <= {SCHEMA}.moment() AND (s.ended_at IS NULL OR s.ended_at > {SCHEMA}.moment());
"""

#: What there is, as its comment says; NULL where it is not.
MADE_FROM = "SELECT obj_description(to_regnamespace(%s), 'pg_namespace')"
INDEXED = "SELECT obj_description(to_regclass(%s), 'pg_class')"


def drop(using: str = "default", plan: Sequence[Any] = (), **_signal: Any) -> None:
    """Before migrations run: a table on which a view stands cannot change its columns."""
    if plan:
        with connections[using].cursor() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")


def make(using: str = "default", **_signal: Any) -> None:
    """After them: the schema and its index, where they are not what the declarations say."""
    tables = [cls._meta.db_table for cls in entities().values()]
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT bool_and(to_regclass('public.' || quote_ident(t)) IS NOT NULL)"
            " FROM unnest(%s::text[]) t",
            [[*tables, "catalog_revision", "catalog_sameas"]],
        )
        if not cursor.fetchone()[0]:
            return  # migrated to before there was history
        moves = moving()
        made = (part for cls in in_order() for part in (*derivations(cls), view(cls)))
        text = "".join((FUNCTIONS.replace("{moves}", moves), *made))
        if _commented(cursor, INDEXED, f"public.{INDEX}") != _digest(moves):
            cursor.execute(
                f"DROP INDEX IF EXISTS public.{INDEX};"
                f"CREATE INDEX {INDEX} ON public.catalog_revision (entity, at) WHERE {moves};"
                f"COMMENT ON INDEX public.{INDEX} IS '{_digest(moves)}'"
            )
        if _commented(cursor, MADE_FROM, SCHEMA) != _digest(text):
            cursor.execute(
                f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA};"
                f"SET search_path = {SCHEMA}, public; {text}"
                f"RESET search_path; COMMENT ON SCHEMA {SCHEMA} IS '{_digest(text)}'"
            )


def in_order() -> list[type[Entity]]:
    """Parts before what is derived from them: a view stands on others that are there."""
    found: list[type[Entity]] = []

    def add(cls: type[Entity]) -> None:
        if cls not in found:
            for field in cls._meta.concrete_fields:
                if isinstance(field, Derived):
                    _add_parts(cls, field.parts, add)
            found.append(cls)

    for cls in entities().values():
        add(cls)
    return found


def _add_parts(cls: type[Entity], parts: Sequence[str], add: Any) -> None:
    for part in parts:
        cls = cls._meta.get_field(part).related_model  # type: ignore[assignment]
        add(cls)


def moving() -> str:
    """SQL: whether a revision changed what a row belongs to."""
    names = sorted({f.name for cls in entities().values() for f in _references(cls)})
    listed = ", ".join(f"'{name}'" for name in names)
    return f"changes ?| ARRAY[{listed}]"


def view(cls: type[Entity]) -> str:
    """The view of one entity."""
    name, table = cls.declaration.name, quoted(cls._meta.db_table)
    known = f"{SCHEMA}.known('{name}', e.key, e.changed_at, {{}})"
    halves = [known.format("false" if _references(cls) else "NULL")]
    if _references(cls):
        # all that moved since, and a few more: the second condition tells
        halves.append(
            f"e.key = ANY (ARRAY(SELECT r.key FROM public.catalog_revision r"
            f" WHERE r.entity = '{name}' AND {moving()} AND r.at > {SCHEMA}.moment() - {LONGEST}))"
            f" AND {known.format('true')}"
        )
    selects = (
        f"SELECT {', '.join(_columns(cls, moved=bool(place)))} FROM public.{table} e WHERE {half}"
        for place, half in enumerate(halves)
    )
    return f"CREATE VIEW {SCHEMA}.{table} AS {' UNION ALL '.join(selects)};\n"


def _columns(cls: type[Entity], *, moved: bool) -> Iterator[str]:
    name, values = cls.declaration.name, set(value_fields(cls))
    for field in cls._meta.concrete_fields:
        column = quoted(str(field.column))
        if field.name in ("changed_at", "deleted_at"):
            called = {"changed_at": "changed", "deleted_at": "buried"}[field.name]
            yield f"{SCHEMA}.{called}('{name}', e.key, e.{column}) AS {column}"
        elif isinstance(field, Derived):
            derived = f"{_derivation(field)}(e.key)" if field.served else f"NULL::{_type(field)}"
            yield f"{derived} AS {column}"
        elif field not in values or (isinstance(field, Reference) and not moved):
            yield f"e.{column}"
        else:
            yield f"{_was(name, field, column)} AS {column}"


def derivations(cls: type[Entity]) -> Iterator[str]:
    """A function for each derived column: what it was is derived again, from the parts of then."""
    for field in cls._meta.concrete_fields:
        if isinstance(field, Derived) and field.served:
            truth = field.truth("e").replace(TODAY, THE_DAY).replace(field.rows("e"), _rows(field))
            yield (
                f"CREATE FUNCTION {_derivation(field)}(owner text) RETURNS {_type(field)}"
                f" LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN {truth}; END $$;\n"
            )


def _derivation(field: Any) -> str:
    return f"{SCHEMA}.{quoted(f'{field.model._meta.db_table}_{field.column}')}"


def _rows(field: Derived) -> str:
    """As `Derived.rows`, for the row with the key `owner`: each step by the keys of the one above."""
    keys = "ARRAY[$1]"
    ways = steps(field.model, field.parts)
    for child, column in ways[:-1]:
        table = f"{SCHEMA}.{quoted(child._meta.db_table)}"
        keys = (
            f"ARRAY(SELECT key FROM {table} WHERE {quoted(column)} = ANY ({keys})"
            " AND deleted_at IS NULL)"
        )
    child, column = ways[-1]
    return (
        f"FROM {SCHEMA}.{quoted(child._meta.db_table)} d"
        f" WHERE d.{quoted(column)} = ANY ({keys}) AND d.deleted_at IS NULL"
    )


def _was(entity: str, field: models.Field[Any, Any], column: str) -> str:
    said = f"{SCHEMA}.was('{entity}', e.key, '{field.name}', to_jsonb(e.{column}))"
    if isinstance(field, LocalizedField | models.JSONField):
        return f"NULLIF({said}, 'null'::jsonb)"
    kept = ' COLLATE "C"' if isinstance(field, Reference) else ""
    return f"({said} #>> '{{}}')::{_type(field)}{kept}"


def _type(field: Any) -> str:
    return str(field.db_type(connections["default"]))


def _references(cls: type[Entity]) -> list[models.Field[Any, Any]]:
    return [field for field in value_fields(cls) if isinstance(field, Reference)]


def _commented(cursor: Any, statement: str, name: str) -> str | None:
    cursor.execute(statement, [name])
    said: str | None = cursor.fetchone()[0]
    return said


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
