"""Simulated Akeneo PIM: `/api/oauth/v1/token` and `/api/rest/v1/…`."""

from __future__ import annotations

import re
from collections.abc import Callable

from connectors.sandbox import akeneo_access, akeneo_events, akeneo_reading, akeneo_writing
from connectors.sandbox import akeneo_documents as documents
from connectors.sandbox.akeneo_access import SYSTEM, AkeneoError
from connectors.sandbox.akeneo_reading import LIST_PATH, ONE_PATH
from connectors.sandbox.akeneo_search import Record
from connectors.sandbox.sequence import Sequence
from connectors.sandbox.store import Collection, Store
from connectors.sandbox.wire import Handler, Request, Response, Route
from connectors.sandbox.world import World

__all__ = ["ERROR", "REVOKE", "ROUTES", "SYSTEM", "WEBHOOK", "register"]

WEBHOOK = akeneo_events.webhook
REVOKE = akeneo_access.revoke


def register(store: Store, world: World) -> None:
    products = Collection(
        SYSTEM,
        "products",
        world.variant_count(),
        key=world.sku,
        index=world.variant_index,
        build=lambda j: documents.product(world, j),
        changed_ms=lambda j: world.product_updated_ms(world.variant(j)[0]),
        stamp=_stamp,
    )
    models = Collection(
        SYSTEM,
        "product_models",
        world.n_products,
        key=world.product_code,
        index=world.product_index,
        build=lambda i: documents.product_model(world, i),
        changed_ms=world.product_updated_ms,
        stamp=_stamp,
    )
    store.register(products)
    store.register(models)
    store.register(_categories(world))
    created_ms = world.product_updated_ms(0)
    for name, records in (
        ("families", documents.families()),
        ("attributes", documents.attributes()),
        ("locales", documents.locales()),
        ("channels", documents.channels()),
    ):
        store.register(_fixed(name, records, created_ms))
    akeneo_reading.register_products(store, Sequence(store, products))
    store.listeners.append(akeneo_events.remember_author)


def _stamp(record: Record, changed_ms: int) -> None:
    record["updated"] = documents.moment(changed_ms)


def _categories(world: World) -> Collection:
    """The tree below its root, which is a category too."""

    def index(code: str) -> int | None:
        below = world.category_index(code)
        return 0 if code == documents.ROOT_CATEGORY else None if below is None else below + 1

    return Collection(
        SYSTEM,
        "categories",
        world.n_categories + 1,
        key=lambda c: world.category(c - 1).code if c else documents.ROOT_CATEGORY,
        index=index,
        build=lambda c: documents.category(world, c - 1) if c else documents.root_category(world),
        changed_ms=lambda c: world.product_updated_ms(0) + c,
        stamp=_stamp,
    )


def _fixed(name: str, records: list[Record], changed_ms: int) -> Collection:
    places = {record["code"]: place for place, record in enumerate(records)}
    return Collection(
        SYSTEM,
        name,
        len(records),
        key=lambda place: str(records[place]["code"]),
        index=places.get,
        build=lambda place: dict(records[place]),
        changed_ms=lambda place: changed_ms + place,
    )


def _guarded(handler: Handler) -> Handler:
    def answer(request: Request) -> Response:
        try:
            akeneo_access.authenticate(request)
            return handler(request)
        except AkeneoError as refusal:
            return refusal.response()

    return answer


def ERROR(request: Request, status: int, message: str) -> Response:
    """Scripted faults and unknown paths, in Akeneo's words."""
    known: dict[int, Callable[[], str]] = {
        401: lambda: "The access token provided is invalid.",
        404: lambda: f'No route found for "{request.method} {request.base_url}{request.path}"',
        429: lambda: "You have exceeded the limit of API requests per second.",
        500: lambda: "Internal Server Error",
    }
    return AkeneoError(status, known.get(status, lambda: message)()).response()


ROUTES: list[Route] = [
    ("POST", re.compile(r"/api/oauth/v1/token"), akeneo_access.token),
    ("GET", LIST_PATH, _guarded(akeneo_reading.read_list)),
    ("GET", ONE_PATH, _guarded(akeneo_reading.read_one)),
    ("PATCH", LIST_PATH, _guarded(akeneo_writing.patch_many)),
    ("POST", LIST_PATH, _guarded(akeneo_writing.post)),
    ("PATCH", ONE_PATH, _guarded(akeneo_writing.patch_one)),
    ("DELETE", ONE_PATH, _guarded(akeneo_writing.delete)),
]
