"""One bid against where its lot stands. Pure: the same bid at the same standing, the same verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from catalog.currencies import spelled
from connectors.commands.declare import Refused

PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the catalogue says about a lot. Times are timezone-aware, amounts in `currency`."""

    lot: str
    opens_at: datetime
    closes_at: datetime
    currency: str
    start_price: Decimal
    increment: Decimal
    reserve_price: Decimal | None
    status: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the bidding stands; `price` is None before the first accepted bid."""

    price: Decimal | None = None
    leader: str = ""
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """A bid. `at` is when it entered; `committed` is what the bidder leads with in other lots."""

    bidder: str
    amount: Decimal
    currency: str
    at: datetime
    spendable: Decimal | None = None
    committed: Decimal = Decimal(0)


def next_allowed(terms: Terms, standing: Standing) -> Decimal:
    """The least amount that would be accepted now."""
    if standing.price is None:
        return terms.start_price
    return standing.price + terms.increment


def judge(terms: Terms, standing: Standing, offer: Offer) -> None:
    """Nothing where the bid is accepted. Raises Refused with the first thing that speaks against it.

    `lot_not_open`, `lot_closed`, `currency_mismatch`, `already_leading`, `bid_too_low`,
    `bidder_limit_exceeded`.
    """
    if terms.status == "withdrawn" or standing.closed or offer.at >= terms.closes_at:
        raise Refused(
            "lot_closed",
            f"lot {terms.lot} takes no bids any more",
            lot=terms.lot,
            closes_at=terms.closes_at.isoformat(),
        )
    if terms.status != PUBLISHED or offer.at < terms.opens_at:
        raise Refused(
            "lot_not_open",
            f"lot {terms.lot} takes no bids yet",
            lot=terms.lot,
            opens_at=terms.opens_at.isoformat(),
        )
    if offer.currency != terms.currency:
        raise Refused(
            "currency_mismatch",
            f"lot {terms.lot} is sold in {terms.currency}, the bid is in {offer.currency}",
            parameter="currency",
            currency=terms.currency,
        )
    if standing.leader == offer.bidder:
        raise Refused(
            "already_leading",
            f"customer {offer.bidder} leads lot {terms.lot}; nobody outbids himself",
            **prices(terms, standing),
        )
    least = next_allowed(terms, standing)
    if offer.amount < least:
        raise Refused(
            "bid_too_low",
            f"the bid on lot {terms.lot} must be at least {spelled(least, terms.currency)}"
            f" {terms.currency}",
            parameter="amount",
            **prices(terms, standing),
        )
    if offer.spendable is not None and offer.committed + offer.amount > offer.spendable:
        raise Refused(
            "bidder_limit_exceeded",
            f"customer {offer.bidder} may owe {spelled(offer.spendable, terms.currency)}"
            f" {terms.currency} altogether, and leads other lots with"
            f" {spelled(offer.committed, terms.currency)}",
            available=spelled(max(Decimal(0), offer.spendable - offer.committed), terms.currency),
            currency=terms.currency,
        )


def prices(terms: Terms, standing: Standing) -> Mapping[str, Any]:
    """The current price (null before the first bid) and the next allowed amount, for a problem."""
    price = standing.price
    return {
        "current_price": None if price is None else spelled(price, terms.currency),
        "next_allowed": spelled(next_allowed(terms, standing), terms.currency),
        "currency": terms.currency,
    }
