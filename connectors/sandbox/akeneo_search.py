"""Akeneo's `search` parameter: `{"updated": [{"operator": ">", "value": "2026-01-01 00:00:00"}]}`.

A window of change times is read from the store's own order; the other filters test each record.
Source: Akeneo REST API, "Filter on product properties".
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]
Test = Callable[[Record], bool]

_DAY_MS = 86_400_000


class SearchError(Exception):
    """`status`: 400 for what is no search at all, 422 for a filter that cannot be served."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Search:
    changed_from_ms: int | None = None  # inclusive
    changed_to_ms: int | None = None  # exclusive
    keys: tuple[str, ...] | None = None  # the only records that can match
    parents: tuple[str, ...] | None = None  # of the only variants that can match
    tests: tuple[Test, ...] = ()

    def accepts(self, record: Record) -> bool:
        return all(test(record) for test in self.tests)


def parse(text: str | None, key_field: str) -> Search:
    """`key_field`: "identifier" of products, "code" elsewhere."""
    if not text:
        return Search()
    try:
        filters = json.loads(text)
    except ValueError:
        raise SearchError(400, "Search query parameter should be valid JSON.") from None
    if not isinstance(filters, dict):
        raise SearchError(422, "Search query parameter has to be an array, got something else.")
    start: int | None = None
    end: int | None = None
    keys: tuple[str, ...] | None = None
    parents: tuple[str, ...] | None = None
    tests: list[Test] = []
    for name, conditions in filters.items():
        for operator, wanted in _conditions(name, conditions):
            if name == "updated":
                lower, upper = _window(operator, wanted)
                start = max((each for each in (start, lower) if each is not None), default=None)
                end = min((each for each in (end, upper) if each is not None), default=None)
            elif name == key_field and operator in {"=", "IN"}:
                found = tuple(wanted) if operator == "IN" else (wanted,)
                keys = found if keys is None else tuple(key for key in keys if key in found)
            else:
                tests.append(_test(name, operator, wanted))
                if name == "parent" and operator in {"=", "IN"}:
                    parents = tuple(wanted) if operator == "IN" else (wanted,)
    return Search(start, end, keys, parents, tuple(tests))


def _conditions(name: str, conditions: Any) -> list[tuple[str, Any]]:
    if not isinstance(conditions, list):
        raise SearchError(422, f'Structure of filter "{name}" should respect this structure: '
                               f'{{"{name}":[{{"operator": "my_operator", "value": "my_value"}}]}}')  # fmt: skip
    pairs: list[tuple[str, Any]] = []
    for condition in conditions:
        if not isinstance(condition, dict) or "operator" not in condition:
            raise SearchError(422, f'Operator is missing for the property "{name}".')
        pairs.append((condition["operator"], condition.get("value")))
    return pairs


def _window(operator: str, wanted: Any) -> tuple[int | None, int | None]:
    """The milliseconds [from, to) that hold the seconds Akeneo compares."""
    if operator == ">":
        return _second_ms(wanted) + 1000, None
    if operator == "<":
        return None, _second_ms(wanted)
    if operator == "=":
        return _second_ms(wanted), _second_ms(wanted) + 1000
    if operator == "BETWEEN":
        if not isinstance(wanted, list) or len(wanted) != 2:
            message = 'Property "updated" expects an array with valid data, should contain 2 '
            raise SearchError(422, message + 'strings with the format "yyyy-mm-dd H:i:s".')
        return _second_ms(wanted[0]), _second_ms(wanted[1]) + 1000
    if operator == "SINCE LAST N DAYS" and isinstance(wanted, int):
        return time.time_ns() // 1_000_000 - wanted * _DAY_MS, None
    raise _unsupported("updated", operator)


def _second_ms(text: Any) -> int:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise SearchError(
            422,
            'Property "updated" expects a string with the format "yyyy-mm-dd H:i:s", '
            f'"{text}" given.',
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * 1000


def _test(name: str, operator: str, wanted: Any) -> Test:
    if name == "parent" and operator == "=":
        return lambda record: bool(record["parent"] == wanted)
    if name in {"parent", "family"} and operator == "IN":
        return lambda record: record[name] in wanted
    if name in {"parent", "family"} and operator in {"EMPTY", "NOT EMPTY"}:
        return lambda record: (record[name] is None) == (operator == "EMPTY")
    if name == "enabled" and operator in {"=", "!="}:
        return lambda record: (record["enabled"] == wanted) == (operator == "=")
    if name in {"categories", "groups"} and operator in {"IN", "NOT IN"}:
        return lambda record: bool(set(record[name]) & set(wanted)) == (operator == "IN")
    if name in {"identifier", "code"} and operator in {"NOT IN", "!="}:
        refused = set(wanted) if operator == "NOT IN" else {wanted}
        return lambda record: record[name] not in refused
    raise _unsupported(name, operator)


def _unsupported(name: str, operator: str) -> SearchError:
    message = f'Filter on property "{name}" is not supported or does not support operator '
    return SearchError(422, f'{message}"{operator}".')
