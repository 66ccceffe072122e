"""From a request's variables to the arguments of the root fields, without graphql-core's general
and slow way where a value needs no coercion: exactly a text, a small integer or a boolean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLSchema,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_nullable_type,
    is_non_null_type,
    type_from_ast,
    value_from_ast,
)
from graphql.execution.values import get_argument_values, get_variable_values

from hub.reads.reasons import LeftToGrapheneError

Values = dict[str, Any]
EXACT = {"String": str, "Int": int, "Boolean": bool}
LARGEST_INT = 2**31 - 1


class SlowError(Exception):
    """The value needs graphql-core's coercion."""


@dataclass(slots=True)
class Asked:
    """What one root field is asked: of a record its key, of a list its page and filters."""

    key: str = ""
    order: tuple[str, ...] = ()
    #: The market that offers are narrowed to; empty: none.
    market: str = ""
    size: int = 0
    after: str | None = None
    filters: dict[str, Any] = field(default_factory=dict)


class Variables:
    """The variables that an operation declares."""

    def __init__(self, schema: GraphQLSchema, nodes: Sequence[VariableDefinitionNode]) -> None:
        self._schema, self._nodes = schema, nodes
        self._known: list[tuple[str, Callable[[Any], Any], Any]] = []
        for node in nodes:
            kind = type_from_ast(schema, node.type)
            default: Any = Undefined
            if node.default_value is not None:
                value = value_from_ast(node.default_value, kind)  # type: ignore[arg-type]
                default = partial(_same, value)
            elif is_non_null_type(kind):
                default = _slowly  # its absence is an error
            self._known.append((node.variable.name.value, _exactly(kind), default))

    def coerced(self, given: Mapping[str, Any]) -> Values:
        """The values by name; a variable that was left out and has no default is not in it."""
        values: Values = {}
        try:
            for name, exactly, default in self._known:
                if name in given:
                    values[name] = exactly(given[name])
                elif default is not Undefined:
                    values[name] = default()
        except SlowError:
            found = get_variable_values(self._schema, self._nodes, dict(given))
            if isinstance(found, list):
                raise LeftToGrapheneError from None
            return found
        return values


def _same(value: Any) -> Any:
    return value


def _slowly() -> Any:
    raise SlowError


def _exactly(kind: Any) -> Callable[[Any], Any]:
    """Lets a value through that coercion would not change. Raises SlowError for others."""
    nullable = get_nullable_type(kind)
    required = is_non_null_type(kind)
    if isinstance(nullable, GraphQLInputObjectType):
        inside = _members(nullable)
    else:
        expected = EXACT.get(getattr(nullable, "name", ""))

        def inside(value: Any) -> Any:
            # `type`, because True is an int to isinstance
            if type(value) is not expected or (expected is int and not _fits(value)):
                raise SlowError
            return value

    def exactly(value: Any) -> Any:
        if value is None:
            if required:
                raise SlowError
            return None
        return inside(value)

    return exactly


def _fits(value: Any) -> bool:
    return bool(-LARGEST_INT <= value <= LARGEST_INT)


def _members(kind: GraphQLInputObjectType) -> Callable[[Any], Any]:
    known = {n: (f.out_name or n, _exactly(f.type)) for n, f in kind.fields.items()}
    # Required members and defaults are the general way's.
    plain = not any(
        is_non_null_type(f.type) or f.default_value is not Undefined for f in kind.fields.values()
    )

    def inside(value: Any) -> Any:
        if not plain or type(value) is not dict:
            raise SlowError
        found = {}
        for name, item in value.items():
            if name not in known:
                raise SlowError
            called, exactly = known[name]
            found[called] = exactly(item)
        return found

    return inside


class Arguments:
    """The arguments of one root field, as its resolver would get them."""

    def __init__(self, definition: GraphQLField, node: FieldNode) -> None:
        self._definition, self._node = definition, node
        self._fast: list[tuple[str, Callable[[Values], Any]]] | None = []
        for argument in node.arguments:
            declared = definition.args[argument.name.value]
            read = _reader(argument.value, declared.type)
            if read is None:
                self._fast = None
                break
            self._fast.append((declared.out_name or argument.name.value, read))

    def read(self, values: Values) -> dict[str, Any]:
        """{argument: value}; what is null or was left out is not in it."""
        if self._fast is None:
            return self._slow(values)
        found = {}
        for name, read in self._fast:
            value = read(values)
            if value is not None:
                found[name] = value
        return found

    def _slow(self, values: Values) -> dict[str, Any]:
        try:
            found = get_argument_values(self._definition, self._node, values)
        except GraphQLError as error:
            raise LeftToGrapheneError from error
        return {name: value for name, value in found.items() if value is not None}


def _reader(node: ValueNode, kind: Any) -> Callable[[Values], Any] | None:
    """Reads a value written in the document; None: only the general way can."""
    if isinstance(node, VariableNode):
        name, required = node.name.value, is_non_null_type(kind)

        def variable(values: Values) -> Any:
            value = values.get(name)
            if value is None and required:
                raise LeftToGrapheneError
            return value

        return variable
    nullable = get_nullable_type(kind)
    if isinstance(node, ObjectValueNode) and isinstance(nullable, GraphQLInputObjectType):
        return _object_reader(node, nullable)
    value = value_from_ast(node, kind)
    return None if value is Undefined else lambda _values: value


def _object_reader(
    node: ObjectValueNode, kind: GraphQLInputObjectType
) -> Callable[[Values], Any] | None:
    if any(
        is_non_null_type(f.type) or f.default_value is not Undefined for f in kind.fields.values()
    ):
        return None
    readers = []
    for member in node.fields:
        declared = kind.fields[member.name.value]
        read = _reader(member.value, declared.type)
        if read is None:
            return None
        readers.append((declared.out_name or member.name.value, read))
    return lambda values: {name: read(values) for name, read in readers}
