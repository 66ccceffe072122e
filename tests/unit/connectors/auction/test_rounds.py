"""Bids are decided in the order of their numbers, one leader at a time, whoever decides."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from catalog.entities import Bid, Lot
from catalog.explain import fields_with_parts, provenance_of
from catalog.source import SourceRecord
from connectors.auction import closing, rounds
from connectors.models import AuctionBid, AuctionLot, Command
from tests import auction, catalogue

pytestmark = pytest.mark.django_db(transaction=True)

BIDDERS, BIDS, THREADS = 40, 240, 6


@pytest.fixture(autouse=True)
def lots() -> None:
    catalogue.connect()
    catalogue.say("salesforce", "lots", [catalogue.lot("L-1"), catalogue.lot("L-2")])


def enter(
    reference: str, bidder: str, amount: str, lot: str = "L-1", spendable: str = "1000000"
) -> int:
    with transaction.atomic():
        return rounds.enter(
            lot, reference, bidder=bidder, amount=Decimal(amount), currency="EUR",
            spendable=Decimal(spendable), payment=f"pi_{reference}", correlation_id=reference,
        )  # fmt: skip


def decide(reference: str) -> AuctionBid:
    with transaction.atomic():
        lot = AuctionBid.objects.get(reference=reference).lot
        return rounds.decide(lot, reference)


def placed(reference: str, bidder: str, amount: str, lot: str = "L-1") -> tuple[str, str | None]:
    enter(reference, bidder, amount, lot)
    return decide(reference).state, reason(reference)


def reason(reference: str) -> str | None:
    """The code by which a bid was rejected."""
    return (AuctionBid.objects.get(reference=reference).problem or {}).get("code")


def test_many_bidders_at_once() -> None:
    """Prices are drawn about where the lot stands, so that some are too low and some are equal."""

    def bid(number: int) -> str:
        dice = random.Random(number)
        standing = AuctionLot.objects.filter(lot="L-1").first()
        base = (standing.price if standing and standing.price else Decimal(100)) // 5 * 5
        reference = f"c{number}"
        try:
            enter(reference, f"{dice.randrange(BIDDERS)}", f"{base + dice.randrange(-1, 4) * 5}")
            return str(decide(reference).state)
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(bid, range(BIDS)))
    assert len(answers) == AuctionBid.objects.filter(lot="L-1").count() == BIDS
    assert auction.broken("L-1") == []
    assert AuctionBid.objects.filter(state="outbid").count() > 10


def test_the_served_values_have_their_decision_as_a_source() -> None:
    assert placed("c1", "A", "100") == ("leading", None)
    lot = Lot.objects.get(key="L-1")
    told = {p.field: p for p in provenance_of(list(fields_with_parts(lot)))}
    price = told["current_price"]
    assert (price.system, price.stream, price.stale, price.correlation_id) == (
        "headwater", "lots", False, "c1",
    )  # fmt: skip
    assert told["title"].system == told["status"].system == "salesforce"
    record = SourceRecord.objects.get(source__system="headwater", record_key="L-1/1")
    assert record.fields["status"] == Bid.objects.get(key="L-1/1").status == "leading"


def test_who_entered_first_is_decided_first_though_the_other_asks_first() -> None:
    enter("early", "A", "100")
    enter("late", "B", "100")
    assert decide("late").state == "rejected"
    assert reason("late") == "bid_too_low"
    assert AuctionBid.objects.get(reference="early").state == "leading"
    assert auction.broken("L-1") == []


def test_what_a_dead_process_entered_is_decided_by_the_next() -> None:
    enter("dead", "A", "100")
    assert placed("next", "B", "105") == ("leading", None)
    assert AuctionBid.objects.get(reference="dead").state == "outbid"


def test_a_bid_that_is_entered_or_decided_again_stays_as_it_was() -> None:
    assert [enter("c1", "A", "100"), enter("c1", "A", "100")] == [1, 1]
    assert [decide("c1").state, decide("c1").state] == ["leading", "leading"]
    placed("c2", "B", "120")
    placed("c3", "B", "110")
    assert [decide("c1").state, decide("c3").state] == ["outbid", "rejected"]
    assert Command.objects.filter(operation="bid.release").count() == 1
    assert auction.broken("L-1") == []


@pytest.mark.parametrize(
    ("bidder", "amount", "code"),
    [("A", "200", "already_leading"), ("B", "104.99", "bid_too_low"), ("B", "105", None)],
)
def test_what_is_refused(bidder: str, amount: str, code: str | None) -> None:
    placed("c1", "A", "100")
    assert placed("c2", bidder, amount)[1] == code


def test_a_bidder_may_not_lead_two_lots_with_more_than_he_may_owe() -> None:
    enter("c1", "A", "100", "L-1", spendable="250")
    decide("c1")
    enter("c2", "A", "160", "L-2", spendable="250")
    decide("c2")
    assert reason("c2") == "bidder_limit_exceeded"
    placed("c3", "B", "105", "L-1")
    enter("c4", "A", "160", "L-2", spendable="250")
    assert decide("c4").state == "leading"


def test_a_closed_lot_is_sold_to_who_led_and_takes_no_more_bids() -> None:
    placed("c1", "A", "100")
    placed("c2", "B", "150")
    ended("L-1")
    enter("c3", "C", "500")
    assert closing.close_due() == 1
    lot = Lot.objects.get(key="L-1")
    assert (lot.status, lot.leading_bidder_id, lot.current_price) == ("sold", "B", 150)
    assert reason("c3") == "lot_closed"
    assert auction.broken("L-1") == []
    assert closing.close_due() == 0


def test_below_its_reserve_a_lot_is_not_sold_and_the_payment_is_let_go() -> None:
    placed("c1", "A", "149")
    ended("L-1")
    closing.close_due()
    assert Lot.objects.get(key="L-1").status == "unsold"
    (release,) = Command.objects.filter(operation="bid.release")
    assert release.params == {"bid": "L-1/1", "payment": "pi_c1"}
    assert auction.broken("L-1") == []


def test_who_entered_in_time_is_decided_though_the_lot_was_over_before() -> None:
    enter("c1", "A", "200")
    ended("L-1", at="now")
    closing.close_due()
    assert AuctionBid.objects.get(reference="c1").state == "won"
    assert Lot.objects.get(key="L-1").status == "sold"


def test_the_database_itself_has_one_leader_and_one_bid_a_price() -> None:
    placed("c1", "A", "100")
    enter("c2", "B", "100")
    with pytest.raises(IntegrityError, match="auction_one"):
        AuctionBid.objects.filter(reference="c2").update(state="leading")


def ended(lot: str, at: str = "2026-03-01T00:00:00.000+0000") -> None:
    if at == "now":
        (row,) = auction.asked(
            """SELECT to_char((now() + interval '5 ms') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS') AS at"""
        )
        at = f"{row['at']}+0000"
    changed = {"ClosesAt__c": at, "SystemModstamp": "2026-03-01T00:00:00.000+0000"}
    catalogue.say("salesforce", "lots", [catalogue.lot(lot, **changed)])
