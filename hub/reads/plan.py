"""An operation, and its statements: one for each shape of variables that was asked for.

A shape is what decides the SQL: how @include and @skip fall, which filters there are, whether a
page is the first. Everything else is a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    GraphQLError,
    GraphQLObjectType,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.collect_fields import collect_fields

from hub.auth.rights import Rights, Visibility
from hub.graphql.documents import schema
from hub.graphql.limits import MAX_COST, cost
from hub.negotiation import Wishes
from hub.reads.arguments import Asked, Values, Variables
from hub.reads.build import Build
from hub.reads.compile_roots import Root, found_root
from hub.reads.compile_rows import TYPENAME
from hub.reads.document import Operation, Shape, lifted, operation, shape
from hub.reads.needs import of_operation
from hub.reads.reasons import LeftToGrapheneError, NotCompiledError
from hub.reads.statement import Statement, pieces, statement_of
from hub.usage.uses import of_document

#: Plans that a process remembers, and statements of each; beyond, the oldest are forgotten.
MOST_PLANS, MOST_STATEMENTS, MOST_COSTS, MOST_RIGHTS = 512, 64, 512, 512
#: Longer documents are compiled each time, as they are checked each time.
REMEMBERED_CHARACTERS = 8 * 1024


@dataclass(slots=True)
class Bound:
    """A statement with what one request asks."""

    plan: Plan
    statement: Statement
    parameters: list[str]
    roots: Sequence[Root]
    asked: list[Asked]


class Plan:
    """One operation of one document. Safe to share between threads: caches only grow or clear."""

    def __init__(self, compiled: Operation) -> None:
        self.operation = compiled
        self._schema = schema()
        self._variables = Variables(self._schema, compiled.node.variable_definitions)
        self._switches = _switches(compiled)
        self._lengths = _lengths(compiled)
        self._uses = of_document(compiled.document, compiled.node)
        self._selected: dict[tuple[Any, ...], tuple[tuple[Root, ...], tuple[str, ...]]] = {}
        self._statements: dict[tuple[Any, ...], Statement | NotCompiledError] = {}
        self._affordable: set[tuple[Any, ...]] = set()
        self._needs = of_operation(self._schema, compiled.node, compiled.fragments)
        self._covered: set[str] = set()

    def bind(
        self, given: Mapping[str, Any], literals: Mapping[str, Any], rights: Rights, wishes: Wishes
    ) -> Bound:
        """The statement of these variables, for a reader. Raises LeftToGrapheneError."""
        self._permit(rights)
        values = self._variables.coerced(given)
        if literals:
            values.update(literals)
            given = {**given, **literals}
        self._afford(given)
        switches = tuple([values.get(name) for name in self._switches]) if self._switches else ()
        roots, order = self._roots(switches)
        asked = [root.asked(values, wishes, rights.visibility) for root in roots]
        key = (
            rights.visibility.name,
            switches,
            *[root.shape(a) for root, a in zip(roots, asked, strict=True)],
        )
        statement = self._statements.get(key)
        if statement is None:
            try:
                statement = self._compile(switches, roots, order, asked, rights.visibility)
            except NotCompiledError as error:
                statement = error
            _remember(self._statements, key, statement, MOST_STATEMENTS)
        if isinstance(statement, NotCompiledError):
            raise statement
        parameters = [read(asked[root]) for root, read in statement.binders]
        return Bound(self, statement, parameters, roots, asked)

    def _permit(self, rights: Rights) -> None:
        """Whose rights cover the operation is looked up once."""
        if rights.name in self._covered:
            return
        if rights.missing(self._needs):
            raise LeftToGrapheneError
        if len(self._covered) >= MOST_RIGHTS:
            self._covered.clear()
        self._covered.add(rights.name)

    def _afford(self, given: Mapping[str, Any]) -> None:
        """The cost hangs on the lengths of pages alone, so it is estimated once for each."""
        lengths = tuple([given.get(name) for name in self._lengths])
        try:
            if lengths in self._affordable:
                return
        except TypeError:
            raise LeftToGrapheneError from None
        node = self.operation.node
        if cost(self._schema, self.operation.document, node, given) > MAX_COST:
            raise LeftToGrapheneError
        if len(self._affordable) >= MOST_COSTS:
            self._affordable.clear()
        self._affordable.add(lengths)

    def _roots(self, switches: tuple[Any, ...]) -> tuple[tuple[Root, ...], tuple[str, ...]]:
        """The root fields to look up, and the response names of all in order."""
        found = self._selected.get(switches)
        if found is None:
            query, values = self._query(), dict(zip(self._switches, switches, strict=True))
            try:
                selected = collect_fields(
                    self._schema, dict(self.operation.fragments), values, query,
                    self.operation.node.selection_set,
                )  # fmt: skip
            except GraphQLError as error:
                raise LeftToGrapheneError from error
            roots = tuple(
                found_root(query, name, nodes)
                for name, nodes in selected.items()
                if nodes[0].name.value != TYPENAME
            )
            found = (roots, tuple(selected))
            _remember(self._selected, switches, found, MOST_STATEMENTS)
        return found

    def _compile(
        self,
        switches: tuple[Any, ...],
        roots: Sequence[Root],
        order: Sequence[str],
        asked: Sequence[Asked],
        visibility: Visibility,
    ) -> Statement:
        values: Values = dict(zip(self._switches, switches, strict=True))
        uses = self._uses
        for root, given in zip(roots, asked, strict=True):
            uses = uses.filtered(root.cls, given.filters)
        build = Build(self._schema, self.operation.fragments, values, uses, visibility)
        columns = []
        for place, root in enumerate(roots):
            build.root = place
            columns.append(root.compile(build, self._query(), asked[place]))
        around = pieces(order, {root.name for root in roots}, self._query().name)
        return statement_of(columns, build, around)

    def _query(self) -> GraphQLObjectType:
        query = self._schema.query_type
        if query is None:
            raise NotCompiledError("the schema has no queries")
        return query


def plan_of(
    text: str, name: str | None, variables: Mapping[str, Any]
) -> tuple[Plan, Mapping[str, Any]]:
    """The plan of a document, and the literals that were lifted from it.

    Raises LeftToGrapheneError; NotCompiledError where no request of this document can be answered.
    """
    known = _plans.get((text, name))
    if known is not None:
        return _usable(known), {}
    shaped = shape(text)
    if shaped is not None:
        known = _plans.get((shaped.text, name))
        if known is not None:
            return _usable(known), shaped.literals
    return _new_plan(text, name, variables, shaped)


def _new_plan(
    text: str, name: str | None, variables: Mapping[str, Any], shaped: Shape | None
) -> tuple[Plan, Mapping[str, Any]]:
    plain = operation(text, name, variables)
    general = lifted(plain, shaped.places) if shaped else None
    key = (text if general is None or shaped is None else shaped.text, name)
    try:
        made: Plan | NotCompiledError = Plan(general or plain)
    except NotCompiledError as error:
        made = error
    if len(key[0]) <= REMEMBERED_CHARACTERS:
        _plans.put(key, made)
    return _usable(made), shaped.literals if general is not None and shaped else {}


def _usable(known: Plan | NotCompiledError) -> Plan:
    if isinstance(known, NotCompiledError):
        raise known
    return known


class _Recent:
    """The most recently used plans. Two threads may both make one; that only costs time."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], Plan | NotCompiledError] = {}

    def get(self, key: tuple[str, str | None]) -> Plan | NotCompiledError | None:
        return self._known.get(key)

    def put(self, key: tuple[str, str | None], plan: Plan | NotCompiledError) -> None:
        if len(self._known) >= MOST_PLANS:
            # The older half goes: cheaper than an order kept at each look.
            self._known = dict(list(self._known.items())[MOST_PLANS // 2 :])
        self._known[key] = plan


_plans = _Recent()


def _remember(known: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    if len(known) >= most:
        known.clear()
    known[key] = value


def _switches(compiled: Operation) -> tuple[str, ...]:
    """The variables that @include and @skip hang on."""
    found: dict[str, None] = {}

    class Directives(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
            for argument in node.arguments:
                if isinstance(argument.value, VariableNode):
                    found[argument.value.name.value] = None
                elif not isinstance(argument.value, BooleanValueNode):
                    raise NotCompiledError(f"@{node.name.value}")

    visit(compiled.document, Directives())
    return tuple(found)


def _lengths(compiled: Operation) -> tuple[str, ...]:
    """The variables that say how long a page is."""
    found: dict[str, None] = {}

    class Lengths(Visitor):
        def enter_argument(self, node: Any, *_: Any) -> None:
            if node.name.value == "first" and isinstance(node.value, VariableNode):
                found[node.value.name.value] = None

    visit(compiled.document, Lengths())
    return tuple(found)
