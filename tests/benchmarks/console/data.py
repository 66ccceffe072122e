"""Much of everything that the console shows: what the hub writes by itself grows without end.

One row of each model, made by `tests.console_rows`, is repeated by SQL with what tells it apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db import connection, models
from django.test import RequestFactory

from tests.console_rows import VOCABULARY, is_entity

REVISIONS = 1_000_000
#: Rows of what the hub writes and people do not; more of what there is most of.
MANY = 20_000
MORE = {"connectors_inboxevent": 200_000, "connectors_outboxcommand": 200_000, "hub_fieldusage": 200_000,
        "connectors_syncrun": 100_000, "connectors_command": 100_000}  # fmt: skip
#: What most rows of a table are like, where the newest would not tell: (column, SQL).
MOSTLY = {
    "connectors_inboxevent": {"state": "CASE WHEN mod(n, 500) = 0 THEN 'dead' ELSE 'applied' END"},
    "connectors_outboxcommand": {
        "state": "CASE WHEN mod(n, 500) = 0 THEN 'dead' ELSE 'applied' END"
    },
    "connectors_syncrun": {"state": "'done'"},
    "connectors_command": {"state": "'confirmed'"},
    "observability_incident": {"resolved_at": "now()"},
}
#: Written by the hub, and not more than a few dozen all the same.
FEW = {"connectors_stream"}

REVISED = """
INSERT INTO catalog_revision (entity, key, kind, at, changes, run_id, correlation_id)
SELECT 'price', key, CASE n WHEN 0 THEN 'created' ELSE 'changed' END, now() - n * interval '1 hour',
       CASE n WHEN 0 THEN '{}'::jsonb ELSE '{"amount": ["1.00", "2.00"]}'::jsonb END, 1, repeat('0', 32)
FROM (SELECT key FROM catalog_price ORDER BY key LIMIT %s) p, generate_series(0, 3) n"""


def fill() -> None:
    """Beside the catalogue of `benchmarks.reads.data` and the rows of `tests.console_rows`."""
    with connection.cursor() as cursor:
        cursor.execute(REVISED, [REVISIONS // 4])
        for model, rows in growing():
            cursor.execute(repeated(model), [rows])
    with connection.cursor() as cursor:
        # else autovacuum does it meanwhile
        cursor.execute("VACUUM ANALYZE")


def growing() -> Iterator[tuple[type[models.Model], int]]:
    """(model, rows) of all that nobody adds by hand."""
    nobody: Any = RequestFactory().get("/")
    nobody.user = _Anyone()
    for model, of_admin in admin.site._registry.items():
        table = model._meta.db_table
        if is_entity(model) or model._meta.proxy or table in FEW | {"catalog_revision"}:
            continue
        if not of_admin.has_add_permission(nobody):
            yield model, MORE.get(table, MANY)


class _Anyone:
    """May do everything that the code does not forbid by itself."""

    is_active = is_staff = is_superuser = True

    def has_perm(self, _name: str, _obj: Any = None) -> bool:
        return True

    def has_perms(self, _names: Any) -> bool:
        return True


def repeated(model: type[models.Model]) -> str:
    """The statement that repeats the newest row; `%s` is how often."""
    fields = [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]
    held = {name for rule in model._meta.constraints for name in getattr(rule, "fields", ())}
    # there are few systems, entities and kinds, however many rows
    apart = held - VOCABULARY.keys() - {"kind"}
    mostly = MOSTLY.get(model._meta.db_table, {})
    chosen = ", ".join(
        mostly.get(f.column) or _column(f, tells_apart=f.unique or f.name in apart) for f in fields
    )
    names = ", ".join(f'"{f.column}"' for f in fields)
    table = f'"{model._meta.db_table}"'
    return f"""INSERT INTO {table} ({names})
        SELECT {chosen} FROM (SELECT * FROM {table} ORDER BY 1 DESC LIMIT 1) r,
        generate_series(1, %s) n"""


def _column(field: Any, *, tells_apart: bool) -> str:
    column = f'r."{field.column}"'
    if isinstance(field, (models.DateTimeField, models.DateField)) and not tells_apart:
        return f"{column} - n * interval '10 seconds'"
    if not tells_apart or field.choices or field.is_relation:
        return column
    if isinstance(field, models.DateField):
        return f"({column} - mod(n, 90) * interval '1 day')::date"
    if isinstance(field, (models.IntegerField, models.DecimalField, models.FloatField)):
        return f"{column} + n"
    return f"{column} || '-' || n"
