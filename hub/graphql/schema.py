"""The query root: each entity by its key, and as a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graphene
from django.db.models import prefetch_related_objects

from catalog.entities import Entity, Reference, entities
from hub import listing, locales
from hub.graphql.prefetch import lookups
from hub.graphql.types import PageInfo, Types, scalar, type_name
from hub.problems import NotFoundError


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
            first=graphene.Int(),
            after=graphene.String(),
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
    for name in declared.switches:
        members[name] = graphene.Boolean()
    return type(f"{type_name(cls)}Filter", (graphene.InputObjectType,), members)


def _one(cls: type[Entity], key: str) -> Callable[..., Any]:
    def resolve(_root: Any, info: Any, locale: str | None = None, **arguments: Any) -> Any:
        _set_locale(info, locale)
        wanted = str(arguments[key]).replace("\x00", "")
        row = cls._default_manager.filter(pk=wanted, deleted_at__isnull=True).first()
        if row is None:
            raise NotFoundError(f"no {cls.declaration.name} {wanted!r}", parameter=key)
        _prefetch([row], cls, info)
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
        page = listing.listed(cls, first, after, filter or {})
        _prefetch(page.rows, cls, info)
        edges = [{"cursor": listing.cursor(row), "node": row} for row in page.rows]
        end = edges[-1]["cursor"] if edges else None
        return {
            "edges": edges,
            "nodes": page.rows,
            "page_info": PageInfo(has_next_page=page.next is not None, end_cursor=end),
        }

    return resolve


def _set_locale(info: Any, locale: str | None) -> None:
    # Fields below read it; the last locale asked for holds for its own branch only, because
    # graphql-core resolves one root field to its end before the next.
    if locale or "locales" not in info.context:
        info.context["locales"] = locales.chain(locale)


def _prefetch(rows: list[Any], cls: type[Entity], info: Any) -> None:
    selections = [node.selection_set for node in info.field_nodes]
    if rows:
        prefetch_related_objects(rows, *lookups(cls, selections, info))
