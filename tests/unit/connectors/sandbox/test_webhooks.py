"""Deliveries: signed, tried again, ended, and never in the way of the one who changes something."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook

from connectors.sandbox import webhooks
from connectors.sandbox.server import SandboxServer
from connectors.sandbox.signing import STANDARD_SECRET
from tests.sandboxes import receiving, running


def change_stock(sandbox: SandboxServer, on_hand: int = 5) -> None:
    body = {"sku": "P-000001-01", "on_hand": on_hand}
    requests.post(f"{sandbox.url}/_control/stock", json=body, timeout=5).raise_for_status()


def change_price(sandbox: SandboxServer) -> None:
    body = {"sku": "P-000001-01", "amount": "9.90"}
    requests.post(f"{sandbox.url}/_control/price", json=body, timeout=5).raise_for_status()


def deliveries(sandbox: SandboxServer) -> list[dict[str, Any]]:
    log: list[dict[str, Any]] = requests.get(
        f"{sandbox.url}/_control/deliveries", timeout=5
    ).json()["deliveries"]
    return log


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("system", "change", "expected"),
    [("wms", change_stock, "stock.changed"), ("sap", change_price, "slspricingconditionrecord")],
)
def test_a_delivery_verifies_with_an_independent_library(
    sandbox: SandboxServer, system: str, change: Callable[[SandboxServer], None], expected: str
) -> None:
    with receiving(sandbox.url, system) as receiver:
        change(sandbox)
        headers, body = receiver.next()
    Webhook(STANDARD_SECRET).verify(body, dict(headers.items()))
    assert expected in json.loads(body)["type"]


def test_sap_s_events_carry_keys_only(sandbox: SandboxServer) -> None:
    with receiving(sandbox.url, "sap") as receiver:
        change_price(sandbox)
        _, body = receiver.next()
    assert json.loads(body)["data"] == {"ConditionRecord": "0000000001"}


def test_nobody_listens_nothing_is_kept(sandbox: SandboxServer) -> None:
    before = len(deliveries(sandbox))
    change_stock(sandbox)
    assert len(deliveries(sandbox)) == before


def test_a_subscriber_that_comes_up_late_gets_the_same_message(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "RETRY_AFTER_SECONDS", (0.05,) * 50)
    with receiving(sandbox.url, "wms") as receiver:
        target = f"{sandbox.url}/_control/subscriptions/wms"
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
        requests.put(target, json={"url": f"http://127.0.0.1:{port}/hook"}, timeout=5)
        change_stock(sandbox)
        eventually(lambda: deliveries(sandbox)[0]["attempts"] > 1)
        assert "refused" in deliveries(sandbox)[0]["error"].lower()
        sandbox.sandbox.webhooks.log[-1].url = receiver.url
        headers, _ = receiver.next()
    assert headers["webhook-id"] == f"msg_wms_{deliveries(sandbox)[0]['at_ms']}"
    eventually(lambda: deliveries(sandbox)[0]["state"] == "delivered")


def test_a_subscriber_that_never_takes_it_is_given_up(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "RETRY_AFTER_SECONDS", (0.01, 0.01))
    target = f"{sandbox.url}/_control/subscriptions/wms"
    requests.put(target, json={"url": f"{sandbox.url}/_control/price"}, timeout=5)  # answers 400
    change_stock(sandbox)
    eventually(lambda: deliveries(sandbox)[0]["state"] == "failed")
    last = deliveries(sandbox)[0]
    assert (last["attempts"], last["status"]) == (3, 400)


def test_a_subscription_survives_a_restart_and_ends_when_deleted(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/hook"
    with running(20, tmp_path) as server:
        target = f"{server.url}/_control/subscriptions/wms"
        requests.put(target, json={"url": url}, timeout=5).raise_for_status()
    with running(20, tmp_path) as server:
        subscriptions = f"{server.url}/_control/subscriptions"
        assert requests.get(subscriptions, timeout=5).json() == {"wms": url}
        requests.delete(f"{subscriptions}/wms", timeout=5)
        assert requests.get(subscriptions, timeout=5).json() == {}


@pytest.mark.parametrize("body", [{"url": "file:///etc/passwd"}, {"url": 3}, {}, [], {"url": "x"}])
def test_only_an_http_address_can_subscribe(sandbox: SandboxServer, body: Any) -> None:
    target = f"{sandbox.url}/_control/subscriptions/wms"
    assert requests.put(target, json=body, timeout=5).status_code == 400
