"""Records from their JSON, by their contract, several times faster than Pydantic reads them.

From a contract an equivalent msgspec type is made, once. What it accepts, Pydantic accepts, with
equal values; tests hold that for every contract of every connector. What it refuses is given to
Pydantic, whose word is final: so nothing is lost where a contract is laxer than msgspec, and every
breach is told in Pydantic's words. A contract with anything that is not known here (validators,
aliases, types of its own) is read by Pydantic alone.

Two differences are wanted: a decimal that comes as a JSON number keeps all its digits, and a
seventh digit of a second's fraction rounds.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache, cached_property, lru_cache
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import annotated_types
import msgspec
from pydantic import AwareDatetime, BeforeValidator, Strict
from pydantic.fields import FieldInfo

from connectors.runtime.declare import Contract

#: What msgspec reads as Pydantic does, or refuses.
PLAIN = frozenset({str, int, float, bool, datetime, date, UUID, Any})
#: Beyond this a JSON number is no amount, and no column holds it: Pydantic decides.
LARGEST = Decimal("1e30")
#: What msgspec, or a check of ours, raises about a record; Pydantic is asked then.
REFUSED = (msgspec.MsgspecError, ValueError, ArithmeticError, TypeError)
Check = Callable[[Any], Any]


class UnknownHereError(Exception):
    """Something in a contract that only Pydantic can read."""


class Reader:
    """Reads records of one contract. Raises pydantic.ValidationError for one that breaks it."""

    def __init__(self, contract: type[Contract]) -> None:
        self._contract = contract
        try:
            made = made_of(contract)
        except UnknownHereError:
            self._decode, self._finish = None, None
        else:
            self._decode = msgspec.json.Decoder(list[made.struct]).decode  # type: ignore[name-defined]
            self._finish = made.finish

    def one(self, raw: bytes) -> Any:
        """A record."""
        read = self.page([raw])
        # The class's own method: a contract that refers to a later class is complete on first use.
        return read[0] if read else self._contract.model_validate_json(raw)

    def page(self, records: Sequence[Any]) -> list[Any] | None:
        """All records at once; None where they have to be read one by one, as one may be broken."""
        if self._decode is None or self._finish is None:
            return None
        try:
            found: list[Any] = self._decode(b"[" + b",".join(records) + b"]")
            # Text that is no JSON value by itself (`1,2`) must not shift the others.
            if len(found) != len(records):
                return None
            self._finish(found)
        except REFUSED:
            return None
        return found


@dataclass(frozen=True, slots=True)
class Column:
    """A member of all records of a page: to be converted, or (None) to be checked as an amount."""

    name: str
    convert: Check | None


@dataclass(frozen=True, slots=True)
class Made:
    """A msgspec type, and what is left to do to its records: columns, by the way to their owners.

    A way is (member, whether it is a list) for each step.
    """

    struct: type[msgspec.Struct]
    columns: dict[tuple[tuple[str, bool], ...], list[Column]]

    def finish(self, records: list[Any]) -> None:
        """Convert and check, column by column. Raises one of `REFUSED`."""
        for way, columns in self.columns.items():
            owners = records
            for name, many in way:
                owners = [one for one in map(attrgetter(name), owners) if one is not None]
                if many:
                    owners = list(chain.from_iterable(owners))
            for column in columns:
                values = map(attrgetter(column.name), owners)
                if column.convert is None:
                    # Not a number, infinite or beyond all columns: the sum of the page shows it.
                    if not sum(map(abs, filter(None, values))) < LARGEST:
                        raise ValueError(column.name)
                    continue
                name, convert = column.name, column.convert
                for owner, value in zip(owners, values, strict=True):
                    if value is not None:
                        setattr(owner, name, convert(value))


@cache
def made_of(contract: type[Contract]) -> Made:
    """The msgspec type for a contract. Raises UnknownHereError."""
    if not _plain(contract):
        raise UnknownHereError(contract.__name__)
    members: list[Any] = []
    made = Made(msgspec.Struct, {})
    for name, field in contract.model_fields.items():
        if field.alias or field.validation_alias:
            raise UnknownHereError(f"{contract.__name__}.{name}")
        kind = _annotated(field.annotation, tuple(field.metadata))
        if kind.column:
            made.columns.setdefault((), []).append(Column(name, kind.convert))
        if kind.inner is not None:
            for way, columns in kind.inner.columns.items():
                made.columns[(name, kind.many), *way] = columns
        required = field.is_required()
        members.append((name, kind.type) if required else (name, kind.type, _default(field)))
    # Required members first; the order of members has no meaning in JSON.
    members.sort(key=len)
    return replace(made, struct=msgspec.defstruct(contract.__name__, members, gc=False))


def _plain(contract: type[Contract]) -> bool:
    """Whether it is its fields and no more: no validator, no method that a mapping may call."""
    made = contract.__pydantic_decorators__
    if made.validators or made.field_validators or made.root_validators or made.model_validators:
        return False
    own = [cls for cls in contract.__mro__ if issubclass(cls, Contract) and cls is not Contract]
    behaviour = (types.FunctionType, property, classmethod, staticmethod, cached_property)
    return contract.model_config == Contract.model_config and not any(
        isinstance(item, behaviour)
        for cls in own
        for name, item in vars(cls).items()
        if not name.startswith("__")
    )


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=False)
    if field.default_factory is not None or not isinstance(value, str | int | float | type(None)):
        if value == []:
            return msgspec.field(default_factory=list)
        raise UnknownHereError(repr(value))
    return value


@dataclass(frozen=True, slots=True)
class Kind:
    """A msgspec type; whether values of it are a column, or hold records that have columns."""

    type: Any
    column: bool = False
    convert: Check | None = None
    inner: Made | None = None
    many: bool = False


def _type(annotation: Any) -> Kind:
    """The msgspec type of an annotation. Raises UnknownHereError."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is AwareDatetime:
        return Kind(Annotated[datetime, msgspec.Meta(tz=True)])
    if annotation is Decimal:
        return Kind(Decimal, column=True)
    if annotation in PLAIN or (origin is Literal and all(type(one) is str for one in arguments)):
        return Kind(annotation)
    if origin is not None:
        return _composed(origin, arguments)
    if isinstance(annotation, type) and issubclass(annotation, Contract):
        made = made_of(annotation)
        return Kind(made.struct, inner=made)
    raise UnknownHereError(annotation)


def _composed(origin: Any, arguments: tuple[Any, ...]) -> Kind:
    if origin is Annotated:
        return _annotated(arguments[0], arguments[1:])
    if origin in (Union, types.UnionType):
        return _optional(arguments)
    if origin not in (list, dict):
        raise UnknownHereError(origin)
    inner = _type(arguments[-1])
    if inner.column or (origin is dict and arguments[0] is not str):
        raise UnknownHereError(arguments)
    if inner.inner and inner.inner.columns and (inner.many or origin is dict):
        raise UnknownHereError(arguments)  # records further in than one list
    made: Any = inner.type
    if origin is list:
        return Kind(list[made], inner=inner.inner, many=True)
    return Kind(dict[str, made])


def _annotated(inner: Any, notes: tuple[Any, ...]) -> Kind:
    for note in notes:
        if isinstance(note, BeforeValidator) and getattr(note.func, "reads_text", False):
            return Kind(str, column=True, convert=_converting(note.func, inner))
    kind = _type(inner)
    for note in notes:
        if isinstance(note, Strict) and inner in (int, float, bool, str):
            continue  # msgspec is strict
        if isinstance(note, annotated_types.MaxLen) and inner is str:
            kind = Kind(Annotated[str, msgspec.Meta(max_length=note.max_length)])
        elif isinstance(note, FieldInfo):
            kind = _annotated(inner, tuple(note.metadata))
        else:
            raise UnknownHereError(note)
    return kind


def _optional(arguments: tuple[Any, ...]) -> Kind:
    some = [one for one in arguments if one is not type(None)]
    if len(some) != 1:
        raise UnknownHereError(arguments)  # which of them a value is, Pydantic decides by its rules
    kind = _type(some[0])
    if kind.many:
        raise UnknownHereError(arguments)  # a list that may be null has no records to collect
    return replace(kind, type=kind.type | None)


def _converting(convert: Any, wanted: type) -> Check:
    @lru_cache(8192)  # days and times of day recur
    def converted(value: str) -> Any:
        found = convert(value)
        if isinstance(found, wanted):
            return found
        raise ValueError(value)

    return converted
