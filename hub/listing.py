"""Lists of entities for both APIs: filters, stable order, opaque cursors."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from catalog import past
from catalog.entities import Entity, Reference, related
from catalog.explain import DEPTH
from catalog.matching.merging import stands_for
from hub.auth.rights import Visibility
from hub.problems import BadInputError, NotFoundError

LARGEST = 100
USUAL = 20
CHANGED_SINCE = "changed_since"


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of rows in order of key; `next` is the cursor of the following page."""

    rows: list[Any]
    next: str | None


def filters_of(cls: type[Entity]) -> tuple[str, ...]:
    """The names by which a list of the entity can be narrowed."""
    return (*cls.declaration.filters, CHANGED_SINCE)


def is_switch(cls: type[Entity], name: str) -> bool:
    """Whether a filter is answered by true or false."""
    return name != CHANGED_SINCE and isinstance(cls._meta.get_field(name), models.BooleanField)


@lru_cache(maxsize=64)
def offers(cls: type[Entity], depth: int = DEPTH) -> bool:
    """Whether a record has parts that are made for a market each, so that `market` narrows them."""
    below = (related(cls, part) for part in cls.declaration.parts) if depth else ()
    return any(part.declaration.market or offers(part, depth - 1) for part in below)


def found(cls: type[Entity], key: str) -> Any:
    """The live row with a natural key. Raises NotFoundError."""
    row = None
    if is_text(key):
        row = cls._default_manager.filter(pk=key, deleted_at__isnull=True).first()
    if row is None:
        raise not_found(cls, key)
    return row


def not_found(cls: type[Entity], key: str) -> NotFoundError:
    """Nothing live has this key."""
    name, called = cls.declaration.name, cls.declaration.key
    error = NotFoundError(f"no {name} with {called} {shown(key)}", parameter=called)
    if cls.declaration.matching and is_text(key) and (leads_to := stands_for(name, key)):
        error.message += f"; it was merged into {shown(leads_to)}: ask for that"
        error.members["merged_into"] = leads_to
    return error


def listed(
    cls: type[Entity],
    limit: int | None,
    after: str | None,
    filters: Mapping[str, Any],
    visibility: Visibility,
    *,
    asked_as: Mapping[str, str] = MappingProxyType({}),
) -> Listed:
    """One page of live rows. Raises BadInputError, or ForbiddenError, that names the parameter.

    `asked_as` gives the names by which `limit` and `cursor` were asked for.
    """
    size = USUAL if limit is None else limit
    if not 1 <= size <= LARGEST:
        called = asked_as.get("limit", "limit")
        raise BadInputError(f"{called} must be from 1 to {LARGEST}, not {size}", parameter=called)
    must_see(visibility, cls, filters)
    rows = _narrowed(cls, filters)
    behind = None if after is None else opened(after, asked_as.get("cursor", "cursor"))
    if past.current() is not None and not _found_by_index(cls, filters):
        page = past.page(rows, size + 1, behind or "")
    else:
        rows = rows if behind is None else rows.filter(pk__gt=behind)
        page = list(rows.order_by("pk")[: size + 1])
    more = len(page) > size
    return Listed(page[:size], cursor(page[size - 1]) if more else None)


def _found_by_index(cls: type[Entity], filters: Mapping[str, Any]) -> bool:
    """Whether a filter of the past names what rows belong to."""
    asked = (
        cls._meta.get_field(n) for n, v in filters.items() if v is not None and n != CHANGED_SINCE
    )
    return any(isinstance(field, Reference) for field in asked)


def must_see(visibility: Visibility, cls: type[Entity], filters: Mapping[str, Any]) -> None:
    """Raises ForbiddenError for a filter on a value that the reader may not see."""
    for name, value in filters.items():
        if value is None or name == CHANGED_SINCE:
            continue
        visibility.must_see(cls, name, name)


def is_text(value: str) -> bool:
    """Whether PostgreSQL can hold it: no NUL, no half of a surrogate pair."""
    return "\x00" not in value and not any("\ud800" <= c <= "\udfff" for c in value)


def shown(value: object) -> str:
    """What was sent, short and harmless, for a message."""
    text = ascii(value) if not str(value).isprintable() else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def cursor(row: Entity) -> str:
    """The opaque position after a row."""
    return base64.urlsafe_b64encode(b"k:" + row.key.encode()).decode().rstrip("=")


def opened(text: str, called: str) -> str:
    """The key that a cursor stands behind. Raises BadInputError for a parameter called so."""
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        mark, key = plain[:2], plain[2:].decode()
    except (binascii.Error, ValueError):
        mark, key = b"", ""
    if mark != b"k:" or not is_text(key):
        raise BadInputError(
            "not a cursor of ours; take it from the page before, or leave it out",
            parameter=called,
        )
    return key


def _narrowed(cls: type[Entity], filters: Mapping[str, Any]) -> QuerySet[Any]:
    rows: QuerySet[Any] = cls._default_manager.filter(deleted_at__isnull=True)
    for name, value in filters.items():
        if value is None:
            continue
        if isinstance(value, str) and not is_text(value):
            raise BadInputError(f"{shown(value)} is in no record", parameter=name)
        if name == CHANGED_SINCE:
            rows = rows.filter(changed_at__gte=moment(value))
        elif name not in cls.declaration.filters:
            raise BadInputError(
                f"unknown filter {name!r}; known are {', '.join(filters_of(cls))}", parameter=name
            )
        elif is_switch(cls, name):
            rows = rows.filter(**{name: yes(value, name)})
        else:
            rows = _filtered(cls, rows, name, value)
    return rows


def _filtered(cls: type[Entity], rows: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
    field: Any = cls._meta.get_field(name)
    if isinstance(field, Reference):
        target = related(cls, name)
        if target.declaration.tree:
            return rows.filter(**{f"{name}__in": _branch(target, str(value))})
        return rows.filter(**{f"{name}_id": value})
    try:
        return rows.filter(**{name: field.to_python(value)})
    except (ValidationError, ValueError, TypeError) as error:
        raise BadInputError(f"{value!r} is no value of {name}", parameter=name) from error


def _branch(cls: type[Entity], key: str) -> list[str]:
    """A node of a tree and all that hang below it."""
    found, level = [key], [key]
    while level:
        below = cls._default_manager.filter(**{f"{cls.declaration.tree}__in": level})
        level = [k for k in below.values_list("pk", flat=True) if k not in found]
        found += level
    return found


def moment(value: Any, parameter: str = CHANGED_SINCE) -> Any:
    """A time with an offset. Raises BadInputError that names the parameter."""
    try:
        # An unescaped plus sign of an offset arrives as a blank.
        found = parse_datetime(str(value).replace(" ", "+")) if isinstance(value, str) else value
        # PostgreSQL knows fewer offsets than Python, so it is given none.
        found = found.astimezone(UTC) if found is not None and found.tzinfo is not None else None
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise BadInputError(
            f"{value!r} is no time; write it as 2026-01-31T12:00:00Z, with an offset",
            parameter=parameter,
        )
    return found


def yes(value: Any, name: str) -> bool:
    """A switch. Raises BadInputError."""
    if isinstance(value, bool):
        return value
    answers = {"true": True, "1": True, "false": False, "0": False}
    if str(value).lower() not in answers:
        raise BadInputError(f"{value!r} is neither true nor false", parameter=name)
    return answers[str(value).lower()]
