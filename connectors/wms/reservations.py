"""Reservations in the warehouse, and how much of a product there is now.

The warehouse makes one for each request. It keeps a reference that we give it, which is the
idempotency key of the write: by that one is found whose answer never came.

Reservations are no entity of ours. What they hold shows in the stock level, of which the warehouse
tells by webhook; their stream is there so that a write can be read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from connectors.runtime.connector import Capability, Push
from connectors.runtime.declare import From, StreamSpec
from connectors.runtime.session import HubSession, Response, decode
from connectors.wms.contracts import ReservationRecord
from observability.context import current_id
from observability.errors import RefusedByUpstreamError

ROOT = "wms/api/v1/"
#: The warehouse's own word to the reason that callers are given.
REASONS = {
    "insufficient_stock": "insufficient_stock",
    "unknown_sku": "unknown_material",
    "unknown_reservation": "unknown_reservation",
}


class Reservation(msgspec.Struct):
    id: str
    status: str


class Reservations(msgspec.Struct):
    items: list[Reservation]


class Level(msgspec.Struct):
    warehouse: str
    available: Decimal


class Levels(msgspec.Struct):
    items: list[Level]


class Fault(msgspec.Struct):
    code: str = ""
    message: str = ""


class Refusal(msgspec.Struct):
    error: Fault


def _reservation(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    try:
        quantity = Decimal(str(values["quantity"]))
    except InvalidOperation as error:
        raise ValueError(f"quantity {values['quantity']!r} is no number") from error
    if not quantity.is_finite() or quantity < 1 or quantity != quantity.to_integral_value():
        raise ValueError(
            f"quantity {values['quantity']!r}: the warehouse keeps whole pieces, from 1"
        )
    body = {"reference": key, "sku": str(values["sku"]), "quantity": int(quantity)}
    if values.get("warehouse"):
        body["warehouse"] = str(values["warehouse"])
    return body


RESERVATIONS = StreamSpec(
    slug="reservations",
    entity="stock",
    contract=ReservationRecord,
    record_key=("id",),
    entity_key=lambda _record: None,
    fields={},
    version=From("updated_at"),
    interval=timedelta(hours=1),
    objective=timedelta(hours=2),
    options={"path": "reservations"},
)

#: `{sku, quantity, warehouse?}`; what it gives is the id of the reservation.
RESERVE = Capability("stock.reserve", RESERVATIONS.slug, _reservation)
#: `{reservation}`: its id. Repeating it is harmless: what is released stays so.
RELEASE = Capability(
    "stock.release",
    RESERVATIONS.slug,
    lambda _values, _key: {},
    key=lambda values: str(values["reservation"]),
)


def reserve(session: HubSession, push: Push) -> str:
    """The id of the reservation. Raises RefusedByUpstreamError."""
    headers = {"Content-Type": "application/json"}
    response = session.post(f"{ROOT}reservations", data=push.body, headers=headers)
    return decode(Reservation, _accepted(session, response), session.connection).id


def find(session: HubSession, push: Push) -> str | None:
    """The id of the reservation under our key, if one was made."""
    url = f"{ROOT}reservations?{urlencode({'reference': push.idempotency_key})}"
    made = decode(Reservations, session.checked(session.get(url)), session.connection).items
    return made[0].id if made else None


def release(session: HubSession, push: Push) -> str:
    """The id of the reservation. Raises RefusedByUpstreamError `unknown_reservation`."""
    _accepted(session, session.delete(f"{ROOT}reservations/{quote(push.record_key, safe='')}"))
    return push.record_key


def available(session: HubSession, values: Mapping[str, Any]) -> dict[str, Any]:
    """Of `{sku}`: `{available, warehouses: {code: available}}`, decimal texts.

    Raises RefusedByUpstreamError `unknown_material` for what no warehouse keeps.
    """
    sku = str(values["sku"])
    response = session.checked(session.get(f"{ROOT}stock?{urlencode({'sku': sku})}"))
    levels = decode(Levels, response, session.connection).items
    found = {level.warehouse: level.available for level in levels}
    if not found:
        raise _refused(session, "unknown_material", f"no warehouse keeps {sku}")
    return {
        "available": f"{sum(found.values()):f}",
        "warehouses": {code: f"{amount:f}" for code, amount in found.items()},
    }


def _accepted(session: HubSession, response: Response) -> Response:
    if not response.ok:
        try:
            fault = msgspec.json.decode(response.content, type=Refusal).error
        except (msgspec.DecodeError, UnicodeDecodeError):
            fault = Fault()
        if fault.code in REASONS:
            raise _refused(session, REASONS[fault.code], fault.message, response)
    return session.checked(response)


def _refused(
    session: HubSession, reason: str, said: str, response: Response | None = None
) -> RefusedByUpstreamError:
    return RefusedByUpstreamError(
        said,
        reason=reason,
        connection=session.connection,
        status=response.status_code if response is not None else None,
        excerpt=response.content if response is not None else None,
        correlation_id=current_id(),
    )
