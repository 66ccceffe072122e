"""The state of one compilation: names for rows, parameters, and what a selection selects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
)
from graphql.execution.collect_fields import collect_sub_fields

from catalog.entities import Entity
from hub import locales
from hub.auth.rights import Visibility
from hub.cache.tags import Noting
from hub.reads import sql
from hub.reads.arguments import Asked
from hub.reads.reasons import NotCompiledError
from hub.usage.uses import Uses
from observability import degradation

#: Nested far and aliased often, a statement can grow until planning it costs more than Graphene.
MOST_ROWS = 300

#: A parameter: the root field that it belongs to, and how its text is read from the arguments.
Binder = tuple[int, Callable[[Asked], str]]


@dataclass(slots=True)
class Build:
    """Compiles one operation for one shape of variables; `values` decide @include and @skip."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    values: Mapping[str, Any]
    uses: Uses
    visibility: Visibility
    #: Whether offers are narrowed to a market, which then is a parameter.
    in_market: bool = False
    parameters: list[Binder] = field(default_factory=list)
    root: int = 0
    #: What the statement reads: the tags and the data class of its answers.
    noting: Noting = field(default_factory=Noting)
    _orders: dict[int, list[str]] = field(default_factory=dict)
    _rows: int = 0
    _reasons: str = ""

    def alias(self) -> str:
        """A name for one more row."""
        self._rows += 1
        if self._rows > MOST_ROWS:
            raise NotCompiledError(f"more than {MOST_ROWS} tables")
        return f"t{self._rows}"

    def parameter(self, kind: str, read: Callable[[Asked], str]) -> str:
        """A placeholder for what `read` takes from the arguments of the present root field."""
        self.parameters.append((self.root, read))
        return f"${len(self.parameters)}::{kind}"

    def table(self, cls: type[Entity], *, part: bool = False) -> str:
        """A table to read from; `part`: the rows that refer to the row in scope."""
        self.noting.read(cls, part=part)
        return sql.table(cls)

    def offered(self, cls: type[Entity], alias: str) -> str:
        """` AND …`: the row of a part is for the market that is asked for; mostly empty."""
        if not self.in_market or not cls.declaration.market:
            return ""
        column = sql.column(cls, alias, cls.declaration.market)
        return f" AND {column} = {self.parameter('text', lambda asked: asked.market)}"

    @property
    def order(self) -> Sequence[str]:
        """Placeholders of the locales to try, as the present root field is asked."""
        # Made when a text needs them: PostgreSQL refuses parameters that nothing uses.
        if self.root not in self._orders:
            self._orders[self.root] = [
                self.parameter("text", _locale(i)) for i in range(len(locales.chain(None)))
            ]
        return self._orders[self.root]

    @property
    def reasons(self) -> str:
        """A placeholder for {system: reason} of the systems that are down, as jsonb."""
        if not self._reasons:
            self._reasons = self.parameter("jsonb", lambda _: degradation.current().reasons)
        return self._reasons

    def below(
        self, parent: GraphQLObjectType, nodes: Sequence[FieldNode]
    ) -> tuple[GraphQLObjectType, dict[str, list[FieldNode]]]:
        """The type of a field of `parent`, and what is selected of it: {response name: nodes}."""
        kind = get_named_type(parent.fields[nodes[0].name.value].type)
        if not isinstance(kind, GraphQLObjectType):
            raise NotCompiledError(f"{parent.name}.{nodes[0].name.value} is no object")
        return kind, collect_sub_fields(
            self.schema, dict(self.fragments), dict(self.values), kind, list(nodes)
        )


def _locale(place: int) -> Callable[[Asked], str]:
    # A declared chain may be shorter than there are locales: its last is tried again, in vain.
    return lambda asked: asked.order[min(place, len(asked.order) - 1)]
