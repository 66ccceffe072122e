"""What hangs on a row, as both APIs read it: live rows alone, in order of key."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.core.exceptions import ObjectDoesNotExist

from catalog.entities import Entity, Reference, value_fields


def live(rows: Any) -> list[Any]:
    """The rows of a relation that are not buried; prefetched or not."""
    return sorted((row for row in rows.all() if row.deleted_at is None), key=lambda row: row.key)


def offered(rows: list[Any], cls: type[Entity], market: str | None) -> list[Any]:
    """The rows of a part that are made for a market, where one is asked for and they have any."""
    named = cls.declaration.market
    if not named or market is None:
        return rows
    return [row for row in rows if getattr(row, named) == market]


def referenced(row: Entity, name: str) -> Any:
    """The live row that a reference names, or None.

    References are not enforced: the other system may not have announced its record yet.
    """
    if getattr(row, f"{name}_id") is None:
        return None
    try:
        target = getattr(row, name)
    except ObjectDoesNotExist:
        return None
    return target if target is not None and target.deleted_at is None else None


def references(cls: type[Entity]) -> list[str]:
    """The names of an entity's references."""
    return [field.name for field in value_fields(cls) if isinstance(field, Reference)]


def way_to(row: Entity) -> list[Any]:
    """A node of a tree with all above it, from the root. A circle ends where it closes."""
    way: list[Any] = [row]
    while (above := referenced(way[-1], row.declaration.tree)) is not None and above not in way:
        way.append(above)
    return way[::-1]


def average(rows: Sequence[Entity], name: str) -> float | None:
    """The mean of a field, to two decimals, half up; None where no row has a value.

    In decimals, as PostgreSQL's `round(avg(…), 2)` of the compiled reads.
    """
    said = [value for row in rows if (value := getattr(row, name)) is not None]
    if not said:
        return None
    mean = Decimal(sum(said)) / len(said)
    return float(mean.quantize(Decimal("0.01"), ROUND_HALF_UP))
