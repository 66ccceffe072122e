"""What a document may ask for, measured before anything expensive looks at it.

`measure` needs no schema and runs ahead of validation, whose rules compare fields pair by pair.
`cost` runs after it, and estimates how many values an operation would make.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_object_type,
)

MAX_BODY_BYTES = 256 * 1024
MAX_TOKENS = 4000
MAX_DEPTH = 15
#: What is counted in the text of a document, fragments as they stand.
ALLOWED = {
    "fields": 500,
    "aliases": 50,
    "directives": 50,
    "fragments": 50,
    "root fields": 20,
    "repetitions of a field": 20,
}
#: Values that one operation may make, by estimate.
MAX_COST = 100_000
#: How long lists are taken to be; a connection is as long as `first` says.
LONG, USUAL_PAGE, PER_FIELD = 5, 20, {"provenance": 50, "explain": 500}


def too_complex(what: str, found: object, allowed: int) -> GraphQLError:
    """The refusal."""
    return GraphQLError(
        f"the document has {found} {what}; {allowed} are allowed",
        extensions={"code": "too_complex"},
    )


def measure(document: DocumentNode) -> GraphQLError | None:
    """The first limit that a document breaks."""
    measured = _Measured(document)
    for what, allowed in ALLOWED.items():
        if measured.counts[what] > allowed:
            return too_complex(what, measured.counts[what], allowed)
    if measured.depth > MAX_DEPTH:
        return too_complex("levels", measured.depth, MAX_DEPTH)
    return None


class _Measured:
    """Counts of the text, and the depth with fragments opened, each measured once."""

    def __init__(self, document: DocumentNode) -> None:
        self.counts: Counter[str] = Counter()
        self._below: dict[str, int | None] = {}
        self._fragments: dict[str, FragmentDefinitionNode] = {}
        operations = []
        for definition in document.definitions:
            if isinstance(definition, FragmentDefinitionNode):
                self.counts["fragments"] += 1
                self._fragments[definition.name.value] = definition
            elif isinstance(definition, OperationDefinitionNode):
                operations.append(definition)
                roots = len(definition.selection_set.selections)
                self.counts["root fields"] = max(self.counts["root fields"], roots)
        for definition in (*operations, *self._fragments.values()):
            self.counts["directives"] += len(definition.directives)
            self._count(definition.selection_set)
        self.depth = max((self._depth(o.selection_set) for o in operations), default=0)

    def _count(self, selection_set: SelectionSetNode | None) -> None:
        names: Counter[str] = Counter()
        for node in selection_set.selections if selection_set else ():
            self.counts["directives"] += len(node.directives)
            if isinstance(node, FieldNode):
                self.counts["fields"] += 1
                self.counts["aliases"] += node.alias is not None
                names[node.name.value if node.alias is None else node.alias.value] += 1
                self._count(node.selection_set)
            elif isinstance(node, InlineFragmentNode):
                self._count(node.selection_set)
        most = max(names.values(), default=0)
        self.counts["repetitions of a field"] = max(self.counts["repetitions of a field"], most)

    def _depth(self, selection_set: SelectionSetNode | None) -> int:
        deepest = 0
        for node in selection_set.selections if selection_set else ():
            if isinstance(node, FieldNode):
                deepest = max(deepest, 1 + self._depth(node.selection_set))
            elif isinstance(node, InlineFragmentNode):
                deepest = max(deepest, self._depth(node.selection_set))
            elif isinstance(node, FragmentSpreadNode):
                deepest = max(deepest, self._fragment_depth(node.name.value))
        return deepest

    def _fragment_depth(self, name: str) -> int:
        if name not in self._below:
            # Cycles and unknown fragments are validation's to report.
            self._below[name] = None
            known = self._fragments.get(name)
            self._below[name] = self._depth(known.selection_set) if known else 0
        return self._below[name] or 0


def cost(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> int:
    """About how many values a valid operation makes, when its lists are as long as usual."""
    root = schema.get_root_type(operation.operation)
    return _Costs(document, variables).of(root, operation.selection_set) if root else 0


class _Costs:
    """Estimates of selections, a fragment's once for each type that it is spread in."""

    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._variables = variables
        self._known: dict[tuple[str, str], int] = {}
        self._fragments = {
            d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)
        }

    def of(self, kind: GraphQLObjectType, selection_set: SelectionSetNode | None) -> int:
        """The estimate of a selection on a type."""
        total = 0
        for node in selection_set.selections if selection_set else ():
            if isinstance(node, FieldNode):
                total += self._field(kind, node)
            elif isinstance(node, InlineFragmentNode):
                total += self.of(kind, node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                total += self._spread(kind, node.name.value)
        return min(total, 10 * MAX_COST)

    def _spread(self, kind: GraphQLObjectType, name: str) -> int:
        place = (name, kind.name)
        if place not in self._known:
            self._known[place] = self.of(kind, self._fragments[name].selection_set)
        return self._known[place]

    def _field(self, kind: GraphQLObjectType, node: FieldNode) -> int:
        field = kind.fields.get(node.name.value)
        if field is None:
            return 0  # __typename and introspection, which has a limit of its own
        target: Any = get_named_type(field.type)
        below = self.of(target, node.selection_set) if is_object_type(target) else 0
        times = PER_FIELD.get(node.name.value, 1)
        if "first" in field.args:
            times = _first(node, self._variables)
        elif times == 1 and is_list_type(get_nullable_type(field.type)) and not _paged(kind):
            times = LONG
        return times * (1 + below)


def _paged(kind: GraphQLObjectType) -> bool:
    """A connection's lists are as long as its page, which is counted at the connection."""
    return "pageInfo" in kind.fields


def _first(node: FieldNode, variables: Mapping[str, Any]) -> int:
    value: Any = next((a.value for a in node.arguments if a.name.value == "first"), None)
    if isinstance(value, VariableNode):
        asked = variables.get(value.name.value)
    else:
        asked = int(value.value) if isinstance(value, IntValueNode) else None
    return min(max(asked, 1), 100) if isinstance(asked, int) else USUAL_PAGE
