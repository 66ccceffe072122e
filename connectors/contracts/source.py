"""Writes shapes as Pydantic source that a person would read, and git would show in a diff.

A contract that a stream uses has the members that the stream uses, and demands those that the
vendor promises. Without a selection every member is written; what comes only when asked for may
then be left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from connectors.contracts.names import attribute, class_name
from connectors.contracts.shape import Field, Kind, Shape, Type
from connectors.contracts.uses import Tree, member

WIDTH = 100
_WORD = re.compile(r"\w+")
_HEAD = '''"""{doc}

Written by `manage.py contract generate`; changes by hand are lost. What we demand beyond what is
published stands in the connector's `contracts.py`.
"""

from __future__ import annotations

'''
SCALARS: dict[tuple[Kind, str], str] = {
    (Kind.TEXT, ""): "str",
    (Kind.INTEGER, ""): "Integer",
    (Kind.INTEGER, "unix"): "Integer",
    (Kind.INTEGER, "text"): "int",
    (Kind.NUMBER, ""): "Number",
    (Kind.NUMBER, "text"): "float",
    (Kind.DECIMAL, ""): "Decimal",
    (Kind.DECIMAL, "text"): "Decimal",
    (Kind.BOOLEAN, ""): "Boolean",
    (Kind.BOOLEAN, "text"): "bool",
    (Kind.MOMENT, ""): "AwareDatetime",
    (Kind.MOMENT, "local"): "datetime",
    (Kind.MOMENT, "odata2"): "ODataMoment",
    (Kind.DAY, ""): "date",
    (Kind.CLOCK, ""): "time",
    (Kind.CLOCK, "odata2"): "ODataClock",
    (Kind.DURATION, ""): "timedelta",
    (Kind.UUID, ""): "UUID",
    (Kind.BINARY, ""): "str",  # Base64, kept as it came
    (Kind.ANY, ""): "Any",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A contract to write: a shape, limited to a tree of members or (None) whole."""

    shape: Shape
    tree: Tree | None = None


class Writer:
    """Writes one module. `shapes` are all that the wanted ones may refer to, by name."""

    def __init__(self, shapes: dict[str, Shape], wanted: Iterable[Wanted]) -> None:
        self.shapes = shapes
        self.wanted = list(wanted)
        self.classes: dict[str, str] = {}  # by selection
        self.names: set[str] = set()
        self.blocks: list[str] = []
        self.roots: list[str] = []  # at the end: they name classes as they are defined
        self.inside: list[str] = []
        self.versions: dict[str, str] = {}
        self.members = {attribute(f.name) for shape in shapes.values() for f in shape.fields}

    def module(self, doc: str) -> str:
        """The module's text."""
        for one in self.wanted:
            self._class(one.shape, one.tree, one.shape.name)
        body = "\n\n".join(self.blocks + self.roots)
        return _HEAD.format(doc=doc) + _imports(body) + "\n\n" + body

    def _class(self, shape: Shape, tree: Tree | None, wish: str) -> str:
        """The name of the class for a selection of a shape; written where it is new."""
        key = f"{shape.name} {msgspec.json.encode(tree, order='sorted').decode()}"
        if key in self.classes:
            return self.classes[key]
        name = class_name(wish, self.names | self.members)
        self.classes[key] = name
        self.names.add(name)
        if shape.root is not None:
            kind = self._type(shape.root, None, name)
            self.roots.append(
                f'class {name}(RootModel[{kind}]):\n    """{_plain(shape.name)}."""\n'
            )
            return name
        outside, self.inside = self.inside, []
        lines = [
            # A member that is used as a whole is written as a whole.
            self._member(field, inner or None, name, used=tree is not None)
            for field, inner in _selected(shape, tree)
        ]
        self.inside = outside
        # What is nested counts too: a contract is another one when a part of it is.
        nested = [self.versions.get(word, "") for line in lines for word in _WORD.findall(line)]
        said = "\n".join([shape.name, *lines, *nested])
        version = self.versions[name] = hashlib.sha256(said.encode()).hexdigest()[:12]
        doc = f'    """{_plain(shape.name)}."""\n\n' if name != shape.name else ""
        body = "".join(f"    {line}\n" for line in lines)
        self.blocks.append(
            f'class {name}(Contract):\n{doc}    VERSION: ClassVar[str] = "{version}"\n{body}'
        )
        return name

    def _member(self, field: Field, tree: Tree | None, owner: str, *, used: bool) -> str:
        kind = self._type(field.type, tree, f"{owner}_{field.name}")
        optional = field.presence == "maybe" or (field.presence == "asked" and not used)
        if field.type.wire == "odata2" and field.type.of and not used:
            kind += " | Deferred"
        if (field.type.nullable or optional) and kind != "Any":
            kind += " | None"
        name = attribute(field.name)
        given = [f'alias="{field.name}"'] if name != field.name else []
        if optional:
            default = f" = Field(default=None, {given[0]})" if given else " = None"
        else:
            default = f" = Field({given[0]})" if given else ""
        return _wrapped(f"{name}: ", kind, default)

    def _type(self, kind: Type, tree: Tree | None, wish: str) -> str:
        if kind.kind is Kind.OBJECT:
            return self._object(kind, tree, wish)
        if kind.kind is Kind.LIST or kind.kind is Kind.MAP:
            inner = self._type(kind.items or Type(Kind.ANY), tree, wish)
            if kind.items and kind.items.nullable and inner != "Any":
                inner += " | None"
            return f"list[{inner}]" if kind.kind is Kind.LIST else f"dict[str, {inner}]"
        if kind.kind is Kind.UNION:
            return " | ".join(dict.fromkeys(self._type(one, tree, wish) for one in kind.any_of))
        if kind.choices:
            return f"Literal[{', '.join(_literal(one) for one in kind.choices)}]"
        name = SCALARS[kind.kind, kind.wire]
        if name == "str" and kind.max_length:
            return f"Annotated[str, Field(max_length={kind.max_length})]"
        return name

    def _object(self, kind: Type, tree: Tree | None, wish: str) -> str:
        shape = self.shapes.get(kind.of)
        if shape is None:
            return "dict[str, Any]"  # in a document that was not pulled
        if shape.root is None:
            return self._class(shape, tree, self._wish(shape, wish) if tree else shape.name)
        if shape.name in self.inside:
            return "Any"  # a union that contains itself: any JSON value, as a rule
        self.inside.append(shape.name)
        text = self._type(shape.root, tree, wish)
        self.inside.pop()
        return text

    def _wish(self, shape: Shape, place: str) -> str:
        """The shape's own name for the first selection of it, the place's for others."""
        return place if shape.name in {key.split(" ")[0] for key in self.classes} else shape.name


def _selected(shape: Shape, tree: Tree | None) -> Iterable[tuple[Field, Tree | None]]:
    """The members to write, in the document's order, each with the selection inside it."""
    if tree is None:
        return [(field, None) for field in shape.fields]
    found = {field.name: inner for step, inner in tree.items() if (field := member(shape, step))}
    return [(field, found[field.name]) for field in shape.fields if field.name in found]


def _literal(value: str | int) -> str:
    return msgspec.json.encode(value).decode() if isinstance(value, str) else repr(value)


def _plain(name: str) -> str:
    return name.replace("\\", "").replace('"', "'")


def _wrapped(start: str, kind: str, default: str) -> str:
    """A member on one line if it fits, its choices on lines of their own otherwise."""
    if len(start) + len(kind) + len(default) + 4 <= WIDTH or not kind.startswith("Literal["):
        return start + kind + default
    inside, _, rest = kind[8:].partition("]")
    choices = "".join(f"        {choice.strip()},\n" for choice in inside.split(", "))
    return f"{start}Literal[\n{choices}    ]{rest}{default}"


_FROM = {
    "datetime": ("date", "datetime", "time", "timedelta"),
    "decimal": ("Decimal",),
    "typing": ("Annotated", "Any", "ClassVar", "Literal"),
    "uuid": ("UUID",),
    "pydantic": ("AwareDatetime", "Field", "RootModel"),
    "connectors.contracts.wire": (
        "Boolean", "Deferred", "Integer", "Number", "ODataClock", "ODataMoment",
    ),
    "connectors.runtime.declare": ("Contract",),
}  # fmt: skip


def _imports(body: str) -> str:
    """Imports of what the text mentions, in isort's order."""
    words = set(_WORD.findall(re.sub(r'"[^"\n]*"', "", body)))
    groups: list[list[str]] = [[], [], []]
    for place, (module, names) in enumerate(_FROM.items()):
        if used := [name for name in names if name in words]:
            group = 0 if place < 4 else 1 if place == 4 else 2
            groups[group].append(f"from {module} import {', '.join(used)}")
    return "\n\n".join("\n".join(group) for group in groups if group) + "\n"
