"""Bids on lots: asked of a shop's customer, decided by the hub (decision 17)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from catalog.currencies import spelled
from connectors.auction import rounds
from connectors.auction.judging import Offer, judge, next_allowed
from connectors.commands import credit
from connectors.commands.amounts import Amount, Currency, exact
from connectors.commands.declare import Check, Decide, Operation, Refused, Undo, Work, Write
from connectors.commands.mandates import must_act_for

Key = Annotated[str, Field(min_length=1, max_length=100)]


class PlaceBid(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "bidder": "10000001", "amount": "120.00", "currency": "EUR",
                    "payment_method": "pm_card_visa",
                }
            ]
        },
    )  # fmt: skip

    lot: Key = Field(description="Lot number.")
    bidder: Key = Field(description="Customer number.")
    amount: Amount
    currency: Currency
    payment_method: Key = Field(description="As the payment provider calls it.")


class Placed(BaseModel):
    bid: str = Field(description="Key of the bid, `lot/sequence`.")
    lot: str
    sequence: int = Field(description="Its place in the order in which the lot's bids are decided.")
    status: str = Field(
        description="leading; or outbid, where others were quicker than the answer."
    )
    amount: str
    currency: str
    payment: str = Field(description="The pre-authorisation; released when the bid is outbid.")


class Release(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    bid: Key
    payment: Key


class Released(BaseModel):
    bid: str
    payment: str


def bidder(work: Work) -> None:
    """Who bids, and whether the caller may for him."""
    must_act_for(work.caller, work.params.bidder, "bidder")


def price(work: Work) -> dict[str, str]:
    """Against the price as it stands now: what cannot be accepted any more costs nobody a call."""
    asked = work.params
    amount = exact(asked.amount, asked.currency)
    terms, standing, now = rounds.look(asked.lot)
    if terms is None:
        raise Refused("lot_unknown", f"there is no lot {asked.lot!r}", status=404, parameter="lot")
    judge(terms, standing, Offer(asked.bidder, amount, asked.currency, now))
    return {"next_allowed": spelled(next_allowed(terms, standing), asked.currency)}


def limit(work: Work) -> dict[str, str]:
    """What the bidder may owe, asked of its owner; the round counts his other leading bids in."""
    asked = work.params
    left = credit.available(work, asked.bidder, asked.currency)
    credit.must_cover(left, Decimal(asked.amount), asked.currency, "bidder_limit_exceeded")
    return {"available": str(left)}


def hold(work: Work) -> dict[str, Any]:
    """The pre-authorisation."""
    asked = work.params
    return {
        "amount": asked.amount,
        "currency": asked.currency,
        "method": asked.payment_method,
        "customer": asked.bidder,
    }


def enter(work: Work) -> int:
    """The bid gets its number: from here on its place in the order is fixed."""
    asked = work.params
    return rounds.enter(
        asked.lot,
        work.reference,
        bidder=asked.bidder,
        amount=Decimal(asked.amount),
        currency=asked.currency,
        spendable=Decimal(work.results["limit"]["available"]),
        payment=work.results["authorise"]["key"],
        correlation_id=work.correlation_id,
    )


def decide(work: Work) -> dict[str, Any]:
    """The verdict, and with it those of all who came before."""
    found = rounds.decide(work.params.lot, work.reference)
    return {"sequence": found.sequence, "status": found.state, "problem": found.problem}


def verdict(work: Work) -> None:
    """A rejected bid is a refusal, so that its pre-authorisation is taken back."""
    problem = work.results["decide"]["problem"]
    if problem is not None:
        members = {name: value for name, value in problem.items() if name not in {"code", "detail"}}
        raise Refused(problem["code"], problem["detail"], **members)


def placed(work: Work) -> dict[str, Any]:
    asked, decided = work.params, work.results["decide"]
    return {
        "bid": f"{asked.lot}/{decided['sequence']}",
        "lot": asked.lot,
        "sequence": decided["sequence"],
        "status": decided["status"],
        "amount": asked.amount,
        "currency": asked.currency,
        "payment": work.results["authorise"]["key"],
    }


PLACE = Operation(
    slug="bid.place",
    title="Place a bid",
    description="The bid's amount is pre-authorised, then the bid gets the next number of its lot; bids are "
    "decided in the order of these numbers. A bid that is rejected or outbid costs nothing: its "
    "pre-authorisation is released.",
    method="POST",
    path="lots/{lot}/bids",
    scope="write:bid",
    params=PlaceBid,
    steps=(
        Check("bidder", bidder, local=True),
        Check("price", price, local=True),
        Check("limit", limit, after=("bidder", "price")),
        Write(
            "authorise",
            "payment.authorise",
            hold,
            after=("limit",),
            undo=Undo("payment.cancel", lambda work: {"payment": work.results["authorise"]["key"]}),
        ),
        # A rejected bid keeps its number, and its verdict. One that has a number gets no other.
        Check("enter", enter, after=("authorise",), local=True),
        Decide("decide", decide, after=("enter",), stays=True, verdict=verdict),
    ),
    result=placed,
    result_model=Placed,
    # A bid that is made when the lot may be over is none.
    while_open="refuse",
)

RELEASE = Operation(
    slug="bid.release",
    title="Release a pre-authorisation",
    description="Of a bid that does not lead any more. Asked for by the hub itself.",
    method="",
    path="",
    scope="",
    params=Release,
    steps=(Write("release", "payment.cancel", lambda work: {"payment": work.params.payment}),),
    result=lambda work: {"bid": work.params.bid, "payment": work.params.payment},
    result_model=Released,
    status=200,
)

OPERATIONS = (PLACE, RELEASE)
