"""The fields of the query root: a record by its key, and a list with its page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from graphql import FieldNode, GraphQLObjectType

from catalog.entities import Entity
from hub import listing, locales
from hub.auth.rights import Visibility
from hub.negotiation import Wishes, market
from hub.problems import BadInputError, ForbiddenError, NotFoundError
from hub.reads import sql
from hub.reads.arguments import Arguments, Asked, Values
from hub.reads.build import Build
from hub.reads.compile_filters import below, conditions, plain, shape
from hub.reads.compile_rows import TYPENAME, Selected, row
from hub.reads.members import roots
from hub.reads.reasons import LeftToGrapheneError, NotCompiledError

chain = lru_cache(maxsize=256)(locales.chain)


@dataclass(slots=True)
class Root:
    """One field of the operation, under its response name."""

    name: str
    nodes: Sequence[FieldNode]
    cls: type[Entity]
    many: bool
    arguments: Arguments

    def asked(self, values: Values, wishes: Wishes, visibility: Visibility) -> Asked:
        """The arguments of a request. Raises LeftToGrapheneError where they are no good."""
        given = self.arguments.read(values)
        try:
            wished = given.get("locale")
            asked = Asked(order=wishes.order if wished is None else chain(wished))
            asked.market = market(given.get("market"), wishes.market) or ""
            if not self.many:
                asked.key = plain(given[self.cls.declaration.key])
                return asked
            if "after" in given:
                asked.after = listing.opened(given["after"], "after")
            asked.filters = {n: v for n, v in given.get("filter", {}).items() if v is not None}
            listing.must_see(visibility, self.cls, asked.filters)
        except (BadInputError, ForbiddenError) as error:
            raise LeftToGrapheneError from error
        asked.size = given.get("first", listing.USUAL)
        if not 1 <= asked.size <= listing.LARGEST:
            raise LeftToGrapheneError
        return asked

    def shape(self, asked: Asked) -> tuple[Any, ...]:
        """What of the arguments decides the statement."""
        narrowed = bool(asked.market)
        if not self.many:
            return (narrowed,)
        return (narrowed, asked.after is not None, shape(self.cls, asked.filters))

    def not_found(self, asked: Asked) -> NotFoundError:
        """What `hub.listing.found` raises for this key."""
        return listing.not_found(self.cls, asked.key)

    def compile(self, build: Build, query: GraphQLObjectType, asked: Asked) -> str:
        """The SELECT of its value: one column, and at most one row."""
        build.in_market = bool(asked.market)
        kind, selected = build.below(query, self.nodes)
        if self.many:
            return f"SELECT {_Page(build, self.cls, asked).compile(kind, selected)}"
        alias = build.alias()
        key = build.parameter("text", lambda asked: asked.key)
        with build.noting.record(self.cls, len(build.parameters) - 1):
            document = row(build, self.cls, kind, selected, alias)
        return (
            f"SELECT {document} FROM {sql.table(self.cls)}"
            f" {alias} WHERE {alias}.key = {key} AND {sql.live(alias)}"
        )


def found_root(query: GraphQLObjectType, name: str, nodes: Sequence[FieldNode]) -> Root:
    """The root field of a response name. Raises NotCompiledError."""
    called = nodes[0].name.value
    if called not in roots():
        raise NotCompiledError("introspection" if called.startswith("__") else f"Query.{called}")
    cls, many = roots()[called]
    return Root(name, nodes, cls, many, Arguments(query.fields[called], nodes[0]))


def selected_page(build: Build, cls: type[Entity], asked: Asked, size: str) -> str:
    """The SELECT of a page's rows, and of one more, which tells that another page follows."""
    alias = build.alias()
    where = [sql.live(alias)]
    if asked.after is not None:
        where.append(f"{alias}.key > {build.parameter('text', lambda a: a.after or '')}")
    branch = below(build, cls, asked.filters)
    if branch is not None:
        where.append(f"{alias}.{branch[0]} = branch.key")
    where += conditions(build, cls, asked.filters, alias)
    rows = (
        f"SELECT {alias}.* FROM {build.table(cls)} {alias} WHERE {' AND '.join(where)}"
        f" ORDER BY {alias}.key LIMIT {size} + 1"
    )
    if branch is None:
        return rows
    return (
        f"SELECT {alias}.* FROM ({branch[1]}) branch CROSS JOIN LATERAL ({rows}) {alias}"
        f" ORDER BY {alias}.key LIMIT {size} + 1"
    )


class _Page:
    """One page of a list: its rows are looked up once, whatever is read from them."""

    def __init__(self, build: Build, cls: type[Entity], asked: Asked) -> None:
        self.build, self.cls, self.asked = build, cls, asked
        self.size = build.parameter("int", lambda asked: str(asked.size))

    def compile(self, kind: GraphQLObjectType, selected: Selected) -> str:
        """The connection: `{"nodes": […], "pageInfo": {…}}`."""
        members = {}
        for name, nodes in selected.items():
            called = nodes[0].name.value
            below = None if called == TYPENAME else self.build.below(kind, nodes)
            if below is None:
                members[name] = f"'{kind.name}'"
            elif called == "pageInfo":
                members[name] = self._page_info(*below)
            elif called == "edges":
                members[name] = self._edges(*below)
            elif called == "nodes":
                members[name] = self._rows(self._row(*below))
            else:
                raise NotCompiledError(f"{kind.name}.{called}")
        page = selected_page(self.build, self.cls, self.asked, self.size)
        return f"(WITH page AS MATERIALIZED ({page}) SELECT {sql.json_object(members)})"

    def _row(self, kind: GraphQLObjectType, selected: Selected) -> Callable[[str], str]:
        return lambda alias: row(self.build, self.cls, kind, selected, alias)

    def _rows(self, document: Callable[[str], str]) -> str:
        alias = self.build.alias()
        return sql.json_list(
            f"SELECT {document(alias)} FROM page {alias} ORDER BY {alias}.key LIMIT {self.size}"
        )

    def _edges(self, kind: GraphQLObjectType, selected: Selected) -> str:
        def edge(alias: str) -> str:
            members = {}
            for name, nodes in selected.items():
                called = nodes[0].name.value
                if called == TYPENAME:
                    members[name] = f"'{kind.name}'"
                elif called == "cursor":
                    members[name] = sql.cursor(f"{alias}.key")
                else:
                    below = self.build.below(kind, nodes)
                    members[name] = row(self.build, self.cls, *below, alias)
            return sql.json_object(members)

        return self._rows(edge)

    def _page_info(self, kind: GraphQLObjectType, selected: Selected) -> str:
        shown = f"(SELECT key FROM page ORDER BY key LIMIT {self.size}) shown"
        values = {
            TYPENAME: f"'{kind.name}'",
            "hasNextPage": f"(SELECT count(*) FROM page) > {self.size}",
            "hasPreviousPage": "true" if self.asked.after is not None else "false",
            "startCursor": f"(SELECT {sql.cursor('min(key)')} FROM page)",
            "endCursor": f"(SELECT {sql.cursor('max(key)')} FROM {shown})",
        }
        return sql.json_object({n: values[nodes[0].name.value] for n, nodes in selected.items()})
