"""Simulated warehouse management system: plain REST under `/wms/api/v1/`."""

from __future__ import annotations

import base64
import binascii
import itertools
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from connectors.sandbox import faults
from connectors.sandbox import wms_reservations as reservations
from connectors.sandbox.signing import standard_webhook
from connectors.sandbox.store import Change, Collection, Document, Store
from connectors.sandbox.wire import Handler, Request, Response, Route
from connectors.sandbox.world import World

__all__ = ["ERROR", "ROUTES", "SYSTEM", "WEBHOOK", "register"]

SYSTEM = "wms"
WAREHOUSES = {"AMS": "Amsterdam", "LYS": "Lyon"}
_CODES = tuple(WAREHOUSES)
_BEARER = "Bearer wms-sandbox-token"
LARGEST = 1000
USUAL = 100
A_MINUTE = 6000


def register(store: Store, world: World) -> None:
    def index(key: str) -> int | None:
        warehouse, _, sku = key.partition("/")
        j = world.variant_index(sku)
        return None if j is None or warehouse not in WAREHOUSES else j * 2 + _CODES.index(warehouse)

    store.register(
        Collection(
            SYSTEM,
            "stock",
            world.variant_count() * 2,
            key=lambda n: f"{_CODES[n % 2]}/{world.sku(n // 2)}",
            index=index,
            build=lambda n: _level(world, n),
            # one second a shelf apart at most, and ties, as bookings have
            changed_ms=lambda n: world.product_updated_ms(world.variant(n // 2)[0]),
            stamp=_stamp,
        )
    )
    store.register(reservations.collection(_moment))


def _level(world: World, n: int) -> Document:
    j, warehouse = n // 2, _CODES[n % 2]
    on_hand, reserved = world.on_hand(j, warehouse), world.reserved(j, warehouse)
    return {
        "sku": world.sku(j),
        "warehouse": warehouse,
        "on_hand": on_hand,
        "reserved": reserved,
        "available": on_hand - reserved,
        "updated_at": _moment(world.product_updated_ms(world.variant(j)[0])),
    }


def _stamp(level: Document, ms: int) -> None:
    on_hand, reserved = level.get("on_hand"), level.get("reserved")
    # The control page may break a level on purpose; it is sent as broken as it is.
    if isinstance(on_hand, int) and isinstance(reserved, int):
        level["available"] = on_hand - reserved
    level["updated_at"] = _moment(ms)


def _moment(ms: int) -> str:
    return (
        datetime.fromtimestamp(ms / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def ERROR(_request: Request, status: int, message: str) -> Response:
    return Response(status, {"error": {"status": status, "message": message}})


def _guarded(handler: Handler) -> Handler:
    def answer(request: Request) -> Response:
        if request.headers.get("Authorization") != _BEARER:
            return ERROR(request, 401, "missing or wrong bearer token")
        memory: dict[str, Any] = request.store.memory(SYSTEM)
        minute = int(time.time()) // 60
        used = memory["used"] = (memory.get("used", 0) if memory.get("minute") == minute else 0) + 1
        memory["minute"] = minute
        left = max(0, A_MINUTE - used)
        response = handler(request) if left else ERROR(request, 429, "too many requests")
        reset = 60 - int(time.time()) % 60
        response.headers["RateLimit-Policy"] = f'"minute";q={A_MINUTE};w=60'
        response.headers["RateLimit"] = f'"minute";r={left};t={reset}'
        if not left:
            response.headers["Retry-After"] = str(reset)
        return response

    return answer


def _warehouses(_request: Request) -> Response:
    return Response(200, {"items": [{"code": c, "name": n} for c, n in WAREHOUSES.items()]})


def _levels(request: Request) -> Response:
    """Pages in the order of change; with `sku`, the levels of that one in every warehouse."""
    sku = request.query.get("sku")
    if sku is None:
        return _page(request, "stock")
    found = (request.store.get(SYSTEM, "stock", f"{code}/{sku}") for code in _CODES)
    items = faults.transform(SYSTEM, [level for level in found if level is not None])
    return Response(200, {"items": items, "next_cursor": None})


def _reservations(request: Request) -> Response:
    if "reference" in request.query:
        return reservations.made_with(request)
    return _page(request, reservations.NAME)


def _page(request: Request, name: str) -> Response:
    try:
        limit = int(request.query.get("limit", USUAL))
        since = _milliseconds(request.query.get("changed_since"))
        after = _opened(request.query.get("cursor"))
    except ValueError as error:
        return ERROR(request, 400, str(error))
    if not 1 <= limit <= LARGEST:
        return ERROR(request, 400, f"limit must be from 1 to {LARGEST}")
    spoiled = faults.paging(SYSTEM)
    rows = request.store.scan(SYSTEM, name, after=after, changed_from_ms=since, limit=limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    following = None
    if more:
        last = rows[-1]
        if spoiled == "overlapping_pages":
            last = rows[-1 - faults.overlap(len(rows))]
        following = _cursor(last.changed_ms, last.key)
        if spoiled == "stuck_cursor":
            following = request.query.get("cursor") or following
    items = faults.transform(SYSTEM, [row.doc for row in rows])
    return Response(200, {"items": items, "next_cursor": following})


def _one(request: Request) -> Response:
    key = f"{request.match['warehouse']}/{request.match['sku']}"
    level = request.store.get(SYSTEM, "stock", key)
    if level is None:
        return ERROR(request, 404, f"no stock of {request.match['sku']} in this warehouse")
    return Response(200, faults.transform(SYSTEM, [level])[0])


def _put(request: Request) -> Response:
    """Adjust `on_hand` or `reserved`."""
    key = f"{request.match['warehouse']}/{request.match['sku']}"
    given = request.json()
    if not isinstance(given, dict):
        return ERROR(request, 422, "send an object with on_hand or reserved")
    for name, value in given.items():
        if name not in ("on_hand", "reserved") or type(value) is not int or value < 0:
            return ERROR(request, 422, f"{name}: only on_hand and reserved, whole numbers from 0")
    level = request.store.patch(SYSTEM, "stock", key, given)
    return Response(200, level) if level else ERROR(request, 404, f"no stock at {key}")


def _cursor(ms: int, key: str) -> str:
    return base64.urlsafe_b64encode(f"{ms}:{key}".encode()).decode()


def _opened(cursor: str | None) -> tuple[int, str] | None:
    if not cursor:
        return None
    try:
        ms, _, key = base64.urlsafe_b64decode(cursor).decode().partition(":")
        return int(ms), key
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise ValueError("cursor is not one of ours") from error


def _milliseconds(text: str | None) -> int | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text.replace(" ", "+"))
    return int(moment.timestamp() * 1000)


_REMEMBERED = 10_000
_numbers: OrderedDict[int, int] = OrderedDict()
#: After a restart the numbers jump, which a receiver must take for a gap: some may be lost.
_count = itertools.count(int(time.time()) * 1000)
_numbering = threading.Lock()


def _number(at_ms: int) -> int:
    """The number of a change, the same however often it is sent."""
    with _numbering:
        if at_ms not in _numbers:
            _numbers[at_ms] = next(_count)
            if len(_numbers) > _REMEMBERED:
                _numbers.popitem(last=False)
        return _numbers[at_ms]


def WEBHOOK(change: Change) -> tuple[dict[str, str], bytes] | None:
    """`stock.changed` with the new level, by the Standard Webhooks specification.

    Each change has a number of its own, so that a receiver can tell that one is missing.
    """
    if change.collection != "stock":
        return None  # a reservation is told of as the level that it changes
    body = orjson.dumps(
        {
            "type": "stock.changed",
            "timestamp": _moment(change.at_ms),
            "sequence": _number(change.at_ms),
            "data": change.doc,
        }
    )
    headers = {"Content-Type": "application/json"}
    return headers | standard_webhook(f"msg_wms_{change.at_ms}", int(time.time()), body), body


_Rule = tuple[str, str, Callable[[Request], Response]]
_TABLE: tuple[_Rule, ...] = (
    ("GET", "warehouses", _warehouses),
    ("GET", "stock", _levels),
    ("GET", r"stock/(?P<warehouse>[^/]+)/(?P<sku>[^/]+)", _one),
    ("PUT", r"stock/(?P<warehouse>[^/]+)/(?P<sku>[^/]+)", _put),
    ("POST", "reservations", lambda request: reservations.create(request, _CODES)),
    ("GET", "reservations", _reservations),
    ("GET", r"reservations/(?P<id>[\w-]+)", reservations.one),
    ("DELETE", r"reservations/(?P<id>[\w-]+)", reservations.release),
)
ROUTES: list[Route] = [
    (method, re.compile(f"/wms/api/v1/{path}"), _guarded(handler))
    for method, path, handler in _TABLE
]
