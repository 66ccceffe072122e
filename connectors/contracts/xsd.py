"""XML Schema, alone or in the types of a WSDL.

Records arrive as the JSON that a connector makes of the XML: one member for each element and
attribute, texts for all values, a list where more than one may stand. So numbers are read from
texts. A name is taken without its namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

import msgspec

from connectors.contracts.markup import local, named, number, parse
from connectors.contracts.shape import (
    Field,
    Kind,
    Shape,
    Specification,
    SpecificationError,
    Type,
    Wire,
)

#: Built-in simple types (XML Schema part 2). All others are texts.
BUILT_IN: dict[str, tuple[Kind, Wire]] = {
    "boolean": (Kind.BOOLEAN, "text"),
    "decimal": (Kind.DECIMAL, "text"),
    "double": (Kind.NUMBER, "text"),
    "float": (Kind.NUMBER, "text"),
    "dateTime": (Kind.MOMENT, "local"),
    "date": (Kind.DAY, ""),
    "time": (Kind.CLOCK, ""),
    "duration": (Kind.DURATION, ""),
    "base64Binary": (Kind.BINARY, ""),
    "anyType": (Kind.ANY, ""),
    "anySimpleType": (Kind.ANY, ""),
    **dict.fromkeys(
        [
            "integer",
            "int",
            "long",
            "short",
            "byte",
            "unsignedInt",
            "unsignedLong",
            "unsignedShort",
            "unsignedByte",
            "positiveInteger",
            "nonNegativeInteger",
            "nonPositiveInteger",
            "negativeInteger",
        ],
        (Kind.INTEGER, "text"),
    ),
}
GROUPS = ("sequence", "all", "choice")


def recognises(text: bytes) -> bool:
    """Whether it is a WSDL or a schema."""
    start = text[:4096]
    return b"http://www.w3.org/2001/XMLSchema" in start or b"schemas.xmlsoap.org/wsdl" in start


def read(text: bytes) -> Specification:
    """Every complex type and every element with one of its own. Raises SpecificationError."""
    root = parse(text)
    schemas = [one for one in root.iter() if local(one.tag) == "schema"]
    if not schemas:
        raise SpecificationError(
            "no schema in the document: a WSDL that imports its types needs them pasted in"
        )
    return Specification("xsd", root.get("version", ""), _Reader(schemas).read())


class _Reader:
    def __init__(self, schemas: list[Element]) -> None:
        self.simple = _by_name(schemas, "simpleType")
        self.complex = _by_name(schemas, "complexType")
        self.elements = _by_name(schemas, "element")
        self.groups = _by_name(schemas, "group", "attributeGroup")
        self.shapes: dict[str, Shape] = {}

    def read(self) -> dict[str, Shape]:
        for name, one in self.complex.items():
            self.shapes[name] = Shape(name, self._fields(one, name))
        for name, one in self.elements.items():
            if name not in self.shapes and (inner := named(one, "complexType")):
                self.shapes[name] = Shape(name, self._fields(inner[0], name))
        return self.shapes

    def _fields(self, one: Element, place: str, depth: int = 0) -> tuple[Field, ...]:
        if depth > 20:
            raise SpecificationError(f"type {place} is its own base type; mend the document")
        found: dict[str, Field] = {}
        for content in named(one, "complexContent", "simpleContent"):
            for change in named(content, "extension", "restriction"):
                base = _name(change.get("base", ""))
                if base in self.complex:
                    inherited = self._fields(self.complex[base], place, depth + 1)
                    found.update({field.name: field for field in inherited})
                elif local(content.tag) == "simpleContent":
                    found["value"] = Field("value", self._named(base, nullable=False))
                found.update({f.name: f for f in self._fields(change, place, depth + 1)})
        for member, optional, many in self._members(one):
            field = self._field(member, place, optional=optional, many=many)
            found[field.name] = field
        return tuple(found.values())

    def _members(
        self, one: Element, *, optional: bool = False, many: bool = False
    ) -> Iterator[tuple[Element, bool, bool]]:
        """(element or attribute, whether a group makes it optional, whether it repeats)."""
        for child in one:
            tag = local(child.tag)
            if tag in ("element", "attribute"):
                yield child, optional, many
            elif tag in GROUPS:
                yield from self._members(
                    child,
                    optional=optional or tag == "choice" or child.get("minOccurs") == "0",
                    many=many or child.get("maxOccurs", "1") not in ("0", "1"),
                )
            elif tag in ("group", "attributeGroup") and child.get("ref"):
                known = self.groups.get(_name(child.get("ref", "")))
                if known is not None:
                    yield from self._members(known, optional=optional, many=many)

    def _field(self, one: Element, place: str, *, optional: bool, many: bool) -> Field:
        known = self.elements.get(_name(one.get("ref", "")), one)
        name, nullable = known.get("name") or _name(one.get("ref", "")), known.get("nillable")
        kind = self._type(known, f"{place}.{name}", nullable=nullable in ("true", "1"))
        if local(one.tag) == "attribute":
            return Field(name, kind, "always" if one.get("use") == "required" else "maybe")
        if many or one.get("maxOccurs", "1") not in ("0", "1"):
            kind = Type(Kind.LIST, items=kind)
        absent = optional or one.get("minOccurs") == "0"
        return Field(name, kind, "maybe" if absent else "always")

    def _type(self, one: Element, place: str, *, nullable: bool) -> Type:
        if one.get("type"):
            return self._named(_name(one.get("type", "")), nullable=nullable)
        for inner in named(one, "simpleType"):
            return self._simple(inner, nullable=nullable)
        for inner in named(one, "complexType"):
            self.shapes[place] = Shape(place, self._fields(inner, place))
            return Type(Kind.OBJECT, nullable=nullable, of=place)
        return Type(Kind.ANY, nullable=True)

    def _named(self, name: str, *, nullable: bool) -> Type:
        if name in self.complex:
            return Type(Kind.OBJECT, nullable=nullable, of=name)
        if name in self.simple:
            return self._simple(self.simple[name], nullable=nullable)
        kind, wire = BUILT_IN.get(name, (Kind.TEXT, ""))
        return Type(kind, nullable=nullable, wire=wire)

    def _simple(self, one: Element, *, nullable: bool) -> Type:
        for limits in named(one, "restriction"):
            base = self._type(limits, "", nullable=nullable)
            if limits.get("base"):
                base = self._named(_name(limits.get("base", "")), nullable=nullable)
            values = [v.get("value", "") for v in named(limits, "enumeration")]
            facet = {local(f.tag): number(f.get("value")) for f in limits}
            return msgspec.structs.replace(
                base,
                choices=tuple(values) if base.kind is Kind.TEXT and values else base.choices,
                max_length=facet.get("maxLength", facet.get("length", base.max_length)),
                precision=facet.get("totalDigits", base.precision),
                scale=facet.get("fractionDigits", base.scale),
            )
        return Type(Kind.TEXT, nullable=nullable)  # a list or a union: one text either way


def _by_name(schemas: list[Element], *tags: str) -> dict[str, Element]:
    return {one.get("name", ""): one for s in schemas for one in named(s, *tags)}


def _name(text: str) -> str:
    """A qualified name without its prefix."""
    return text.rpartition(":")[2]
