"""Writes over GraphQL: the same commands, keys and codes as over REST, and problems as data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import pytest

from connectors.models import AuctionBid, Command
from connectors.sandbox.world import World
from hub.auth.keys import issue_key
from tests import bidding, market
from tests.market import Market
from tests.web import Inside

pytestmark = pytest.mark.django_db(transaction=True)

A, B = islice(bidding.solvent(market.PRODUCTS, 20_000), 2)
START = World(market.PRODUCTS).lot(0).start_minor // 100
BID = """
mutation Bid($input: PlaceBidInput!, $key: String) {
  placeBid(input: $input, idempotencyKey: $key) {
    command { reference state link replayed }
    result { bid status amount }
    problem { code status detail errors { parameter detail } members }
  }
}"""
ORDER = """
mutation {
  placeOrder(idempotencyKey: "an-order", input: {
    customer: "%s", market: "DE", currency: "EUR", paymentMethod: "pm_card_visa",
    lines: [{sku: "P-000001-01", quantity: 1, unitPrice: "0.01"}, {sku: "no", quantity: 0, unitPrice: "1"}]
  }) { command { reference } result { order reservations } problem { code errors { parameter } } }
}"""


@pytest.fixture
def shop() -> Iterator[Market]:
    with market.opened() as opened:
        yield opened


def ask(shop: Market, query: str, variables: Any = None, **headers: str) -> tuple[int, Any]:
    told = {"Authorization": f"Bearer {shop.key}", "Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    body = json.dumps({"query": query, "variables": variables}).encode()
    answer = Inside(0).request("POST", "/graphql", body, told)
    return answer.status, json.loads(answer.body)


def bid(shop: Market, bidder: str, amount: Any, key: str | None, **headers: str) -> Any:
    given = {
        "lot": "L-0001", "bidder": bidder, "amount": f"{amount}", "currency": "EUR",
        "paymentMethod": "pm_card_visa",
    }  # fmt: skip
    status, said = ask(shop, BID, {"input": given, "key": key}, **headers)
    assert status == 200, said
    return said["data"]["placeBid"]


def test_a_bid_by_mutation_is_the_command_that_rest_makes(shop: Market) -> None:
    first = bid(shop, A, START, "a-key")
    assert first["problem"] is None
    assert first["result"] == {"bid": "L-0001/1", "status": "leading", "amount": f"{START}"}
    command = Command.objects.get()
    assert first["command"] == {
        "reference": command.reference, "state": command.state, "replayed": False,
        "link": f"/api/v1/commands/{command.reference}",
    }  # fmt: skip
    again = bid(shop, A, START, None, Idempotency_Key='"a-key"')
    assert again["result"] == first["result"]
    assert again["command"]["replayed"]
    body = {
        "bidder": A, "amount": f"{START}", "currency": "EUR", "payment_method": "pm_card_visa",
    }  # fmt: skip
    assert shop.send("lots/L-0001/bids", body, key="a-key")[1]["bid"] == "L-0001/1"

    before = shop.wrote()
    low = bid(shop, B, START, "another")
    assert (low["result"], low["problem"]["code"], low["problem"]["status"]) == (
        None, "bid_too_low", 422,
    )  # fmt: skip
    assert low["problem"]["members"]["current_price"] == f"{START}.00"
    assert low["problem"]["errors"][0]["parameter"] == "amount"
    for code, key, amount in (
        ("idempotency_key_missing", None, START), ("idempotency_key_reused", "a-key", START + 1),
        ("bad_input", "new", "0"),
    ):  # fmt: skip
        said = bid(shop, A, amount, key)
        assert (said["command"], said["problem"]["code"]) == (None, code)
    assert shop.wrote() == before
    assert AuctionBid.objects.count() == 1


def test_who_may_not_write_or_asks_otherwise_makes_nothing(shop: Market) -> None:
    _, said = ask(shop, ORDER % A)
    problem = said["data"]["placeOrder"]["problem"]
    assert problem["code"] == "bad_input"
    assert [one["parameter"] for one in problem["errors"]] == ["lines.1.quantity"]

    reader = {"Authorization": f"Bearer {issue_key('reader', ['read:*'])}"}
    status, said = ask(shop, ORDER % A, **reader)
    assert (status, said["errors"][0]["extensions"]["code"]) == (403, "forbidden")
    told = {"Authorization": f"Bearer {shop.key}"}
    answer = Inside(0).request("GET", f"/graphql?{urlencode({'query': ORDER % A})}", headers=told)
    assert b"placeOrder" not in answer.body or b"by POST" in answer.body
    assert Command.objects.count() == 0
    assert shop.wrote() == {}
