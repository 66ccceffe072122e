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
    names, began = sorted(room.least), time.monotonic() + 0.2
    local = threading.local()

    def one(number: int) -> Answered:
        dice = Random(seed * 1_000_003 + number)
        if rate is not None:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
        lot, bidder = names[number % len(names)], dice.choice(bidders)
        amount = room.least[lot] + room.increment * dice.choice((0, 0, 0, 1, 2))
        body = {
            "bidder": bidder, "amount": f"{amount:.2f}", "currency": "EUR", "payment_method": METHOD,
        }  # fmt: skip
        due = None if rate is None else began + number / rate
        return _asked(local, port, key, room, f"bid-{seed}-{number}", number, lot, body, due)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(count)))


def _asked(
    local: threading.local,
    port: int,
    key: str,
    room: Room,
    idempotency_key: str,
    number: int,
    lot: str,
    body: Mapping[str, str],
    due: float | None,
) -> Answered:
    headers = {
        "Authorization": f"Bearer {key}", "Content-Type": "application/json",
        "Idempotency-Key": idempotency_key,
    }  # fmt: skip
    raw, path = json.dumps(body).encode(), f"/api/v1/lots/{lot}/bids"
    first = time.monotonic()
    for tries in range(1, 10_000):
        # From when it was to be sent: what waits for a connection counts.
        sent = due if due is not None and tries == 1 else time.monotonic()
        status, said = _exchange(local, port, path, raw, headers)
        definite = status not in {0, 202, 409, 429} and not (
            status == 503 and said.get("code") != "upstream.circuit_open"
        )
        if definite:
            room.hear(lot, said)
            return Answered(
                number, lot, body["bidder"], Decimal(body["amount"]), status,
                said.get("code") or said.get("status", ""), time.monotonic() - sent, tries,
                said.get("command", ""),
            )  # fmt: skip
        if time.monotonic() - first > PATIENCE_SECONDS:
            raise TimeoutError(f"bid {number} has no definite answer: {status} {said}")
        time.sleep(0.2)
    raise AssertionError


def _exchange(
    local: threading.local, port: int, path: str, raw: bytes, headers: Mapping[str, str]
) -> tuple[int, dict[str, Any]]:
    """Status and JSON; status 0 where the connection broke."""
    link: http.client.HTTPConnection | None = getattr(local, "link", None)
    if link is None:
        link = local.link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        link.request("POST", path, raw, dict(headers))
        answer = link.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    except (OSError, http.client.HTTPException, ValueError):
        link.close()
        local.link = None
        return 0, {}
