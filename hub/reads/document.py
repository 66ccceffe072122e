"""From a document's text to the operation that is compiled.

Clients that write arguments into the text send a new document with each request, and parsing one
costs more than answering it. So texts and whole numbers are lifted out of it (10 µs): documents
that differ in them alone have one shape, and share a plan that takes them as variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    IntValueNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    StringValueNode,
    TypeInfo,
    TypeInfoVisitor,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_nullable_type,
    visit,
)

from hub.graphql.documents import checked, chosen, schema
from hub.reads.reasons import LeftToGrapheneError

#: Texts, whole numbers that fit GraphQL's Int, and what must not be looked into.
LITERAL = re.compile(
    r'"""|\#|"(?:[^"\\\n]|\\.)*"|(?<![\w$.])-?(?:0|[1-9][0-9]{0,8})(?![\w.])', re.ASCII
)
LIFTED = "_lifted"
KINDS: Mapping[type[ValueNode], str] = {StringValueNode: "String", IntValueNode: "Int"}


@dataclass(frozen=True, slots=True)
class Shape:
    """A text without its literals, and these. Equal literals have one name: {name: value}."""

    text: str
    literals: dict[str, Any]
    #: Where each literal stands in the text as it was sent.
    places: dict[int, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Operation:
    """What is compiled. `lifted`: literals of the text are variables of `node`."""

    document: DocumentNode
    node: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    lifted: bool


def shape(text: str) -> Shape | None:
    """The shape of a document that has literals; None for one that is taken as it stands."""
    literals: dict[str, Any] = {}
    names: dict[tuple[type, Any], str] = {}
    places: dict[int, str] = {}
    pieces, last = [], 0
    for found in LITERAL.finditer(text):
        token = found[0]
        if token in ('"""', "#"):
            return None
        try:
            value = orjson.loads(token)
        except orjson.JSONDecodeError:
            return None
        # By value: whether two fields may be merged hangs on whether their arguments are equal.
        name = names.setdefault((type(value), value), f"{LIFTED}{len(names)}")
        literals[name] = value
        places[found.start()] = name
        # A character that no document holds marks the place, and tells text from number.
        pieces += [text[last : found.start()], "\x01", name, type(value).__name__]
        last = found.end()
    if not literals or LIFTED in text:
        return None
    return Shape("".join([*pieces, text[last:]]), literals, places)


def operation(text: str, name: str | None, variables: Mapping[str, Any]) -> Operation:
    """The operation of a valid document. Raises LeftToGrapheneError where something is wrong."""
    document = checked(text)
    if isinstance(document, tuple):
        raise LeftToGrapheneError
    node = chosen(document, name, dict(variables))
    if isinstance(node, GraphQLError) or node.operation is not OperationType.QUERY:
        raise LeftToGrapheneError
    return _operation(document, node, lifted=False)


def lifted(plain: Operation, places: Mapping[int, str]) -> Operation | None:
    """The same with variables for its literals.

    None where one of them stands elsewhere than in an argument of type String or Int, so that
    another value could make the document invalid.
    """
    info = TypeInfo(schema())
    lifting = _Lifting(info, places)
    document = visit(plain.document, TypeInfoVisitor(info, lifting))
    if lifting.failed or lifting.seen != set(places):
        return None
    place = plain.document.definitions.index(plain.node)
    return _operation(document, document.definitions[place], lifted=True)


def _operation(document: DocumentNode, node: OperationDefinitionNode, *, lifted: bool) -> Operation:
    fragments = {
        d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)
    }
    return Operation(document, node, fragments, lifted)


class _Lifting(Visitor):
    """Puts a variable in the place of each literal."""

    def __init__(self, info: TypeInfo, places: Mapping[int, str]) -> None:
        super().__init__()
        self._info, self._places = info, places
        self.seen: set[int] = set()
        self.failed = False

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> None:
        # A default is read once for all requests.
        self.failed = self.failed or node.default_value is not None

    def enter_string_value(self, node: StringValueNode, *_: Any) -> VariableNode | None:
        return self._lift(node)

    def enter_int_value(self, node: IntValueNode, *_: Any) -> VariableNode | None:
        return self._lift(node)

    def _lift(self, node: StringValueNode | IntValueNode) -> VariableNode | None:
        start = node.loc.start if node.loc else -1
        expected: Any = self._info.get_input_type()
        expected = get_nullable_type(expected)
        if start not in self._places or getattr(expected, "name", "") != KINDS[type(node)]:
            self.failed = True
            return None
        self.seen.add(start)
        return VariableNode(name=NameNode(value=self._places[start]))
