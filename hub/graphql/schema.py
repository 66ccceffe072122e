"""The query root: each entity by its key, and as a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graphene

from catalog.entities import Entity, Reference, entities
from hub import listing, locales
from hub.graphql.prefetch import prefetch
from hub.graphql.types import PageInfo, Types, scalar, type_name

#: How the parameters of a list are called here.
ASKED_AS = {"limit": "first", "cursor": "after"}


def build() -> graphene.Schema:
    """The schema of every declared entity."""
    types = Types()
    members: dict[str, Any] = {"__doc__": "Everything that the company believes, and why."}
    for name, cls in sorted(entities().items()):
        key, plural = cls.declaration.key, cls.declaration.plural
        members[name] = graphene.Field(
            types.objects[name],
            **{key: graphene.Argument(graphene.NonNull(graphene.String))},
            locale=graphene.String(),
            resolver=_one(cls, key),
        )
        members[plural] = graphene.Field(
            graphene.NonNull(types.connections[name]),
            first=graphene.Int(description=f"1 to {listing.LARGEST}; {listing.USUAL} if left out."),
            after=graphene.String(description="`endCursor` of the page before."),
            filter=_filter(cls)(),
            locale=graphene.String(),
            resolver=_many(cls),
        )
    query = type("Query", (graphene.ObjectType,), members)
    return graphene.Schema(query=query)


def _filter(cls: type[Entity]) -> type[graphene.InputObjectType]:
    declared = cls.declaration
    members: dict[str, Any] = {listing.CHANGED_SINCE: graphene.DateTime()}
    for name in declared.filters:
        field: Any = cls._meta.get_field(name)
        members[name] = graphene.String() if isinstance(field, Reference) else scalar(field)()
    return type(f"{type_name(cls)}Filter", (graphene.InputObjectType,), members)


def _one(cls: type[Entity], key: str) -> Callable[..., Any]:
    def resolve(_root: Any, info: Any, locale: str | None = None, **arguments: Any) -> Any:
        _set_locale(info, locale)
        row = listing.found(cls, arguments[key])
        prefetch([row], cls, info)
        return row

    return resolve


def _many(cls: type[Entity]) -> Callable[..., Any]:
    def resolve(
        _root: Any,
        info: Any,
        first: int | None = None,
        after: str | None = None,
        filter: dict[str, Any] | None = None,  # noqa: A002 (the argument's name in the schema)
        locale: str | None = None,
    ) -> Any:
        _set_locale(info, locale)
        page = listing.listed(cls, first, after, filter or {}, asked_as=ASKED_AS)
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


def _set_locale(info: Any, locale: str | None) -> None:
    # Two root fields may ask for two locales: each branch has its own.
    info.context.setdefault("locales", {})[info.path.key] = locales.chain(locale)
