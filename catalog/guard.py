"""Only the merge writes entity tables: a trigger of the database refuses everybody else.

The merge says in its transaction that it writes, and takes the word back behind each statement; a
writer who does not say so is refused, by whatever path. The trigger stands on every entity table,
also on those of other apps: it is put there after each `migrate` (`protect`).

A data migration that has to write an entity table says so likewise (`OPEN`), and should rather
leave it to a remap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection, connections

from catalog.entities import entities
from catalog.entities.derived import quoted

SETTING = "headwater.entities_written_by"
#: SQL: the rest of the transaction writes as the merge does.
OPEN = f"SELECT set_config('{SETTING}', 'merge', true)"
SHUT = f"SELECT set_config('{SETTING}', '', true)"
TRIGGER = "written_by_the_merge_alone"

UNPROTECTED = """
SELECT t.name FROM unnest(%s::text[]) AS t (name) WHERE to_regclass(t.name) IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_trigger g
                  WHERE g.tgrelid = to_regclass(t.name) AND g.tgname = %s)"""

# The condition is looked at once a statement, without a call where the merge writes.
PROTECT = """
CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT
WHEN (current_setting('{setting}', true) IS DISTINCT FROM 'merge')
EXECUTE FUNCTION headwater_written_by_the_merge_alone()"""


def written(cursor: Any, statement: str, parameters: Mapping[str, Any]) -> Any:
    """Run a statement that may write entity tables, and its first row; one trip to the database."""
    cursor.execute(writing([statement]), parameters)
    cursor.nextset()
    return cursor.fetchone()


def writing(statements: Iterable[str]) -> str:
    """One text that runs these statements, which may write entity tables; a result goes before theirs."""
    return ";\n".join([OPEN, *statements, SHUT])


def protect(using: str = "default", **_signal: Any) -> None:
    """Put the trigger on every entity table that lacks it."""
    tables = [quoted(cls._meta.db_table) for cls in entities().values()]
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regproc('headwater_written_by_the_merge_alone') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return  # migrated to before there was a guard
        cursor.execute(UNPROTECTED, [tables, TRIGGER])
        for (table,) in cursor.fetchall():
            cursor.execute(PROTECT.format(trigger=TRIGGER, table=table, setting=SETTING))


def protected() -> bool:
    """Whether every entity table has the trigger, and it is enabled."""
    tables = [cls._meta.db_table for cls in entities().values()]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_trigger WHERE tgname = %s AND tgenabled <> 'D'"
            " AND tgrelid = ANY (SELECT to_regclass(quote_ident(t)) FROM unnest(%s::text[]) t)",
            [TRIGGER, tables],
        )
        return bool(cursor.fetchone()[0] == len(tables))
