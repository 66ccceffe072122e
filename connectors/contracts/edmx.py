"""OData `$metadata`: CSDL 2 and 3 (OData V2) and CSDL 4 (OData V4).

In V2 a to-many navigation comes as `{"results": [...]}` once expanded and `{"__deferred": ...}`
before; it gets a shape of its own, `<type>.results`, so that dotted paths follow the JSON.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from connectors.contracts.markup import local, named, number, parse
from connectors.contracts.shape import (
    Field,
    Kind,
    Presence,
    Shape,
    Specification,
    SpecificationError,
    Type,
    Wire,
)

#: EDM type to kind and to its spelling in V2 and V4 (OData V2 "Primitive types"; CSDL 4.01, 3.3).
EDM: dict[str, tuple[Kind, Wire, Wire]] = {
    "String": (Kind.TEXT, "", ""),
    "Boolean": (Kind.BOOLEAN, "", ""),
    "Byte": (Kind.INTEGER, "", ""),
    "SByte": (Kind.INTEGER, "", ""),
    "Int16": (Kind.INTEGER, "", ""),
    "Int32": (Kind.INTEGER, "", ""),
    "Int64": (Kind.INTEGER, "text", "text"),  # V4 in quotes when asked for IEEE754Compatible
    "Decimal": (Kind.DECIMAL, "", ""),
    "Double": (Kind.NUMBER, "text", ""),
    "Single": (Kind.NUMBER, "text", ""),
    "DateTime": (Kind.MOMENT, "odata2", "local"),
    "DateTimeOffset": (Kind.MOMENT, "odata2", ""),
    "Time": (Kind.CLOCK, "odata2", ""),
    "Date": (Kind.DAY, "", ""),
    "TimeOfDay": (Kind.CLOCK, "", ""),
    "Duration": (Kind.DURATION, "", ""),
    "Guid": (Kind.UUID, "", ""),
    "Binary": (Kind.BINARY, "", ""),
}
_ASKED: Presence = "asked"


def recognises(text: bytes) -> bool:
    """Whether it is an EDMX document."""
    return b":Edmx" in text[:4096] or b"<Edmx" in text[:4096]


def read(text: bytes) -> Specification:
    """The entity and complex types of a service. Raises SpecificationError."""
    root = parse(text)
    schemas = [one for one in root.iter() if local(one.tag) == "Schema"]
    if not schemas:
        raise SpecificationError("the EDMX document has no Schema; ask the service for $metadata")
    return _Reader(schemas, v4=root.get("Version", "").startswith("4")).specification()


class _Reader:
    def __init__(self, schemas: list[Element], *, v4: bool) -> None:
        self.v4 = v4
        self.schemas = schemas
        self.enums = self._by_name("EnumType")
        self.definitions = self._by_name("TypeDefinition")
        self.associations = self._by_name("Association")
        self.types = self._by_name("EntityType", "ComplexType")

    def _by_name(self, *tags: str) -> dict[str, Element]:
        return {one.get("Name", ""): one for s in self.schemas for one in named(s, *tags)}

    def specification(self) -> Specification:
        shapes = {name: self._shape(name, element) for name, element in self.types.items()}
        for shape in list(shapes.values()):
            for field in shape.fields:
                if field.type.of.endswith(".results"):
                    inner = Type(Kind.OBJECT, of=field.type.of.removesuffix(".results"))
                    lot = Field("results", Type(Kind.LIST, items=inner))
                    shapes[field.type.of] = Shape(field.type.of, (lot,))
        sets = {
            one.get("Name", ""): _last(one.get("EntityType", ""))
            for schema in self.schemas
            for container in named(schema, "EntityContainer")
            for one in named(container, "EntitySet")
        }
        return Specification("edmx", "OData V4" if self.v4 else "OData V2", shapes, sets)

    def _shape(self, name: str, element: Element) -> Shape:
        fields, keys = self._members(element, frozenset())
        return Shape(name, tuple(fields), tuple(keys))

    def _members(self, element: Element, seen: frozenset[str]) -> tuple[list[Field], list[str]]:
        """Members and keys, those of base types first."""
        name, base = element.get("Name", ""), _last(element.get("BaseType", ""))
        if name in seen:
            raise SpecificationError(f"type {name} is its own base type; mend the document")
        fields: list[Field] = []
        keys: list[str] = []
        if base in self.types:
            fields, keys = self._members(self.types[base], seen | {name})
        for key in named(element, "Key"):
            keys += [part.get("Name", "") for part in named(key, "PropertyRef")]
        for one in named(element, "Property"):
            kind = self._property(one, f"{name}.{one.get('Name')}")
            fields.append(Field(one.get("Name", ""), kind))
        for one in named(element, "NavigationProperty"):
            fields.append(self._navigation(one, name))
        return fields, keys

    def _property(self, one: Element, place: str) -> Type:
        nullable = one.get("Nullable", "true") != "false"
        text = one.get("Type", "")
        if text.startswith("Collection("):
            inner = self._type(text[11:-1], one, place, nullable=nullable and self.v4)
            return Type(Kind.LIST, items=inner)
        return self._type(text, one, place, nullable=nullable)

    def _type(self, text: str, one: Element, place: str, *, nullable: bool) -> Type:
        name = _last(text)
        if text.startswith("Edm."):
            # Geography, streams, untyped values: JSON that the document does not describe.
            kind, v2, v4 = EDM.get(name, (Kind.ANY, "", ""))
            return Type(
                kind,
                nullable=nullable,
                max_length=number(one.get("MaxLength")) if kind is Kind.TEXT else None,
                precision=number(one.get("Precision")) if kind is Kind.DECIMAL else None,
                scale=number(one.get("Scale")) if kind is Kind.DECIMAL else None,
                wire=v4 if self.v4 else v2,
            )
        if name in self.enums:
            names = tuple(m.get("Name", "") for m in named(self.enums[name], "Member"))
            # Flags come as names with commas between, which no list of choices can hold.
            several = self.enums[name].get("IsFlags") == "true"
            return Type(Kind.TEXT, nullable=nullable, choices=() if several else names)
        if name in self.definitions:
            known = self.definitions[name]
            return self._type(known.get("UnderlyingType", ""), known, place, nullable=nullable)
        if name in self.types:
            return Type(Kind.OBJECT, nullable=nullable, of=name)
        if "." not in text:
            raise SpecificationError(f"{place} has the type {text!r}, which is none of OData's")
        return Type(Kind.ANY, nullable=nullable)  # of a schema that the document only refers to

    def _navigation(self, one: Element, owner: str) -> Field:
        name, presence = one.get("Name", ""), _ASKED
        if self.v4:
            text = one.get("Type", "")
            target, many = _last(text.removeprefix("Collection(").removesuffix(")")), "(" in text
            nullable = one.get("Nullable", "true") != "false"
            inner = Type(Kind.OBJECT, of=target) if target in self.types else Type(Kind.ANY)
            if many:
                return Field(name, Type(Kind.LIST, items=inner), presence)
            return Field(name, Type(inner.kind, nullable=nullable, of=inner.of), presence)
        relation = self.associations.get(_last(one.get("Relationship", "")))
        ends = named(relation, "End") if relation is not None else []
        end = next((e for e in ends if e.get("Role") == one.get("ToRole")), None)
        if end is None:
            raise SpecificationError(
                f"the navigation {owner}.{name} names the role {one.get('ToRole')!r} of"
                f" {one.get('Relationship')!r}, which the document lacks; pull it again in full"
            )
        target = _last(end.get("Type", ""))
        if target not in self.types:
            return Field(name, Type(Kind.ANY, nullable=True), presence)
        if end.get("Multiplicity") == "*":
            return Field(name, Type(Kind.OBJECT, of=f"{target}.results", wire="odata2"), presence)
        nullable = end.get("Multiplicity") == "0..1"
        kind = Type(Kind.OBJECT, nullable=nullable, of=target, wire="odata2")
        return Field(name, kind, presence)


def _last(name: str) -> str:
    """A qualified name without its namespace."""
    return name.rpartition(".")[2]
