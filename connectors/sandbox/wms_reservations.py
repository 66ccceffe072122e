"""Reservations of the simulated warehouse: stock that is kept for somebody until it is released.

Each POST makes one, also with a reference that was used before: whoever is not sure asks by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.sandbox.store import Collection, Document
from connectors.sandbox.wire import Request, Response

SYSTEM, NAME = "wms", "reservations"
LONGEST_REFERENCE = 64
_MEMBERS = {"reference", "sku", "quantity", "warehouse"}
ACTIVE, RELEASED = "active", "released"


def collection(moment: Callable[[int], str]) -> Collection:
    """None on the first day."""

    def stamp(reservation: Document, ms: int) -> None:
        reservation["updated_at"] = moment(ms)
        reservation.setdefault("created_at", reservation["updated_at"])

    return Collection(
        SYSTEM,
        NAME,
        0,
        key=lambda n: f"RSV-{n:09d}",
        index=lambda _key: None,
        build=lambda _n: {},
        changed_ms=lambda _n: 0,
        stamp=stamp,
    )


def refusal(status: int, code: str, message: str, **more: Any) -> Response:
    """`code` is for machines, and stable."""
    return Response(status, {"error": {"status": status, "code": code, "message": message, **more}})


def create(request: Request, warehouses: tuple[str, ...]) -> Response:
    """`{reference, sku, quantity[, warehouse]}`; without a warehouse, where most is available."""
    given = request.json()
    wrong = _wrong(given, warehouses)
    if wrong:
        return refusal(422, "invalid", wrong)
    sku, quantity = given["sku"], given["quantity"]
    asked = (given["warehouse"],) if "warehouse" in given else warehouses
    store = request.store
    with store.together():
        levels = [store.get(SYSTEM, "stock", f"{code}/{sku}") for code in asked]
        living = [level for level in levels if level is not None]
        if not living:
            return refusal(404, "unknown_sku", f"no stock is kept of {sku}")
        most = max(living, key=lambda level: level["available"])
        if most["available"] < quantity:
            message = f"{quantity} of {sku} wanted, {most['available']} available"
            left = {level["warehouse"]: level["available"] for level in living}
            return refusal(
                409, "insufficient_stock", message, sku=sku, requested=quantity, available=left
            )
        last = store.last_added(SYSTEM, NAME) or "RSV-000000000"
        reservation = {
            "id": f"RSV-{int(last[4:]) + 1:09d}",
            "reference": given["reference"],
            "sku": sku,
            "warehouse": most["warehouse"],
            "quantity": quantity,
            "status": ACTIVE,
        }
        key, reference = str(reservation["id"]), given["reference"]
        store.put(SYSTEM, NAME, key, reservation, reference=reference)
        _hold(request, reservation, quantity)
    address = {"Location": f"{request.base_url}/wms/api/v1/reservations/{key}"}
    return Response(201, reservation, address)


def made_with(request: Request) -> Response:
    """`?reference=`: every one that was made with it, oldest first."""
    reference = request.query["reference"]
    found = [r for _, r in request.store.overlay(SYSTEM, NAME) if r["reference"] == reference]
    found.sort(key=lambda reservation: reservation["id"])
    return Response(200, {"items": found, "next_cursor": None})


def one(request: Request) -> Response:
    """A reservation, also one that was released."""
    found = request.store.get(SYSTEM, NAME, request.match["id"])
    if found is None:
        return refusal(404, "unknown_reservation", f"no reservation {request.match['id']}")
    return Response(200, found)


def release(request: Request) -> Response:
    """DELETE: the stock is free again. Of one that was released: nothing more happens (RFC 9110)."""
    key = request.match["id"]
    with request.store.together():
        found = request.store.get(SYSTEM, NAME, key)
        if found is None:
            return refusal(404, "unknown_reservation", f"no reservation {key}")
        if found["status"] == ACTIVE:
            request.store.put(SYSTEM, NAME, key, found | {"status": RELEASED})
            _hold(request, found, -found["quantity"])
    return Response(204)


def _hold(request: Request, reservation: Document, quantity: int) -> None:
    """Raise what is reserved of the level."""
    key = f"{reservation['warehouse']}/{reservation['sku']}"
    level = request.store.get(SYSTEM, "stock", key)
    if level is not None:
        reserved = max(0, level["reserved"] + quantity)
        request.store.patch(SYSTEM, "stock", key, {"reserved": reserved})


def _wrong(given: Any, warehouses: tuple[str, ...]) -> str:
    """What is wrong with a body; empty: nothing."""
    if not isinstance(given, dict):
        return "send an object with reference, sku and quantity"
    unknown = sorted(given.keys() - _MEMBERS)
    texts = [given.get("reference"), given.get("sku")]
    quantity = given.get("quantity")
    wrong = {
        f"{unknown[:1]}: not known; known are {', '.join(sorted(_MEMBERS))}": bool(unknown),
        "reference and sku: texts are needed": not all(
            isinstance(one, str) and one for one in texts
        ),
        f"reference: at most {LONGEST_REFERENCE} characters": (
            len(str(texts[0])) > LONGEST_REFERENCE
        ),
        "quantity: a whole number from 1 is needed": type(quantity) is not int or quantity < 1,
        f"warehouse: one of {', '.join(warehouses)}": (
            "warehouse" in given and given["warehouse"] not in warehouses
        ),
    }
    return next((text for text, is_so in wrong.items() if is_so), "")
