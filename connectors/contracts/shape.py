"""The neutral form of a published record type, whatever language it was published in.

All of it can be written as JSON (`store.py`) and read back unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Literal

import msgspec

from observability.errors import ConfigurationError


class SpecificationError(ConfigurationError):
    """A specification document cannot be read, or lacks what a stream needs of it.

    The message names the document, the place in it, and the remedy.
    """


class Kind(StrEnum):
    """What a value is; how it is spelled in JSON is the type's `wire`."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"  # binary floating point
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    MOMENT = "moment"  # a day and a time of day
    DAY = "day"
    CLOCK = "clock"  # a time of day
    DURATION = "duration"
    UUID = "uuid"
    BINARY = "binary"
    ANY = "any"  # the document says nothing that could be checked
    OBJECT = "object"  # of the shape that `of` names
    LIST = "list"  # of `items`
    MAP = "map"  # any name to `items`
    UNION = "union"  # one of `any_of`


#: odata2: `/Date(ms)/` and `PT15H55M42S`; text: a number in quotes; unix: seconds since 1970;
#: local: a moment without an offset. Empty: as JSON and ISO 8601 have it.
Wire = Literal["", "odata2", "text", "unix", "local"]
#: maybe: may be left out; asked: there when the request asked for it (`$expand`, a selection).
Presence = Literal["always", "maybe", "asked"]
Choice = str | int | bool


class Type(msgspec.Struct, frozen=True, omit_defaults=True):
    """A type. Lengths are in characters; `precision` and `scale` count decimal digits."""

    kind: Kind
    nullable: bool = False
    of: str = ""
    items: Type | None = None
    any_of: tuple[Type, ...] = ()
    max_length: int | None = None
    precision: int | None = None
    scale: int | None = None
    choices: tuple[Choice, ...] = ()
    wire: Wire = ""


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """A member of a shape under the vendor's own name."""

    name: str
    type: Type
    presence: Presence = "always"


class Shape(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record type. One that is no object (a union, a list) has a `root` in place of fields."""

    name: str
    fields: tuple[Field, ...] = ()
    keys: tuple[str, ...] = ()
    root: Type | None = None

    def field(self, name: str) -> Field | None:
        """The member called `name`."""
        return next((one for one in self.fields if one.name == name), None)


class Specification(msgspec.Struct, frozen=True):
    """What one document says. `collections` names the shape of each collection (entity set)."""

    format: str
    version: str
    shapes: dict[str, Shape]
    collections: dict[str, str] = {}

    def shape(self, name: str) -> Shape:
        """A shape by its own name or by its collection's. Raises SpecificationError."""
        found = self.shapes.get(self.collections.get(name, name))
        if found is None:
            near = nearest(name, [*self.shapes, *self.collections])
            hint = f"; near it are {', '.join(near)}" if near else ""
            raise SpecificationError(
                f"the {self.format} document has no type {name!r}{hint}."
                " Correct the name that the stream declares, or pull the document that has it"
            )
        return found


def resolve(kind: Type, shapes: Mapping[str, Shape]) -> Shape | None:
    """The shape of the objects that a value of the type holds, inside lists and unions too."""
    if kind.kind is Kind.OBJECT:
        return shapes.get(kind.of)
    if kind.items is not None:
        return resolve(kind.items, shapes)
    found = [shape for one in kind.any_of if (shape := resolve(one, shapes)) is not None]
    return found[0] if len(found) == 1 else None


def nearest(name: str, names: list[str], most: int = 3) -> list[str]:
    """Names that look like `name`, the likeliest first."""
    return get_close_matches(name, names, most, 0.6)
