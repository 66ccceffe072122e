"""The query root: each entity by its key, and as a connection. Mutations are `hub.graphql.mutations`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graphene

from catalog.entities import Entity, Reference, entities
from hub import listing, locales, negotiation
from hub.graphql.mutations import mutation
from hub.graphql.prefetch import prefetch
from hub.graphql.types import PageInfo, Types, scalar, type_name
from hub.negotiation import Wishes

#: How the parameters of a list are called here.
ASKED_AS = {"limit": "first", "cursor": "after"}


def _locale() -> graphene.String:
    said = "Before `Accept-Language`. `locales` says which locale each text came in."
    return graphene.String(description=said)


def _market() -> graphene.String:
    said = "Narrows offers; `all` does not. Before the country that an edge says."
    return graphene.String(description=said)


def build() -> graphene.Schema:
    """The schema of every declared entity."""
    types = Types()
    members: dict[str, Any] = {"__doc__": "Everything that the company believes, and why."}
    for name, cls in sorted(entities().items()):
        key, plural = cls.declaration.key, cls.declaration.plural
        members[name] = graphene.Field(
            types.objects[name],
            **{key: graphene.Argument(graphene.NonNull(graphene.String))},
            locale=_locale(),
            market=_market(),
            resolver=_one(cls, key),
        )
        members[plural] = graphene.Field(
            graphene.NonNull(types.connections[name]),
            first=graphene.Int(description=f"1 to {listing.LARGEST}; {listing.USUAL} if left out."),
            after=graphene.String(description="`endCursor` of the page before."),
            filter=_filter(cls)(),
            locale=_locale(),
            market=_market(),
            resolver=_many(cls),
        )
    query = type("Query", (graphene.ObjectType,), members)
    return graphene.Schema(query=query, mutation=mutation())


def _filter(cls: type[Entity]) -> type[graphene.InputObjectType]:
    declared = cls.declaration
    members: dict[str, Any] = {listing.CHANGED_SINCE: graphene.DateTime()}
    for name in declared.filters:
        field: Any = cls._meta.get_field(name)
        members[name] = graphene.String() if isinstance(field, Reference) else scalar(field)()
    return type(f"{type_name(cls)}Filter", (graphene.InputObjectType,), members)


def _one(cls: type[Entity], key: str) -> Callable[..., Any]:
    def resolve(
        _root: Any, info: Any, locale: str | None = None, market: str | None = None,
        **arguments: Any,
    ) -> Any:  # fmt: skip
        _ask(info, locale, market)
        row = listing.found(cls, arguments[key])
        prefetch([row], cls, info)
        return row

    return resolve


def _many(cls: type[Entity]) -> Callable[..., Any]:
    def resolve(
        _root: Any,
        info: Any,
        *,
        first: int | None = None,
        after: str | None = None,
        filter: dict[str, Any] | None = None,  # noqa: A002 (the argument's name in the schema)
        locale: str | None = None,
        market: str | None = None,
    ) -> Any:
        _ask(info, locale, market)
        visibility = info.context["visibility"]
        page = listing.listed(cls, first, after, filter or {}, visibility, asked_as=ASKED_AS)
        prefetch(page.rows, cls, info)
        edges = [{"cursor": listing.cursor(row), "node": row} for row in page.rows]
        return {
            "edges": edges,
            "nodes": page.rows,
            "page_info": PageInfo(
                has_next_page=page.next is not None,
                has_previous_page=bool(after),
                start_cursor=edges[0]["cursor"] if edges else None,
                end_cursor=edges[-1]["cursor"] if edges else None,
            ),
        }

    return resolve


def _ask(info: Any, locale: str | None, market: str | None) -> None:
    # Two root fields may ask for two locales: each branch has its own.
    wishes = info.context["wishes"]
    order = wishes.order if locale is None else locales.chain(locale)
    asked = Wishes(order, negotiation.market(market, wishes.market))
    info.context.setdefault("asked", {})[info.path.key] = asked
