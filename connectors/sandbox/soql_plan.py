"""How a query is answered without reading everything.

by change    ordered by SystemModstamp (then Id), or not at all, and filtered by nothing but bounds
             on it: a bisection and the page. This is what a connector asks.
by id        ordered by Id, filtered by nothing but a lower bound on it: likewise.
named        the condition names the ids (or account numbers): those records.
everything   any other order or filter reads the collection once; the cursor keeps the ids.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from connectors.sandbox.soql import Among, Column, Compare, Condition, Junction, Query

# operator → what is added to its time for the inclusive start and the exclusive end
_TIME_BOUNDS: dict[str, tuple[int | None, int | None]] = {
    ">": (1, None),
    ">=": (0, None),
    "<": (None, 0),
    "<=": (None, 1),
    "=": (0, 1),
}
CHANGED = frozenset({"SystemModstamp", "LastModifiedDate"})


@dataclass(frozen=True, slots=True)
class Window:
    """Bounds that the condition puts on the change time (milliseconds) and on the id.

    `exact`: the condition says no more than these bounds.
    """

    from_ms: int | None = None  # inclusive
    to_ms: int | None = None  # exclusive
    after: tuple[int, str] | None = None  # (change time, id), exclusive
    above_id: str | None = None  # exclusive
    exact: bool = True

    def narrowed(self, other: Window) -> Window:
        return Window(
            _either(max, self.from_ms, other.from_ms),
            _either(min, self.to_ms, other.to_ms),
            _either(max, self.after, other.after),
            _either(max, self.above_id, other.above_id),
            self.exact and other.exact,
        )


Bound = TypeVar("Bound", int, str, tuple[int, str])
_UNKNOWN = Window(exact=False)


def _either(
    choose: Callable[[Bound, Bound], Bound], a: Bound | None, b: Bound | None
) -> Bound | None:
    return b if a is None else a if b is None else choose(a, b)


def window(condition: Condition | None, *, deleted_too: bool) -> Window:
    match condition:
        case None:
            return Window()
        case Junction(every=True, terms=terms):
            found = Window()
            for term in terms:
                found = found.narrowed(window(term, deleted_too=deleted_too))
            return found
        case Junction(every=False, terms=(first, Junction(every=True, terms=rest))):
            return _keyset(first, rest)
        case Compare() as compare:
            return _bound(compare, deleted_too=deleted_too)
    return _UNKNOWN


def _keyset(first: Condition, rest: tuple[Condition, ...]) -> Window:
    """`SystemModstamp > X OR (SystemModstamp = X AND Id > Y)`: behind one record of an order."""
    match first, rest:
        case (
            Compare(column=a, operator=">", value=int(at)),
            (
                Compare(column=b, operator="=", value=same),
                Compare(column=c, operator=">", value=str(key)),
            ),
        ) if _is_change(a) and _is_change(b) and _is_id(c) and at == same:
            return Window(after=(at, key))
    return _UNKNOWN


def _bound(compare: Compare, *, deleted_too: bool) -> Window:
    column, operator, value = compare.column, compare.operator, compare.value
    if column.field.name == "IsDeleted" and column.relation is None and not deleted_too:
        return Window() if (operator, value) in {("=", False), ("!=", True)} else _UNKNOWN
    if _is_id(column) and operator == ">" and isinstance(value, str):
        return Window(above_id=value)
    if _is_change(column) and isinstance(value, int) and operator in _TIME_BOUNDS:
        low, high = _TIME_BOUNDS[operator]
        return Window(
            from_ms=None if low is None else value + low,
            to_ms=None if high is None else value + high,
        )
    return _UNKNOWN


def _is_change(column: Column) -> bool:
    return column.relation is None and column.field.name in CHANGED


def _is_id(column: Column) -> bool:
    return column.relation is None and column.field.name == "Id"


def route(query: Query, bounds: Window) -> str:
    """One of `change`, `id` and `everything` (see the module)."""
    if not bounds.exact or query.offset:
        return "everything"
    names = [(order.column, order.descending) for order in query.order]
    by_change = all(
        not descending and (_is_change(column) or (_is_id(column) and place > 0))
        for place, (column, descending) in enumerate(names)
    )
    if by_change and bounds.above_id is None:
        return "change"
    ids_only = bounds.from_ms is None and bounds.to_ms is None and bounds.after is None
    by_id = len(names) <= 1 and all(_is_id(c) and not descending for c, descending in names)
    return "id" if by_id and ids_only else "everything"


def named(condition: Condition | None, field: str) -> frozenset[str] | None:
    """The values of `field` outside which nothing can match, where the condition lists them."""
    match condition:
        case Compare(column=column, operator="=", value=str(value)) if column.relation is None:
            return frozenset({value}) if column.field.name == field else None
        case Among(column=column, values=values, negated=False) if column.relation is None:
            texts = frozenset(value for value in values if isinstance(value, str))
            return texts if column.field.name == field else None
        case Junction(every=True, terms=terms):
            sets = [found for term in terms if (found := named(term, field)) is not None]
            return frozenset.intersection(*sets) if sets else None
    return None
