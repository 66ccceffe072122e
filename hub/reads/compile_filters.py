"""The conditions of a list, as `hub.listing` narrows it: {filter: value} -> SQL and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from catalog.entities import Entity, Reference, related
from hub.listing import CHANGED_SINCE, is_switch, moment
from hub.problems import BadInputError
from hub.reads import sql
from hub.reads.arguments import Asked
from hub.reads.build import Build
from hub.reads.reasons import LeftToGrapheneError, NotCompiledError

#: Of PostgreSQL's bigint.
LARGEST = 2**63 - 1
#: Columns that can be compared with what was sent: their type in SQL.
COMPARED: tuple[tuple[type[models.Field[Any, Any]], str], ...] = (
    (models.IntegerField, "bigint"),
    (models.BooleanField, "boolean"),
    (models.DateTimeField, "timestamptz"),
    (models.DateField, "date"),
    (models.DecimalField, "numeric"),
    (models.TextField, "text"),
    (models.CharField, "text"),
)


def conditions(
    build: Build, cls: type[Entity], filters: dict[str, Any], alias: str
) -> Iterator[str]:
    """What the filters that were sent ask of a row; their values become parameters."""
    for name, value in filters.items():
        if name == CHANGED_SINCE:
            since = build.parameter("timestamptz", _reading(_moment, name))
            yield f"{alias}.changed_at >= {since}"
        elif is_switch(cls, name):
            build.noting.read_field(cls, name)
            yield f"{'' if value else 'NOT '}{sql.column(cls, alias, name)}"
        elif name != _tree_filter(cls, filters):
            yield _filtered(build, cls, name, alias)


def shape(cls: type[Entity], filters: dict[str, Any]) -> tuple[Any, ...]:
    """What of the filters decides the statement: which there are, and which way switches are."""
    # Written into the statement, a switch finds the index of the rows that have it on.
    return tuple((n, value) if is_switch(cls, n) else n for n, value in filters.items())


def below(build: Build, cls: type[Entity], filters: dict[str, Any]) -> tuple[str, str] | None:
    """The column of a filter by a tree's node, and a SELECT of the keys that it may have.

    Each of them has its own range of the column's index, in order of key; so a list takes a page
    from each, which beats sorting all that hangs below the node.
    """
    name = _tree_filter(cls, filters)
    if name is None:
        return None
    build.noting.read_field(cls, name)
    key = build.parameter("text", _reading(plain, name))
    return str(sql.column(cls, "", name)).lstrip("."), _branch(build, related(cls, name), key)


def _tree_filter(cls: type[Entity], filters: dict[str, Any]) -> str | None:
    """The first filter by a reference to a tree."""
    fields = {name: cls._meta.get_field(name) for name in filters if name != CHANGED_SINCE}
    trees = (
        n
        for n, f in fields.items()
        if isinstance(f, Reference) and related(cls, n).declaration.tree
    )
    return next(trees, None)


def _filtered(build: Build, cls: type[Entity], name: str, alias: str) -> str:
    field: Any = cls._meta.get_field(name)
    build.noting.read_field(cls, name)
    column = sql.column(cls, alias, name)
    if isinstance(field, Reference):
        key = build.parameter("text", _reading(plain, name))
        target = related(cls, name)
        if target.declaration.tree:
            return f"{column} = ANY (ARRAY({_branch(build, target, key)}))"
        return f"{column} = {key}"
    kind = next((sqltype for known, sqltype in COMPARED if isinstance(field, known)), None)
    if kind is None:
        raise NotCompiledError(f"the filter {name} of {cls.declaration.plural}")
    return f"{column} = {build.parameter(kind, _reading(_converted(field), name))}"


def _branch(build: Build, cls: type[Entity], key: str) -> str:
    """The keys of a node of a tree and of all below it, buried or not."""
    parent = sql.column(cls, "below", cls.declaration.tree)
    return (
        f'WITH RECURSIVE branch(key) AS (SELECT {key} COLLATE "C" UNION SELECT below.key'
        f" FROM {build.table(cls)} below JOIN branch ON {parent} = branch.key) SELECT key FROM branch"
    )


def _reading(convert: Callable[[Any], str], name: str) -> Callable[[Asked], str]:
    return lambda asked: convert(asked.filters[name])


def plain(value: Any) -> str:
    """A value as PostgreSQL reads it. Raises LeftToGrapheneError where it could not."""
    if isinstance(value, str):
        if "\x00" in value or not _has_utf8(value):
            raise LeftToGrapheneError
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal) and not value.is_finite():
        raise LeftToGrapheneError
    # A number that no column holds is nobody's; the views know how to say so without asking.
    if isinstance(value, int) and not -LARGEST - 1 <= value <= LARGEST:
        raise LeftToGrapheneError
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def _converted(field: Any) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        try:
            return plain(field.to_python(value))
        except (ValidationError, ValueError, TypeError) as error:
            raise LeftToGrapheneError from error

    return convert


def _moment(value: Any) -> str:
    try:
        return str(moment(value).isoformat())
    except BadInputError as error:
        raise LeftToGrapheneError from error


def _has_utf8(text: str) -> bool:
    """No half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
