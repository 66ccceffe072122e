"""Many bidders over HTTP: each bid is asked until it has a definite answer, under one key.

Whoever bids goes by the price of the last answer about a lot that anybody had, as a page would show it.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

import requests

from connectors.sandbox.sap_documents import credit_account
from connectors.sandbox.world import World

METHOD = "pm_card_visa"
PATIENCE_SECONDS = 120.0
#: Others bid meanwhile: who bids the least that would do is mostly too late.
MOST_STEPS = 8


@dataclass(frozen=True)
class Answered:
    """The definite answer to one bid. `seconds`: of the exchange that brought it; `tries`: in all."""

    number: int
    lot: str
    bidder: str
    amount: Decimal
    status: int
    code: str
    seconds: float
    tries: int
    command: str


@dataclass
class Room:
    """Where the lots stand, as far as anybody was told."""

    increment: Decimal
    least: dict[str, Decimal]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hear(self, lot: str, said: Mapping[str, Any]) -> None:
        """An answer that names a price."""
        with self.lock:
            if "next_allowed" in said:
                heard = Decimal(said["next_allowed"])
            elif said.get("status") == "leading":
                heard = Decimal(said["amount"]) + self.increment
            else:
                return
            self.least[lot] = max(self.least[lot], heard)


def lots(sandbox: str, numbers: Sequence[str], sku: str, start: str, increment: str) -> None:
    """Prepare open lots in the sandbox's CRM."""
    credentials = {
        "grant_type": "client_credentials", "client_id": "headwater",
        "client_secret": "sandbox-salesforce",
    }  # fmt: skip
    token = requests.post(f"{sandbox}/services/oauth2/token", data=credentials, timeout=10).json()
    for number in numbers:
        made = requests.post(
            f"{sandbox}/services/data/v60.0/sobjects/Auction_Lot__c",
            headers={"Authorization": f"Bearer {token['access_token']}"},
            json={
                "LotNumber__c": number, "Title__c": f"Lot {number}", "ProductSku__c": sku,
                "OpensAt__c": "2026-01-01T00:00:00Z", "ClosesAt__c": "2126-01-01T00:00:00Z",
                "CurrencyIsoCode": "EUR", "StartPrice__c": float(start),
                "BidIncrement__c": float(increment), "Status__c": "Published",
            },
            timeout=10,
        )  # fmt: skip
        made.raise_for_status()


def solvent(products: int, least: int = 2000) -> Iterator[str]:
    """Customers of the sandbox's company who may owe that much, in euros."""
    world = World(products)
    for k in range(world.n_customers):
        account = credit_account(world, k)
        left = Decimal(account["CreditLimitAmount"]) - Decimal(
            account["CustomerCreditExposureAmount"]
        )
        blocked = account["CreditAccountIsBlocked"]
        if account["CreditSegmentCurrency"] == "EUR" and not blocked and left >= least:
            yield account["BusinessPartner"]


def bid(
    port: int,
    key: str,
    room: Room,
    bidders: Sequence[str],
    count: int,
    *,
    threads: int = 32,
    rate: float | None = None,
    seed: int = 1,
) -> list[Answered]:
    """So many bids by these bidders; `rate`: a second, whatever the answers take; None: at once."""
    desk, names = Desk(port, key, room), sorted(room.least)
    began = time.monotonic() + 0.2

    def one(number: int) -> Answered:
        dice = Random(seed * 1_000_003 + number)
        due = None if rate is None else began + number / rate
        if due is not None:
            time.sleep(max(0.0, due - time.monotonic()))
        lot, bidder = names[number % len(names)], dice.choice(bidders)
        amount = room.least[lot] + room.increment * dice.randrange(MOST_STEPS)
        return desk.ask(Asked(number, f"bid-{seed}-{number}", lot, bidder, amount, due))

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(count)))


@dataclass(frozen=True)
class Asked:
    """One bid. `due`: when it was to be sent (time.monotonic); None: when it is."""

    number: int
    idempotency_key: str
    lot: str
    bidder: str
    amount: Decimal
    due: float | None = None


class Desk:
    """Sends bids, over a connection for each thread."""

    def __init__(self, port: int, key: str, room: Room) -> None:
        self._port, self._key, self._room = port, key, room
        self._local = threading.local()

    def ask(self, one: Asked) -> Answered:
        """Until the answer is definite."""
        first = time.monotonic()
        for tries in range(1, 10_000):
            # From when it was to be sent: what waits for a connection counts.
            sent = one.due if one.due is not None and tries == 1 else time.monotonic()
            status, said = self._exchange(one)
            if status not in {0, 202, 409, 429, 503}:
                self._room.hear(one.lot, said)
                return Answered(
                    one.number, one.lot, one.bidder, one.amount, status,
                    said.get("code") or said.get("status", ""), time.monotonic() - sent, tries,
                    said.get("command", ""),
                )  # fmt: skip
            if time.monotonic() - first > PATIENCE_SECONDS:
                raise TimeoutError(f"bid {one.number} has no definite answer: {status} {said}")
            time.sleep(0.2)
        raise AssertionError

    def _exchange(self, one: Asked) -> tuple[int, dict[str, Any]]:
        """Status and JSON; status 0 where the connection broke."""
        link: http.client.HTTPConnection | None = getattr(self._local, "link", None)
        if link is None:
            link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            self._local.link = link
        body = {
            "bidder": one.bidder, "amount": f"{one.amount:.2f}", "currency": "EUR",
            "payment_method": METHOD,
        }  # fmt: skip
        headers = {
            "Authorization": f"Bearer {self._key}", "Content-Type": "application/json",
            "Idempotency-Key": one.idempotency_key,
        }  # fmt: skip
        try:
            link.request("POST", f"/api/v1/lots/{one.lot}/bids", json.dumps(body).encode(), headers)
            answer = link.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError):
            link.close()
            self._local.link = None
            return 0, {}
