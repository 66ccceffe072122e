"""Much of everything that the console shows: what the hub writes by itself grows without end.

One row of each model, made by `tests.console_rows`, is repeated by SQL with what tells it apart, and
is spread over the streams, systems, people and keys that there are, as a house would have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db import connection, models
from django.test import RequestFactory

from tests.console_rows import ROWS, VOCABULARY, is_entity

REVISIONS = 1_000_000
#: Rows of what the hub writes and people do not; more of what there is most of.
MANY = 20_000
MORE = {"connectors_inboxevent": 200_000, "connectors_outboxcommand": 200_000, "hub_fieldusage": 200_000,
        "connectors_syncrun": 100_000, "connectors_command": 100_000}  # fmt: skip
#: An API key of those that there are.
KEY = f"(SELECT array_agg({{}} ORDER BY id) FROM hub_apikey)[1 + mod(n, {ROWS})]"
DEAD = "CASE WHEN mod(n, 500) = 0 THEN 'dead' ELSE 'applied' END"
#: What most rows of a table are like, where the newest would not tell: (column, SQL). In braces stands
#: another column of the same row, or how many `rows` are made.
MOSTLY: dict[str, dict[str, str]] = {
    "connectors_inboxevent": {"state": DEAD},
    "connectors_outboxcommand": {
        "state": DEAD,
        "target": "'subscriber/' || {subscriber_id}",
        # each subscriber is told of each
        "receipt_id": f"(ARRAY(SELECT id FROM connectors_purgereceipt ORDER BY id DESC))[1 + ({{rows}} - n) / {ROWS}]",
    },
    "connectors_syncrun": {"state": "'done'"},
    "connectors_command": {
        "state": "'confirmed'",
        "caller": f"'key:' || {KEY.format('id')}",
        "operation": "r.operation || mod(n, 7)",
    },
    "connectors_fieldalias": {"ended_at": "now()"},
    "observability_incident": {"resolved_at": "now()"},
    "hub_approval": {"state": "CASE WHEN mod(n, 2000) = 0 THEN 'waiting' ELSE 'declined' END"},
    "hub_fieldusage": {
        "key": KEY.format("prefix"),
        "field": f"r.field || mod(n / {ROWS}, 150)",
        "day": f"(r.day - (({{rows}} - n) / {150 * ROWS}) * interval '1 day')::date",
    },
}
#: Of a table that is referred to, the rows that are.
REFERRED = 20_000
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
        # what is referred to first
        for model, rows in sorted(growing(), key=lambda one: bool(_referring(one[0]))):
            cursor.execute(repeated(model, rows))
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


def _referring(model: type[models.Model]) -> list[Any]:
    return [field for field in model._meta.concrete_fields if field.is_relation]


class _Anyone:
    """May do everything that the code does not forbid by itself."""

    is_active = is_staff = is_superuser = True

    def has_perm(self, _name: str, _obj: Any = None) -> bool:
        return True

    def has_perms(self, _names: Any) -> bool:
        return True


def repeated(model: type[models.Model], rows: int) -> str:
    """The statement that repeats the newest row so often; the last one is the newest."""
    fields = [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]
    held = {name for rule in model._meta.constraints for name in getattr(rule, "fields", ())}
    # there are few systems, entities and kinds, however many rows
    apart = held - VOCABULARY.keys() - {"kind"}
    said = {f.column: _column(f, rows, tells_apart=f.unique or f.name in apart) for f in fields}
    mostly = MOSTLY.get(model._meta.db_table, {})
    said |= {column: sql.format_map({**said, "rows": rows}) for column, sql in mostly.items()}
    chosen = ", ".join(said.values())
    names = ", ".join(f'"{f.column}"' for f in fields)
    table = f'"{model._meta.db_table}"'
    return f"""INSERT INTO {table} ({names})
        SELECT {chosen} FROM (SELECT * FROM {table} ORDER BY 1 DESC LIMIT 1) r,
        generate_series(1, {rows}) n"""


def _column(field: Any, rows: int, *, tells_apart: bool) -> str:
    column = f'r."{field.column}"'
    if field.is_relation and not field.unique:
        return _spread(field)
    if isinstance(field, (models.DateTimeField, models.DateField)) and not tells_apart:
        return f"{column} - ({rows} - n) * interval '10 seconds'"
    if not tells_apart or field.choices or field.is_relation:
        return column
    if isinstance(field, models.DateField):
        return f"({column} - mod(n, 90) * interval '1 day')::date"
    if isinstance(field, (models.IntegerField, models.DecimalField, models.FloatField)):
        return f"{column} + n"
    return f"{column} || '-' || n"


def _spread(field: Any) -> str:
    """Another of the rows that are referred to for each `n`; none where the repeated row has none."""
    to, column = field.related_model, f'"{field.target_field.column}"'
    rows = min(to._default_manager.count(), REFERRED)
    if not rows:
        return f'r."{field.column}"'
    found = f'SELECT {column} FROM "{to._meta.db_table}" ORDER BY 1 LIMIT {rows}'
    one = f"(ARRAY({found}))[1 + mod(n, {rows})]"
    return f'CASE WHEN r."{field.column}" IS NOT NULL THEN {one} END'
