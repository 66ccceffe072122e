"""One bid against where its lot stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from connectors.auction.judging import Offer, Standing, Terms, judge, next_allowed
from connectors.commands.declare import Refused

OPENS = datetime(2026, 1, 1, tzinfo=UTC)
CLOSES = OPENS + timedelta(days=10)
TERMS = Terms("L-1", OPENS, CLOSES, "EUR", Decimal(100), Decimal(5), None, "published")
AMOUNTS = some.integers(1, 60).map(lambda n: Decimal(n) * 5)


def offer(**changes: Any) -> Offer:
    said: dict[str, Any] = {
        "bidder": "A", "amount": Decimal(100), "currency": "EUR", "at": OPENS,
        "spendable": Decimal(1000),
    }  # fmt: skip
    return Offer(**{**said, **changes})


def verdict(standing: Standing, bid: Offer) -> str | None:
    """The code of a refusal."""
    try:
        judge(TERMS, standing, bid)
    except Refused as no:
        return no.problem
    return None


@pytest.mark.parametrize(
    ("standing", "bid", "code"),
    [
        (Standing(), offer(), None),
        (Standing(), offer(at=OPENS - timedelta(microseconds=1)), "lot_not_open"),
        (Standing(), offer(at=CLOSES - timedelta(microseconds=1)), None),
        (Standing(), offer(at=CLOSES), "lot_closed"),
        (Standing(closed=True), offer(), "lot_closed"),
        (Standing(), offer(currency="USD"), "currency_mismatch"),
        (Standing(), offer(amount=Decimal("99.99")), "bid_too_low"),
        (Standing(Decimal(100), "B"), offer(amount=Decimal("104.99")), "bid_too_low"),
        (Standing(Decimal(100), "B"), offer(amount=Decimal(105)), None),
        (Standing(Decimal(100), "A"), offer(amount=Decimal(200)), "already_leading"),
        (Standing(), offer(spendable=Decimal(99)), "bidder_limit_exceeded"),
        (Standing(), offer(committed=Decimal(901)), "bidder_limit_exceeded"),
        (Standing(), offer(committed=Decimal(900)), None),
    ],
)
def test_verdicts(standing: Standing, bid: Offer, code: str | None) -> None:
    assert verdict(standing, bid) == code


def test_who_is_too_low_is_told_the_price_and_what_would_do() -> None:
    with pytest.raises(Refused) as no:
        judge(TERMS, Standing(Decimal(120), "B"), offer(amount=Decimal(121)))
    assert no.value.members == {
        "parameter": "amount", "current_price": "120.00", "next_allowed": "125.00",
        "currency": "EUR",
    }  # fmt: skip


@given(some.lists(some.tuples(some.sampled_from("ABC"), AMOUNTS), max_size=30))
def test_whatever_is_bid_the_price_rises_by_the_increment_and_nobody_outbids_himself(
    bids: list[tuple[str, Decimal]],
) -> None:
    standing = Standing()
    for bidder, amount in bids:
        if code := verdict(standing, offer(bidder=bidder, amount=amount)):
            assert amount < next_allowed(TERMS, standing) or bidder == standing.leader, code
            continue
        assert standing.price is None or amount >= standing.price + TERMS.increment
        assert bidder != standing.leader
        standing = Standing(amount, bidder)
