"""The last look: every text, json and bytes column of the database, for what identifies the person.

By lineage all of it is gone by then. What people or errors have put elsewhere (an incident's title, a
note) is found by its text: replaced where a text of ours may be changed, and named on the
certificate where not.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection

from catalog.entities import entities
from hub.erasure.find import Subject
from hub.erasure.steps import spelled

COLUMNS = """
SELECT c.table_name, c.column_name, c.udt_name FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
  AND c.udt_name IN ('text', 'varchar', 'json', 'jsonb', 'bytea', '_text', '_varchar')
ORDER BY 1, 2"""

#: About others: what is found there may be theirs as well, and is only named. Keys of persons stay.
OTHERS = ("catalog_sourcerecord", "catalog_revision", "catalog_conflict", "catalog_heldvalue",
          "catalog_override", "auth_user", "connectors_inboxevent", "connectors_outboxcommand",
          "connectors_quarantinedrecord")  # fmt: skip
#: Never: the log refuses it; sealed texts, digests and keys tell nothing.
LEFT_OUT = ("observability_auditentry", "hub_erasure", "django_session", "hub_approval")
REPLACED = ("text", "varchar", "jsonb")


def sweep(subject: Subject) -> dict[str, int]:
    """Replace what stands in texts of ours; {table.column: rows}. In the caller's transaction."""
    found = {}
    tables = {cls._meta.db_table for cls in entities().values()}
    for table, column, kind in columns():
        if table in OTHERS or table in tables or kind not in REPLACED:
            continue
        name = connection.ops.quote_name(column)
        told = f"{name}::text"
        for value in spelled(subject.values):
            told = f"replace({told}, {_literal(value)}, 'erased')"
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {connection.ops.quote_name(table)} SET {name} = ({told})::{kind}"
                f" WHERE {name}::text LIKE ANY(%s)",
                [patterns(subject.values)],
            )
            if cursor.rowcount:
                found[f"{table}.{column}"] = cursor.rowcount
    return found


def left(values: tuple[str, ...]) -> dict[str, int]:
    """Where any of the values stands still: {table.column: rows}."""
    found = {}
    for table, column, kind in columns():
        name = connection.ops.quote_name(column)
        with connection.cursor() as cursor:
            if kind == "bytea":
                where = (
                    "EXISTS (SELECT FROM unnest(%s::text[]) v"
                    f" WHERE position(convert_to(v, 'UTF8') IN {name}) > 0)"
                )
                wanted = spelled(values)
            else:
                where, wanted = f"{name}::text LIKE ANY(%s)", patterns(values)
            cursor.execute(
                f"SELECT count(*) FROM {connection.ops.quote_name(table)} WHERE {where}",
                [wanted],
            )
            if count := cursor.fetchone()[0]:
                found[f"{table}.{column}"] = int(count)
    return found


def columns() -> Iterator[tuple[str, str, str]]:
    """(table, column, type) of everything that could hold a text."""
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS)
        rows = cursor.fetchall()
    return (row for row in rows if row[0] not in LEFT_OUT)


def patterns(values: tuple[str, ...]) -> list[str]:
    """For LIKE: the values anywhere, taken as they are."""
    marked = (
        v.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for v in spelled(values)
    )
    return [f"%{value}%" for value in marked]


def _literal(value: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_literal(%s)", [value])
        # The driver takes a percent sign for a parameter.
        return str(cursor.fetchone()[0]).replace("%", "%%")
