"""Bids as a shop places them: five steps over three systems, and an answer that stands."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import requests

from catalog.entities import Bid, Lot
from connectors.commands import ledger
from connectors.commands.drain import go_on
from connectors.models import AuctionBid, Command, Mandate
from connectors.sandbox.world import World
from hub import lanes
from hub.auth.keys import issue_key
from tests import auction, bidding, market
from tests.market import Market
from tests.sandboxes import set_fault
from tests.web import Inside

pytestmark = pytest.mark.django_db(transaction=True)

OPEN, DOLLARS, OVER, TO_COME = "L-0001", "L-0004", "L-0005", "L-0006"
BLOCKED, EXHAUSTED = "10000014", "10000008"
A, B, C = islice(bidding.solvent(market.PRODUCTS, 20_000), 3)
START = World(market.PRODUCTS).lot(0).start_minor // 100
STEP = World(market.PRODUCTS).lot(0).increment_minor // 100


@pytest.fixture
def shop() -> Iterator[Market]:
    with market.opened() as opened:
        yield opened


def bid(shop: Market, bidder: str, amount: Any, lot: str = OPEN, **more: Any) -> Any:
    body = {
        "bidder": bidder, "amount": f"{amount}", "currency": "EUR",
        "payment_method": "pm_card_visa",
    }  # fmt: skip
    told = {name: more.pop(name) for name in ("key", "authority") if name in more}
    return shop.send(f"lots/{lot}/bids", body | more, **told)


def held(shop: Market, bid: AuctionBid) -> str:
    """The state of a bid's payment at its provider."""
    return str(shop.record("stripe", "payment_intents", bid.payment)["status"])


def test_a_bid_leads_its_money_is_held_and_the_lot_shows_it(shop: Market) -> None:
    status, said = bid(shop, A, START)
    assert status == 201, said
    assert (said["bid"], said["status"]) == (f"{OPEN}/1", "leading")
    lot = Lot.objects.get(key=OPEN)
    assert (lot.current_price, lot.leading_bidder_id, lot.bid_count) == (START, A, 1)
    assert held(shop, AuctionBid.objects.get()) == "requires_capture"
    shop.settle()
    assert Command.objects.get().state == "confirmed"
    assert auction.broken(OPEN) == []


def test_who_is_outbid_gets_his_money_back_once(shop: Market) -> None:
    bid(shop, A, START)
    status, said = bid(shop, B, START + STEP)
    assert status == 201, said
    shop.settle()
    shop.settle()
    first, second = AuctionBid.objects.order_by("sequence")
    assert (first.state, held(shop, first)) == ("outbid", "canceled")
    assert (second.state, held(shop, second)) == ("leading", "requires_capture")
    assert Bid.objects.get(key=f"{OPEN}/1").status == "outbid"
    (release,) = Command.objects.filter(operation="bid.release")
    assert (release.caller, release.state) == ("headwater", "confirmed")


def test_a_bid_that_is_too_low_is_told_the_price_and_nothing_is_sent(shop: Market) -> None:
    bid(shop, A, START)
    before = shop.wrote()
    status, said = bid(shop, B, START)
    assert (status, said["code"]) == (422, "bid_too_low")
    assert (said["current_price"], said["next_allowed"]) == (f"{START}.00", f"{START + STEP}.00")
    assert shop.wrote() == before


def test_of_two_at_once_one_wins_and_the_other_s_money_is_released(shop: Market) -> None:
    # Both are through the first look at the price before either is decided.
    requests.put(f"{shop.url}/_control/latency/stripe", json={"milliseconds": 400}, timeout=5)
    answers = shop.at_once([lambda: bid(shop, A, START), lambda: bid(shop, B, START)])
    assert sorted(status for status, _ in answers) == [201, 422], answers
    (problem,) = (said for status, said in answers if status == 422)
    assert (problem["code"], problem["next_allowed"]) == ("bid_too_low", f"{START + STEP}.00")
    shop.settle()
    lost, won = AuctionBid.objects.order_by("-state")[:2]
    assert {held(shop, AuctionBid.objects.get(state="rejected"))} == {"canceled"}
    assert held(shop, AuctionBid.objects.get(state="leading")) == "requires_capture"
    assert {lost.sequence, won.sequence} == {1, 2}
    assert auction.broken(OPEN) == []


def test_the_same_key_places_one_bid(shop: Market) -> None:
    first = bid(shop, A, START, key="once")
    again = bid(shop, A, START, key="once")
    assert first == again
    assert AuctionBid.objects.count() == 1
    assert bid(shop, A, START + STEP, key="once")[1]["code"] == "idempotency_key_reused"


def test_a_lost_answer_of_the_provider_places_one_bid(shop: Market) -> None:
    set_fault(shop.url, "stripe", kind="answer_lost", count=1, seconds=0)
    status, said = bid(shop, A, START)
    assert status in {201, 202}, said
    shop.settle()
    assert shop.wrote("stripe")["payment_intents"] == 1
    assert AuctionBid.objects.get().state == "leading"
    assert auction.broken(OPEN) == []


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"lot": "L-9999"}, 404, "lot_unknown"),
        ({"lot": OVER}, 422, "lot_closed"),
        ({"lot": TO_COME}, 422, "lot_not_open"),
        ({"lot": DOLLARS}, 422, "currency_mismatch"),
        ({"bidder": "nobody"}, 422, "customer_unknown"),
        ({"bidder": BLOCKED}, 422, "customer_blocked"),
        ({"bidder": EXHAUSTED}, 422, "bidder_limit_exceeded"),
        ({"currency": "EURO"}, 422, "currency_unknown"),
        ({"amount": f"{START}.001"}, 422, "amount_precision"),
        ({"amount": "0"}, 400, "bad_input"),
        ({"amount": 100}, 400, "bad_input"),
        ({"amount": "-1"}, 400, "bad_input"),
        ({"surprise": 1}, 400, "bad_input"),
    ],
)
def test_bad_bids_are_refused_by_a_stable_code_and_send_nothing(
    shop: Market, change: dict[str, Any], status: int, code: str
) -> None:
    given = {"bidder": A, "amount": f"{START}", **change}
    if code == "bidder_limit_exceeded":
        given["amount"] = "1000"
    found, said = bid(shop, given.pop("bidder"), given.pop("amount"), **given) if isinstance(
        given.get("amount"), str
    ) else shop.send(f"lots/{OPEN}/bids", given)  # fmt: skip
    assert (found, said["code"]) == (status, code), said
    assert shop.wrote() == {}
    assert AuctionBid.objects.count() == 0


def test_a_declined_card_is_a_refusal_with_the_bank_s_reason(shop: Market) -> None:
    status, said = bid(shop, A, START, payment_method="pm_card_chargeDeclined")
    assert (status, said["code"]) == (422, "card_declined"), said
    assert AuctionBid.objects.count() == 0


def test_a_caller_bids_only_for_whom_it_has_a_mandate(shop: Market) -> None:
    Mandate.objects.create(caller=_caller(shop), customer=B)
    assert bid(shop, A, START)[1]["code"] == "customer_not_allowed"
    assert bid(shop, B, START)[0] == 201
    other = issue_key("other", ["write:bid"])
    assert bid(shop, A, START + STEP, authority=other)[0] == 201


def test_bids_take_their_scope(shop: Market) -> None:
    assert bid(shop, A, START, authority=issue_key("reader", ["read:*"]))[0] == 403


def test_a_write_that_finds_all_turns_taken_is_accepted_and_left_to_the_drain(
    shop: Market,
) -> None:
    for _ in range(lanes.WRITES_AT_ONCE):
        lanes.writing.acquire()
    try:
        status, said = bid(shop, A, START, key="later")
        assert (status, list(said)) == (202, ["command", "links"])
        read = Inside(0).request(
            "GET", f"/api/v1/lots/{OPEN}", headers={"Authorization": f"Bearer {shop.key}"}
        )
        assert read.status == 200
    finally:
        for _ in range(lanes.WRITES_AT_ONCE):
            lanes.writing.release()
    command = ledger.claim()
    assert command is not None
    assert command.reference == said["command"]
    go_on(command)
    assert bid(shop, A, START, key="later")[0] == 201


def _caller(shop: Market) -> str:
    """The holder's name, as commands show it."""
    bid(shop, A, "1")
    return Command.objects.latest("id").caller
