"""JSON Schema, as itself and as OpenAPI and Swagger embed it: schemas become types and shapes.

Objects inside objects become shapes of their own, named by the path to them (`order.shipping`).
`nullable` and `x-nullable` are OpenAPI 3.0's and Swagger 2's way to say what `"null"` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from connectors.contracts.shape import Choice, Field, Kind, Shape, SpecificationError, Type, Wire

Schema = Mapping[str, Any]

SCALARS: dict[str, Kind] = {
    "string": Kind.TEXT,
    "integer": Kind.INTEGER,
    "number": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
}
#: (type, format): formats that change what a value is (JSON Schema "format"; OpenAPI registry).
FORMATS: dict[tuple[str, str], tuple[Kind, Wire]] = {
    ("string", "date-time"): (Kind.MOMENT, ""),
    ("string", "date"): (Kind.DAY, ""),
    ("string", "time"): (Kind.CLOCK, ""),
    ("string", "duration"): (Kind.DURATION, ""),
    ("string", "uuid"): (Kind.UUID, ""),
    ("string", "byte"): (Kind.BINARY, ""),
    ("string", "decimal"): (Kind.DECIMAL, "text"),
    ("string", "int64"): (Kind.INTEGER, "text"),
    ("number", "decimal"): (Kind.DECIMAL, ""),
    ("integer", "unix-time"): (Kind.INTEGER, "unix"),
}
PREFIXES = ("#/components/schemas/", "#/definitions/", "#/$defs/")


class Reader:
    """Reads the named schemas of one document; nested objects are added as they are met.

    `itself` is the name of the document's own schema, which `#` refers to.
    """

    def __init__(self, named: Mapping[str, Schema], itself: str = "") -> None:
        self.named = named
        self.itself = itself
        self.shapes: dict[str, Shape] = {}

    def read(self) -> dict[str, Shape]:
        """Every named schema as a shape, and those inside them."""
        for name, schema in self.named.items():
            self.shapes[name] = self.shape(name, schema)
        return self.shapes

    def shape(self, name: str, schema: Schema) -> Shape:
        """A shape for a schema. What is no object gets a root."""
        schema = self._merged(name, schema)
        if _describes_object(schema):
            return self._object(name, schema)
        return Shape(name, root=self.type(schema, name))

    def _object(self, name: str, schema: Schema) -> Shape:
        required = set(schema.get("required", ()))
        return Shape(
            name,
            tuple(
                Field(
                    member,
                    self.type(kind, f"{name}.{member}"),
                    "always" if member in required else "maybe",
                )
                for member, kind in schema.get("properties", {}).items()
                # A write-only member (a password) is never in what is read.
                if not (isinstance(kind, Mapping) and kind.get("writeOnly"))
            ),
        )

    def type(self, schema: Any, place: str) -> Type:
        """The type that a schema describes; `place` names the shape that an inline object gets."""
        if not isinstance(schema, Mapping):  # `true` allows anything, `false` nothing
            return Type(Kind.ANY, nullable=True)
        if "$ref" in schema:
            return Type(Kind.OBJECT, nullable=_nullable(schema), of=self._target(schema, place))
        if "allOf" in schema:
            schema = self._merged(place, schema)
            if "$ref" in schema:
                return self.type(schema, place)
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            return self._union(options, schema, place)
        names = schema.get("type")
        if isinstance(names, list):
            some = [n for n in names if n != "null"]
            if len(some) != 1:
                options = [{**schema, "type": n} for n in some]
                return self._union(options, {"nullable": "null" in names}, place)
            schema = {**schema, "type": some[0], "nullable": "null" in names}
        return self._plain(schema, place)

    def _plain(self, schema: Schema, place: str) -> Type:
        nullable, name = _nullable(schema), schema.get("type")
        if "enum" in schema or "const" in schema:
            return _choices(schema, nullable=nullable)
        if name == "array":
            return Type(
                Kind.LIST,
                nullable=nullable,
                items=self.type(schema.get("items", True), f"{place}.item"),
            )
        if _describes_object(schema):
            if schema.get("properties"):
                self.shapes[place] = self._object(place, schema)
                return Type(Kind.OBJECT, nullable=nullable, of=place)
            others = schema.get("additionalProperties", True)
            return Type(Kind.MAP, nullable=nullable, items=self.type(others, f"{place}.value"))
        if name not in SCALARS:
            return Type(Kind.ANY, nullable=True)
        kind, wire = FORMATS.get((name, schema.get("format", "")), (SCALARS[name], ""))
        length = schema.get("maxLength") if kind is Kind.TEXT else None
        return Type(kind, nullable=nullable, max_length=length, wire=wire)

    def _union(self, options: list[Any], outer: Schema, place: str) -> Type:
        """One of several; `null` among them, or one of them nullable, makes it nullable."""
        nullable, found = _nullable(outer), []
        for number, option in enumerate(options):
            if isinstance(option, Mapping) and option.get("type") == "null":
                nullable = True
                continue
            kind = self.type(option, f"{place}.{number}" if len(options) > 1 else place)
            nullable |= kind.nullable
            found.append(_without_null(kind))
        if len(found) == 1:
            return _with_null(found[0], nullable=nullable)
        return Type(Kind.UNION, nullable=nullable, any_of=tuple(dict.fromkeys(found)))

    def _merged(self, place: str, schema: Schema, depth: int = 0) -> Schema:
        """`allOf` as one schema: the members of all its parts. A single reference stays one."""
        parts = schema.get("allOf")
        if not parts:
            return schema
        if depth > 20:
            raise SpecificationError(f"{place}: allOf leads back to itself; mend the document")
        own = {k: v for k, v in schema.items() if k != "allOf"}
        if len(parts) == 1 and "$ref" in parts[0] and "properties" not in own:
            return {**own, **parts[0]}
        whole: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
        for part in (*parts, own):
            known = self.named[self._target(part, place)] if "$ref" in part else part
            one = self._merged(place, known, depth + 1)
            whole["properties"].update(one.get("properties", {}))
            whole["required"] += one.get("required", [])
            whole.update(
                {k: v for k, v in one.items() if k not in ("properties", "required", "allOf")}
            )
        return whole

    def _target(self, schema: Schema, place: str) -> str:
        """The name that a reference leads to. Raises SpecificationError for any other document."""
        text = str(schema["$ref"])
        for prefix in PREFIXES:
            name = unquote(text.removeprefix(prefix)).replace("~1", "/").replace("~0", "~")
            if text.startswith(prefix) and name in self.named:
                return name
        if text == "#" and self.itself:
            return self.itself
        raise SpecificationError(
            f"{place} refers to {text!r}, which is not in the document."
            " Bundle its files into one first, or mend the reference"
        )


def _describes_object(schema: Schema) -> bool:
    name = schema.get("type")
    names = name if isinstance(name, list) else [name]
    return "object" in names or (name is None and bool(schema.get("properties")))


def _nullable(schema: Schema) -> bool:
    return bool(schema.get("nullable") or schema.get("x-nullable") or schema.get("type") == "null")


def _choices(schema: Schema, *, nullable: bool) -> Type:
    values = schema.get("enum", [schema.get("const")])
    some: list[Choice] = [v for v in values if isinstance(v, str | int)]
    nullable |= None in values
    if len(some) < len([v for v in values if v is not None]):
        return Type(Kind.ANY, nullable=True)  # floats and objects: no list of names
    kinds = {bool: Kind.BOOLEAN, int: Kind.INTEGER, str: Kind.TEXT}
    found = {kinds[type(v)] for v in some}
    if len(found) != 1:
        return Type(Kind.ANY, nullable=True)
    return Type(found.pop(), nullable=nullable, choices=tuple(some))


def _without_null(kind: Type) -> Type:
    return _with_null(kind, nullable=False)


def _with_null(kind: Type, *, nullable: bool) -> Type:
    return msgspec.structs.replace(kind, nullable=nullable)
