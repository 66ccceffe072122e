"""Salesforce's sObject describe: one document for each object type (REST API, "sObject Describe").

A reference field (`AccountId`) also makes a path to the parent's fields (`Account.Name`), there
when a query asks for it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from connectors.contracts.shape import (
    Field,
    Kind,
    Shape,
    Specification,
    SpecificationError,
    Type,
    Wire,
)

#: Field type to kind and spelling (Object Reference, "Field Types"). All others are texts.
TYPES: dict[str, tuple[Kind, Wire]] = {
    "boolean": (Kind.BOOLEAN, ""),
    "int": (Kind.INTEGER, ""),
    "long": (Kind.INTEGER, ""),
    "double": (Kind.NUMBER, ""),
    "currency": (Kind.NUMBER, ""),
    "percent": (Kind.NUMBER, ""),
    "date": (Kind.DAY, ""),
    "datetime": (Kind.MOMENT, ""),
    "time": (Kind.CLOCK, ""),
    "base64": (Kind.TEXT, ""),  # the address of the content, not the content
    "address": (Kind.ANY, ""),  # compound: a JSON object
    "location": (Kind.ANY, ""),
    "anyType": (Kind.ANY, ""),
    "complexvalue": (Kind.ANY, ""),
    "json": (Kind.ANY, ""),
}


class PicklistValue(msgspec.Struct):
    value: str | None
    active: bool = True


class DescribedField(msgspec.Struct, rename="camel"):
    name: str
    type: str
    nillable: bool
    length: int = 0
    precision: int = 0
    scale: int = 0
    digits: int = 0
    restricted_picklist: bool = False
    picklist_values: list[PicklistValue] = []
    reference_to: list[str] = []
    relationship_name: str | None = None
    deprecated_and_hidden: bool = False


class Described(msgspec.Struct):
    name: str
    fields: list[DescribedField]


def recognises(document: Any) -> bool:
    """Whether it is the describe of one object type."""
    return isinstance(document, dict) and "keyPrefix" in document and "fields" in document


def read(document: Any) -> Specification:
    """The one shape of a describe. Raises SpecificationError."""
    try:
        found = msgspec.convert(document, Described)
    except msgspec.ValidationError as error:
        raise SpecificationError(
            f"no sObject describe: {error}. Ask /sobjects/<name>/describe"
        ) from error
    fields: list[Field] = []
    for one in found.fields:
        if not one.deprecated_and_hidden:
            fields.append(Field(one.name, _type(one)))
            if one.relationship_name:
                # What a polymorphic reference leads to depends on the record.
                kind = (
                    Type(Kind.OBJECT, nullable=True, of=one.reference_to[0])
                    if len(one.reference_to) == 1
                    else Type(Kind.ANY, nullable=True)
                )
                fields.append(Field(one.relationship_name, kind, "asked"))
    return Specification("describe", "", {found.name: Shape(found.name, tuple(fields), ("Id",))})


def _type(one: DescribedField) -> Type:
    kind, wire = TYPES.get(one.type, (Kind.TEXT, ""))
    choices: tuple[str, ...] = ()
    # Several picks come as one text, and an unrestricted list does not bind what is stored.
    # Records keep values that were deactivated after they were chosen: those count too.
    if one.restricted_picklist and one.type == "picklist":
        choices = tuple(v.value for v in one.picklist_values if v.value is not None)
    digits = kind is Kind.NUMBER
    return Type(
        kind,
        nullable=one.nillable,
        max_length=one.length or None if kind is Kind.TEXT else None,
        precision=one.precision or None if digits else None,
        scale=one.scale if digits and one.precision else None,
        choices=choices,
        wire=wire,
    )
