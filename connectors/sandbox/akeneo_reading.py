"""Akeneo's lists and single records.

`pagination_type=search_after` pages in order of change and never counts: its last page may be
empty, as on the real server. `page` (the default) stops at 10,000 records. Source: Akeneo REST API,
"Pagination".
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from connectors.sandbox import akeneo_search, faults
from connectors.sandbox.akeneo_access import SYSTEM, AkeneoError
from connectors.sandbox.akeneo_search import Record, Search
from connectors.sandbox.sequence import Sequence
from connectors.sandbox.store import Store
from connectors.sandbox.wire import Request, Response
from connectors.sandbox.world import World

MAX_LIMIT = 100
MAX_PAGED = 10_000
_CHUNK = 500

Position = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Resource:
    """`path`: in URLs; `name`: in the store; `label`: in messages."""

    path: str
    name: str
    label: str
    key: str


RESOURCES = {
    resource.path: resource
    for resource in (
        Resource("products", "products", "Product", "identifier"),
        Resource("product-models", "product_models", "Product model", "code"),
        Resource("categories", "categories", "Category", "code"),
        Resource("families", "families", "Family", "code"),
        Resource("attributes", "attributes", "Attribute", "code"),
        Resource("locales", "locales", "Locale", "code"),
        Resource("channels", "channels", "Channel", "code"),
    )
}


def read_one(request: Request) -> Response:
    resource, key = RESOURCES[request.match["resource"]], request.match["key"]
    record = request.store.get(SYSTEM, resource.name, key)
    if record is None:
        raise missing(resource, key)
    return Response(200, faults.transform(SYSTEM, [linked(request, resource, record)])[0])


def missing(resource: Resource, key: str) -> AkeneoError:
    ending = " or you do not have permission to access it" if "Product" in resource.label else ""
    return AkeneoError(404, f'{resource.label} "{key}" does not exist{ending}.')


def linked(request: Request, resource: Resource, record: Record) -> Record:
    href = f"{request.base_url}/api/rest/v1/{resource.path}/{record[resource.key]}"
    return {"_links": {"self": {"href": href}}, **_chosen(record, request.query)}


def _chosen(record: Record, query: dict[str, str]) -> Record:
    """The record with the attributes and locales that the caller asked for."""
    if "values" not in record or not query.keys() & {"attributes", "locales"}:
        return record
    codes = query["attributes"].split(",") if "attributes" in query else list(record["values"])
    locales = {None, *query["locales"].split(",")} if "locales" in query else None
    values = {
        code: [v for v in record["values"][code] if locales is None or v["locale"] in locales]
        for code in codes
        if code in record["values"]
    }
    return {**record, "values": {code: found for code, found in values.items() if found}}


def read_list(request: Request) -> Response:
    resource = RESOURCES[request.match["resource"]]
    limit = _number(request.query.get("limit", "10"), "limit")
    if limit > MAX_LIMIT:
        raise AkeneoError(422, f"You cannot request more than {MAX_LIMIT} items.")
    try:
        search = akeneo_search.parse(request.query.get("search"), resource.key)
    except akeneo_search.SearchError as error:
        raise AkeneoError(error.status, str(error)) from None
    match request.query.get("pagination_type", "page"):
        case "search_after":
            return _after(request, resource, search, limit)
        case "page":
            return _numbered(request, resource, search, limit)
    raise AkeneoError(422, "Pagination type is not supported.")


def _number(text: str, name: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise AkeneoError(422, f'"{text}" is not a valid {name} number.')
    return int(text)


# -- search_after


def _after(request: Request, resource: Resource, search: Search, limit: int) -> Response:
    given = request.query.get("search_after")
    after = _position(given) if given else None
    rows = _collect(request, resource, search, after, limit)
    links = {"self": _link(request, resource, given), "first": _link(request, resource, None)}
    if rows and len(rows) == limit:
        last = rows[-1]
        match faults.paging(SYSTEM):
            case "overlapping_pages":
                last = rows[-1 - faults.overlap(len(rows))]
            case "stuck_cursor":
                last = (after or (0, ""), {})
        links["next"] = _link(request, resource, _cursor(last[0]))
    return _page(request, resource, links, [record for _, record in rows])


def _cursor(position: Position) -> str:
    text = f"{position[0]}:{position[1]}".encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _position(text: str) -> Position:
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        at, _, key = decoded.partition(":")
        return int(at), key
    except (binascii.Error, ValueError):
        raise AkeneoError(422, f'The search_after value "{text}" is not valid.') from None


def _link(request: Request, resource: Resource, cursor: str | None) -> Record:
    kept = {"pagination_type": "search_after", "limit": "10"} | request.query
    kept.pop("search_after", None)
    if cursor:
        kept["search_after"] = cursor
    return {"href": f"{request.base_url}/api/rest/v1/{resource.path}?{urlencode(kept)}"}


def _collect(
    request: Request, resource: Resource, search: Search, after: Position | None, limit: int
) -> list[tuple[Position, Record]]:
    keys = _known_keys(request.store, request.world, resource, search)
    if keys is not None:
        return _picked(request.store, resource, search, keys, after)[:limit]
    found: list[tuple[Position, Record]] = []
    chunk = limit if not search.tests else _CHUNK
    while len(found) < limit:
        rows = request.store.scan(
            SYSTEM,
            resource.name,
            after=after,
            limit=chunk,
            changed_from_ms=search.changed_from_ms,
        )
        for row in rows:
            if search.changed_to_ms is not None and row.changed_ms >= search.changed_to_ms:
                return found
            if search.accepts(row.doc):
                found.append(((row.changed_ms, row.key), row.doc))
                if len(found) == limit:
                    return found
        if len(rows) < chunk:
            return found
        after = (rows[-1].changed_ms, rows[-1].key)
    return found


def _known_keys(store: Store, world: World, resource: Resource, search: Search) -> list[str] | None:
    """The few records that can match, where the search names them or their parent."""
    if search.keys is not None:
        return sorted(set(search.keys))
    if search.parents is None or resource.name != "products":
        return None
    keys = set(_SEQUENCES[store].added())
    for code in search.parents:
        index = world.product_index(code)
        if index is not None:
            keys |= {variant.sku for variant in world.product(index).variants}
    return sorted(keys)


def _picked(
    store: Store, resource: Resource, search: Search, keys: list[str], after: Position | None
) -> list[tuple[Position, Record]]:
    found: list[tuple[Position, Record]] = []
    for key in keys:
        record = store.get(SYSTEM, resource.name, key)
        at = store.changed_ms(SYSTEM, resource.name, key)
        if record is None or at is None or not search.accepts(record):
            continue
        if (search.changed_from_ms or 0) <= at < (search.changed_to_ms or at + 1):
            found.append(((at, key), record))
    return sorted((row for row in found if after is None or row[0] > after), key=lambda r: r[0])


_SEQUENCES: dict[Store, Sequence] = {}


def register_products(store: Store, sequence: Sequence) -> None:
    """Products made since the first day, which no rule of the world can find by their parent."""
    _SEQUENCES[store] = sequence


# -- page


def _numbered(request: Request, resource: Resource, search: Search, limit: int) -> Response:
    page = _number(request.query.get("page", "1"), "page")
    if page * limit > MAX_PAGED:
        raise AkeneoError(
            422,
            'You have reached the maximum number of pages you can retrieve with the "page" '
            "pagination type. Please use the search after pagination type instead",
        )
    offset, counted = (page - 1) * limit, request.query.get("with_count") == "true"
    total: int | None = None
    if search == Search():
        window = request.store.page(SYSTEM, resource.name, offset=offset, limit=limit + 1)
        total = request.store.count(SYSTEM, resource.name) if counted else None
    else:
        wanted = 2**31 if counted else offset + limit + 1
        rows = _collect(request, resource, search, None, wanted)
        window, total = [record for _, record in rows[offset : offset + limit + 1]], len(rows)
    links = {"self": _numbered_link(request, resource, page)}
    links["first"] = _numbered_link(request, resource, 1)
    if page > 1:
        links["previous"] = _numbered_link(request, resource, page - 1)
    if len(window) > limit:
        stuck = faults.paging(SYSTEM) == "stuck_cursor"
        links["next"] = _numbered_link(request, resource, page if stuck else page + 1)
    extra: Record = {"current_page": page}
    if counted:
        extra["items_count"] = total
    return _page(request, resource, links, window[:limit], extra)


def _numbered_link(request: Request, resource: Resource, page: int) -> Record:
    kept = {"with_count": "false", "pagination_type": "page", "limit": "10"} | request.query
    query = urlencode(kept | {"page": str(page)})
    return {"href": f"{request.base_url}/api/rest/v1/{resource.path}?{query}"}


def _page(
    request: Request,
    resource: Resource,
    links: Record,
    records: list[Record],
    extra: Record | None = None,
) -> Response:
    items: list[Any] = [linked(request, resource, record) for record in records]
    embedded = {"items": faults.transform(SYSTEM, items)}
    return Response(200, {"_links": links, **(extra or {}), "_embedded": embedded})


LIST_PATH = re.compile(rf"/api/rest/v1/(?P<resource>{'|'.join(RESOURCES)})")
ONE_PATH = re.compile(rf"/api/rest/v1/(?P<resource>{'|'.join(RESOURCES)})/(?P<key>[^/]+)")
