"""GraphQL: an introspection result, or a schema in SDL (which graphql-core turns into one).

A response holds what a query asks for, so members of output types are there when asked for;
members of input types may be left out where they have a default or may be null.
"""

from __future__ import annotations

from typing import Any

from graphql import GraphQLError, build_schema, introspection_from_schema

from connectors.contracts.shape import (
    Field,
    Kind,
    Shape,
    Specification,
    SpecificationError,
    Type,
    Wire,
)

#: The five built-in scalars, and custom ones whose names are common usage. Others may be any JSON.
SCALARS: dict[str, tuple[Kind, Wire]] = {
    "ID": (Kind.TEXT, ""),
    "String": (Kind.TEXT, ""),
    "Int": (Kind.INTEGER, ""),
    "Float": (Kind.NUMBER, ""),
    "Boolean": (Kind.BOOLEAN, ""),
    "DateTime": (Kind.MOMENT, ""),
    "Date": (Kind.DAY, ""),
    "Time": (Kind.CLOCK, ""),
    "Decimal": (Kind.DECIMAL, ""),
    "UUID": (Kind.UUID, ""),
    "URL": (Kind.TEXT, ""),
    "URI": (Kind.TEXT, ""),
    "HTML": (Kind.TEXT, ""),
    "BigInt": (Kind.INTEGER, "text"),
    "UnsignedInt64": (Kind.INTEGER, "text"),
}
RECORDS = ("OBJECT", "INTERFACE", "INPUT_OBJECT")


def recognises_introspection(document: Any) -> bool:
    """Whether it is an introspection result, in the answer's `data` or bare."""
    return isinstance(document, dict) and "__schema" in (document.get("data") or document)


def read_introspection(document: Any) -> Specification:
    """Objects, interfaces, inputs and unions. Raises SpecificationError."""
    try:
        types = (document.get("data") or document)["__schema"]["types"]
        kinds = {one["name"]: one for one in types if not one["name"].startswith("__")}
        shapes = {name: _shape(one, kinds) for name, one in kinds.items() if _is_shape(one)}
    except (KeyError, TypeError) as error:
        raise SpecificationError(
            f"the introspection result is incomplete at {error}; ask with the full query"
        ) from error
    return Specification("graphql", "", shapes)


def recognises_sdl(text: bytes) -> bool:
    """Whether it looks like SDL: definitions of types, in no other language."""
    words = text[:65536].split()
    return bool({b"type", b"interface", b"input", b"schema"} & set(words)) and b"{" in text


def read_sdl(text: bytes) -> Specification:
    """The same from SDL. Raises SpecificationError that names the line."""
    try:
        schema = build_schema(text.decode(), assume_valid_sdl=True)
    except (GraphQLError, TypeError, UnicodeDecodeError) as error:
        raise SpecificationError(f"the SDL cannot be read: {error}") from error
    return read_introspection(introspection_from_schema(schema))


def _is_shape(one: dict[str, Any]) -> bool:
    return one["kind"] in RECORDS or one["kind"] == "UNION"


def _shape(one: dict[str, Any], kinds: dict[str, Any]) -> Shape:
    if one["kind"] == "UNION":
        options = tuple(Type(Kind.OBJECT, of=t["name"]) for t in one["possibleTypes"])
        return Shape(one["name"], root=Type(Kind.UNION, any_of=options))
    if one["kind"] == "INPUT_OBJECT":
        fields = []
        for member in one["inputFields"]:
            kind = _type(member["type"], kinds)
            optional = kind.nullable or member.get("defaultValue") is not None
            fields.append(Field(member["name"], kind, "maybe" if optional else "always"))
        return Shape(one["name"], tuple(fields))
    members = [Field(f["name"], _type(f["type"], kinds), "asked") for f in one["fields"] or ()]
    return Shape(one["name"], tuple(members))


def _type(one: dict[str, Any], kinds: dict[str, Any], *, nullable: bool = True) -> Type:
    name = one["name"]
    if one["kind"] == "NON_NULL":
        return _type(one["ofType"], kinds, nullable=False)
    if one["kind"] == "LIST":
        return Type(Kind.LIST, nullable=nullable, items=_type(one["ofType"], kinds))
    if one["kind"] == "ENUM":
        choices = tuple(value["name"] for value in kinds[name]["enumValues"])
        return Type(Kind.TEXT, nullable=nullable, choices=choices)
    if one["kind"] == "SCALAR":
        kind, wire = SCALARS.get(name, (Kind.ANY, ""))
        return Type(kind, nullable=nullable, wire=wire)
    return Type(Kind.OBJECT, nullable=nullable, of=name)
