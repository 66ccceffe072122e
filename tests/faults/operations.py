"""What callers ask for in the scenario of the writes: stock is reserved, and an order made in SAP.

Some are refused when both are done, so that both have to be taken back.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from connectors.commands.declare import Check, Operation, Refused, Undo, Work, Write, register

MARKET, CURRENCY, UNIT_PRICE = "DE", "EUR", "0.01"


class Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str
    customer: str
    unwanted: bool = False


class Made(BaseModel):
    reference: str
    order: str


def _refuse(work: Work) -> None:
    if work.params.unwanted:
        raise Refused("unwanted", "it was asked for to be refused")


def _order(work: Work) -> dict[str, Any]:
    line = {"sku": work.params.sku, "quantity": 1, "unit_price": UNIT_PRICE}
    return {
        "reference": work.reference, "customer": work.params.customer, "market": MARKET,
        "currency": CURRENCY, "total": UNIT_PRICE, "lines": [line],
    }  # fmt: skip


WISH = register(
    Operation(
        slug="fault.order",
        title="An order of the fault tests",
        description="Reserves one piece, and orders it.",
        method="POST",
        path="fault-orders",
        scope="write:order",
        params=Wish,
        steps=(
            Write(
                "reserve",
                "stock.reserve",
                lambda work: {"sku": work.params.sku, "quantity": 1},
                undo=Undo("stock.release", lambda work: {"reservation": _key(work, "reserve")}),
            ),
            Write(
                "order",
                "order.create",
                _order,
                after=("reserve",),
                undo=Undo("order.cancel", lambda work: {"order": _key(work, "order")}),
            ),
            Check("verdict", _refuse, after=("order",)),
        ),
        result=lambda work: {"reference": work.reference, "order": _key(work, "order")},
        result_model=Made,
        deadline_seconds=4.0,
    )
)


def _key(work: Work, step: str) -> str:
    return str(work.results[step]["key"])
