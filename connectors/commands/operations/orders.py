"""Orders: reserved, priced, covered, paid for and put into the ERP, or nothing of it."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from string import ascii_lowercase
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from catalog.currencies import spelled
from catalog.entities import Price, Variant
from connectors.commands import credit
from connectors.commands.amounts import Amount, Currency, decimals_of, exact
from connectors.commands.declare import Check, Decide, Operation, Refused, Undo, Work, Write
from connectors.commands.following import Following, follow
from connectors.commands.mandates import must_act_for
from connectors.commands.prices import must_be_current

STRICT = ConfigDict(extra="forbid", strict=True)
Key = Annotated[str, Field(min_length=1, max_length=100)]
#: Each line is a reservation of its own, and a reservation is a step.
MOST_LINES = 10


class Line(BaseModel):
    model_config = STRICT

    sku: Key
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
    unit_price: Amount = Field(description="What the customer was shown; it must be current.")


class PlaceOrder(BaseModel):
    model_config = ConfigDict(
        **STRICT,
        json_schema_extra={
            "examples": [
                {
                    "customer": "10000001", "market": "DE", "currency": "EUR",
                    "lines": [{"sku": "P-000123-01", "quantity": 2, "unit_price": "129.90"}],
                    "payment_method": "pm_card_visa",
                }
            ]
        },
    )  # fmt: skip

    customer: Key = Field(description="Customer number.")
    market: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2.")]
    currency: Currency
    lines: Annotated[list[Line], Field(min_length=1, max_length=MOST_LINES)]
    payment_method: Key = Field(description="As the payment provider calls it.")


class Ordered(BaseModel):
    order: str = Field(description="The ERP's number.")
    customer: str
    total: str
    currency: str
    payment: str = Field(description="The authorisation; captured when the order is shipped.")
    reservations: list[str]


class CopyOrder(BaseModel):
    model_config = STRICT

    reference: Key
    order: Key
    customer: Key
    total: Amount
    currency: Currency
    status: Key


class Copied(BaseModel):
    order: str


def valid(work: Work) -> dict[str, str]:
    """What can be known without asking anybody; the total."""
    asked = work.params
    must_act_for(work.caller, asked.customer)
    decimals_of(asked.currency)
    skus = [line.sku for line in asked.lines]
    known = set(
        Variant.objects.filter(key__in=skus, deleted_at__isnull=True).values_list("key", flat=True)
    )
    for place, line in enumerate(asked.lines):
        if line.sku not in known:
            raise Refused(
                "sku_unknown", f"there is no variant {line.sku!r}", parameter=f"lines.{place}.sku"
            )
        if skus.index(line.sku) != place:
            raise Refused(
                "sku_twice",
                f"{line.sku} is in two lines; add up their quantities",
                parameter=f"lines.{place}.sku",
            )
        exact(line.unit_price, asked.currency)
    sold = Price.objects.filter(market=asked.market, deleted_at__isnull=True, variant__in=skus)
    if not sold.filter(currency=asked.currency).exists():
        others = sorted({str(code) for code in sold.values_list("currency", flat=True)})
        raise Refused(
            "currency_mismatch" if others else "market_unknown",
            f"in {asked.market} this is sold in {' or '.join(others)}, not in {asked.currency}"
            if others
            else f"nothing of this is sold in {asked.market}",
            parameter="currency" if others else "market",
        )
    total = sum((line.quantity * Decimal(line.unit_price) for line in asked.lines), Decimal(0))
    return {"total": spelled(total, asked.currency)}


def prices(work: Work) -> list[Any]:
    """The owner's prices, none of which differs from what the customer was shown."""
    asked = work.params
    return must_be_current(work, asked.lines, asked.market, asked.currency)


def covered(work: Work) -> None:
    """Raises Refused: `credit_exceeded`, `customer_blocked`."""
    asked = work.params
    left = credit.available(work, asked.customer, asked.currency)
    total = Decimal(work.results["valid"]["total"])
    credit.must_cover(left, total, asked.currency, "credit_exceeded")


def reserved(place: int, work: Work) -> dict[str, Any]:
    line = work.params.lines[place]
    return {"sku": line.sku, "quantity": line.quantity}


def released(step: str, work: Work) -> dict[str, Any]:
    return {"reservation": work.results[step]["key"]}


def wanted(place: int, work: Work) -> bool:
    return place < len(work.params.lines)


def authorised(work: Work) -> dict[str, Any]:
    return {
        "amount": work.results["valid"]["total"],
        "currency": work.params.currency,
        "method": work.params.payment_method,
        "customer": work.params.customer,
    }


def order(work: Work) -> dict[str, Any]:
    """The order in the ERP, with our reference."""
    asked = work.params
    return {
        "reference": work.reference,
        "customer": asked.customer,
        "market": asked.market,
        "currency": asked.currency,
        "total": work.results["valid"]["total"],
        "lines": [line.model_dump() for line in asked.lines],
        "payment": work.results["authorise"]["key"],
    }


def copy(work: Work) -> None:
    """The CRM's copy is a command of its own: whatever becomes of it, the order stands."""
    params = {
        "reference": work.reference,
        "order": work.results["order"]["key"],
        "customer": work.params.customer,
        "total": work.results["valid"]["total"],
        "currency": work.params.currency,
        "status": "open",
    }
    follow([Following("order.copy", params, f"{work.reference}/copy", work.correlation_id)])


RESERVE = tuple(f"reserve_{letter}" for letter in ascii_lowercase[:MOST_LINES])
CHECKED = ("prices", "credit")

PLACE = Operation(
    slug="order.place",
    title="Place an order",
    description="Reserves the stock, compares every price with its owner's, asks for the customer's credit, "
    "authorises the payment and puts the order into the ERP. Where one of these is refused, "
    "what was done before it is taken back.",
    method="POST",
    path="orders",
    scope="write:order",
    params=PlaceOrder,
    steps=(
        Check("valid", valid),
        Check("prices", prices, after=("valid",)),
        Check("credit", covered, after=("valid",)),
        *(
            Write(
                step,
                "stock.reserve",
                partial(reserved, place),
                after=CHECKED,
                undo=Undo("stock.release", partial(released, step)),
                when=partial(wanted, place),
            )
            for place, step in enumerate(RESERVE)
        ),
        Write(
            "authorise",
            "payment.authorise",
            authorised,
            after=CHECKED,
            undo=Undo("payment.cancel", lambda work: {"payment": work.results["authorise"]["key"]}),
        ),
        Write(
            "order",
            "order.create",
            order,
            after=(*RESERVE, "authorise"),
            undo=Undo("order.cancel", lambda work: {"order": work.results["order"]["key"]}),
        ),
        Decide("copy", copy, after=("order",)),
    ),
    result=lambda work: {
        "order": work.results["order"]["key"],
        "customer": work.params.customer,
        "total": work.results["valid"]["total"],
        "currency": work.params.currency,
        "payment": work.results["authorise"]["key"],
        "reservations": [work.results[step]["key"] for step in RESERVE[: len(work.params.lines)]],
    },
    result_model=Ordered,
    while_open="refuse",
)

COPY = Operation(
    slug="order.copy",
    title="Copy an order to the CRM",
    description="Follows a placed order. Asked for by the hub itself.",
    method="",
    path="",
    scope="",
    params=CopyOrder,
    steps=(Write("record", "order.record", lambda work: work.params.model_dump()),),
    result=lambda work: {"order": work.params.order},
    result_model=Copied,
    status=200,
)

OPERATIONS = (PLACE, COPY)
