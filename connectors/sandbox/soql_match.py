"""Does a record satisfy a condition, and where does it stand in an order?

SOQL's rules: text compares without regard to case, null is neither less nor greater than anything,
and sorts first unless told otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

from connectors.sandbox.soql import (
    Among,
    Column,
    Compare,
    Condition,
    Junction,
    Not,
    Order,
    Value,
    milliseconds,
)

Record = dict[str, Any]
Parent = Callable[[str, str], "Record | None"]  # (type, id) → the record

_TEXT = frozenset({"string", "textarea", "phone", "email", "picklist"})


def read(record: Record, column: Column, parent: Parent) -> Any:
    """The value as the API shows it; null where there is no parent."""
    if column.relation is None:
        return record.get(column.field.name)
    key = record.get(column.relation.name)
    found = parent(column.relation.reference_to, key) if key else None
    return None if found is None else found.get(column.field.name)


def _comparable(value: Any, column: Column) -> Any:
    if value is None:
        return None
    if column.field.type == "datetime" and isinstance(value, str):
        return milliseconds(value)
    if column.field.type in _TEXT and isinstance(value, str):
        return value.casefold()
    return value


def accepts(condition: Condition | None, record: Record, parent: Parent) -> bool:
    match condition:
        case None:
            return True
        case Junction(every=True, terms=terms):
            return all(accepts(term, record, parent) for term in terms)
        case Junction(terms=terms):
            return any(accepts(term, record, parent) for term in terms)
        case Not(term=term):
            return not accepts(term, record, parent)
        case Among(column=column, values=values, negated=negated):
            found = _comparable(read(record, column, parent), column)
            wanted = {_comparable(value, column) for value in values}
            return (found in wanted) != negated
        case Compare(column=column, operator=operator, value=value):
            found = _comparable(read(record, column, parent), column)
            return _holds(found, operator, _comparable(value, column))


def _holds(found: Any, operator: str, wanted: Value) -> bool:
    if operator == "=":
        return bool(found == wanted)
    if operator == "!=":
        return bool(found != wanted)
    if found is None or wanted is None:
        return False
    if operator == "like":
        pattern = re.escape(str(wanted)).replace("%", ".*").replace("_", ".")
        return re.fullmatch(pattern, str(found), re.DOTALL) is not None
    tests: dict[str, bool] = {
        "<": found < wanted,
        "<=": found <= wanted,
        ">": found > wanted,
        ">=": found >= wanted,
    }
    return tests[operator]


def sort_key(orders: tuple[Order, ...], parent: Parent) -> Callable[[Record], Any]:
    def compare(left: Record, right: Record) -> int:
        for order in orders:
            a = _comparable(read(left, order.column, parent), order.column)
            b = _comparable(read(right, order.column, parent), order.column)
            if a == b:
                continue
            if a is None or b is None:
                return 1 if (a is None) == order.nulls_last else -1
            return -1 if (a < b) != order.descending else 1
        return -1 if left["Id"] < right["Id"] else int(left["Id"] != right["Id"])

    return cmp_to_key(compare)
