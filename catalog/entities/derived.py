"""Columns that the merge derives from the live parts of a row, so that a list need not look.

No system supplies them. The truth of one is an SQL expression over rows (`truth`); `catalog.derived`
keeps the column equal to it in the transaction that changes a part.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from django.db import connection, models

#: The date by the database's clock; validity is counted in days of UTC.
TODAY = "(now() AT TIME ZONE 'UTC')::date"
#: The last day that Python can hold.
LAST = "date '9999-12-31'"


class Derived:
    """`of`: the path from the row over its parts to a field, `variants.stock.available`."""

    #: Whether readers see it, so that a change of it is a change of the record.
    served = True
    model: Any
    column: Any

    def __init__(self, of: str = "", **options: Any) -> None:
        self.of = of
        super().__init__(**{"editable": False, **options})

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts on the way: `("variants", "stock")`."""
        return tuple(self.of.split(".")[:-1])

    @property
    def group(self) -> str:
        """Columns that are derived from the same parts are derived together."""
        return ".".join(self.parts)

    def truth(self, owner: str) -> str:
        """SQL of what the column has to be, for the row of this alias."""
        raise NotImplementedError

    def compared(self, value: str) -> str:
        """SQL by which two values of the column are compared."""
        return value

    def watched(self, part: str) -> list[str]:
        """SQL of what of the last part's row (of this alias) the truth hangs on."""
        raise NotImplementedError

    def rows(self, owner: str) -> str:
        """`FROM … WHERE …`: the live rows at the end of the path; the last one's alias is `d`."""
        tables, where = [], []
        for place, (child, column) in enumerate(steps(self.model, self.parts), start=1):
            alias = "d" if place == len(self.parts) else f"d{place}"
            tables.append(f"{quoted(child._meta.db_table)} {alias}")
            where.append(f"{alias}.{quoted(column)} = {owner}.key AND {alias}.deleted_at IS NULL")
            owner = alias
        return f"FROM {', '.join(tables)} WHERE {' AND '.join(where)}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The fields of the last part that the value is made of."""
        return (self.measured.name,)

    @property
    def measured(self) -> models.Field[Any, Any]:
        """The field at the end of the path."""
        last = steps(self.model, self.parts)[-1][0]
        return cast("models.Field[Any, Any]", last._meta.get_field(self.of.rpartition(".")[2]))


class AnyAbove(Derived, models.BooleanField):  # type: ignore[type-arg]
    """Whether a live part has a number above zero."""

    def __init__(self, of: str = "", **options: Any) -> None:
        super().__init__(of, **{"db_default": False, **options})

    def truth(self, owner: str) -> str:
        return f"EXISTS (SELECT 1 {self.rows(owner)} AND {self._above('d')})"

    def watched(self, part: str) -> list[str]:
        # How many there are changes all day; whether there are any does not.
        return [f"coalesce({self._above(part)}, false)"]

    def _above(self, part: str) -> str:
        return f"{part}.{quoted(str(self.measured.column))} > 0"


class Lowest(Derived, models.JSONField):
    """The lowest amount of each group of live parts that are valid today.

    `[{"currency": "EUR", "market": "DE", "amount": "25.90"}]`, in order of the groups, `by` which
    they are told apart; `valid` names the first and the last day of a part, either may be empty.
    Kept as `json`, which is text: who reads whole entries gets it as it lies there.
    """

    def __init__(
        self,
        of: str = "",
        by: Sequence[str] = (),
        valid: tuple[str, str] = ("", ""),
        **options: Any,
    ) -> None:
        self.by, self.valid = tuple(by), valid
        super().__init__(of, **{"db_default": models.Value([], models.JSONField()), **options})

    def db_type(self, connection: Any) -> str:  # noqa: ARG002 (Django's)
        return "json"

    def from_db_value(self, value: Any, *_: Any) -> Any:
        # psycopg reads `json` by itself.
        return json.loads(value) if isinstance(value, str) else value

    def compared(self, value: str) -> str:
        return f"{value}::text"

    def truth(self, owner: str) -> str:
        amount = f"d.{quoted(str(self.measured.column))}"
        groups = ", ".join(f"d.{quoted(name)}" for name in self.by)
        named = ", ".join(f"'{name}', g.{quoted(name)}" for name in self.by)
        order = ", ".join(f'g.{quoted(name)} COLLATE "C" NULLS FIRST' for name in self.by)
        first, last = (f"d.{quoted(name)}" for name in self.valid)
        today = f"({first} IS NULL OR {first} <= {TODAY}) AND ({last} IS NULL OR {last} >= {TODAY})"
        # as `catalog.entities.spelled` writes it
        spelled = "round(g.least, greatest(2, min_scale(g.least)))::text"
        return (
            f"(SELECT coalesce(to_json(array_agg(json_build_object({named}, '{self.measured.name}',"
            f" {spelled}) ORDER BY {order})), '[]') FROM (SELECT {groups}, min({amount}) AS least"
            f" {self.rows(owner)} AND {amount} IS NOT NULL AND {today} GROUP BY {groups}) g)"
        )

    def watched(self, part: str) -> list[str]:
        names = (str(self.measured.column), *self.by, *self.valid)
        return [f"{part}.{quoted(name)}" for name in names]

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.measured.name, *self.by, *filter(None, self.valid))

    @property
    def members(self) -> list[models.Field[Any, Any]]:
        """The fields of an entry: the groups' and the amount."""
        last: Any = self.measured.model
        return [*(last._meta.get_field(name) for name in self.by), self.measured]


class NextChange(Derived, models.DateField):  # type: ignore[type-arg]
    """The first day on which the clock alone changes a row's `Lowest`; NULL: no such day.

    `of` names the first day of a part, `to` its last one.
    """

    served = False

    def __init__(self, of: str = "", to: str = "", **options: Any) -> None:
        self.to = to
        super().__init__(of, **{"null": True, **options})

    def truth(self, owner: str) -> str:
        first, last = f"d.{quoted(str(self.measured.column))}", f"d.{quoted(self.to)}"
        return (
            f"(SELECT min(CASE WHEN {first} > {TODAY} THEN {first}"
            f" WHEN {last} >= {TODAY} AND {last} < {LAST} THEN {last} + 1 END) {self.rows(owner)})"
        )

    def watched(self, part: str) -> list[str]:
        return [f"{part}.{quoted(str(self.measured.column))}", f"{part}.{quoted(self.to)}"]


def steps(cls: Any, parts: Sequence[str]) -> list[tuple[Any, str]]:
    """Each part on a path with its column that names the row above: `[(Variant, "product_id")]`."""
    found = []
    for part in parts:
        relation = cls._meta.get_field(part)
        cls = relation.related_model
        found.append((cls, str(relation.field.column)))
    return found


def quoted(name: str) -> str:
    """An identifier."""
    return connection.ops.quote_name(name)
