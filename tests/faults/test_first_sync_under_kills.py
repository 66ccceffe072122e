"""The whole house, started as a user does, with its processes killed during the first sync."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from tests.processes import children, free_port

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = 4000
PATIENCE_SECONDS = 240

#: Entity table, and the sandbox collections whose union of keys it must hold in the end.
TABLES = {
    "catalog_product": [("akeneo", "product_models")],
    "catalog_variant": [("akeneo", "products")],
    "catalog_price": [("sap", "A_SlsPrcgCndnRecdValidity")],
    "catalog_stock": [("wms", "stock")],
    "catalog_review": [("salesforce", "Review__c")],
    "catalog_lot": [("salesforce", "Auction_Lot__c")],
    "catalog_customer": [("salesforce", "Account")],
    "catalog_order": [("sap", "A_SalesOrder")],
    "catalog_payment": [("stripe", "payment_intents")],
    "catalog_refund": [("stripe", "refunds")],
    "catalog_payout": [("stripe", "payouts")],
}


@dataclass
class House:
    state: Path
    process: subprocess.Popen[bytes]
    web: int
    sandbox: int

    def pids(self) -> dict[str, int]:
        try:
            found: dict[str, int] = json.loads((self.state / "processes.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return found

    def kill(self, name: str) -> None:
        os.kill(self.pids()[name], signal.SIGKILL)

    def kill_a_cluster_worker(self) -> None:
        """The youngest process of the task cluster."""
        cluster = children(self.pids()["workers"])
        workers = [grandchild for child in cluster for grandchild in children(child)]
        if workers:
            os.kill(max(workers), signal.SIGKILL)

    def database(self) -> psycopg.Connection[Any]:
        services = json.loads((self.state / "services.json").read_text())
        return psycopg.connect(services["DATABASE_URL"], autocommit=True)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    ours = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith("HEADWATER_")
    }
    web, sandbox = free_port(), free_port()
    environment |= {
        "HEADWATER_STATE": str(tmp_path / "state"),
        "HEADWATER_SANDBOX_PRODUCTS": str(PRODUCTS),
        "PORT": str(web),
        "SANDBOX_PORT": str(sandbox),
    }
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "hub.launch", "run", "--stop-with-parent"],
            cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield House(tmp_path / "state", process, web, sandbox)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def wait_for(what: str, house: House, ready: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert house.process.poll() is None, f"the house fell while waiting for {what}"
        if ready():
            return
        time.sleep(0.1)
    pytest.fail(f"no {what} within {PATIENCE_SECONDS} s")


@pytest.mark.skipif(sys.platform != "linux", reason="finds the cluster's workers in /proc")
def test_killed_processes_come_back_and_the_first_sync_ends_with_the_same_rows(
    house: House,
) -> None:
    wait_for("workers", house, lambda: "workers" in house.pids())
    time.sleep(2)
    for victim in ("web", "valkey", "postgres", "workers"):
        house.kill(victim)
        time.sleep(1)
    wait_for("workers again", house, lambda: "workers" in house.pids())
    time.sleep(2)
    house.kill_a_cluster_worker()
    wait_for("card", house, (house.state / "card.json").exists)

    assert requests.get(f"http://127.0.0.1:{house.web}/readyz", timeout=5).status_code == 200
    state = requests.get(f"http://127.0.0.1:{house.sandbox}/_control/state", timeout=5).json()
    with house.database() as database:
        for table, collections in TABLES.items():
            expected = sum(state["systems"][s]["collections"][c]["count"] for s, c in collections)
            rows = database.execute(f"SELECT count(*) FROM {table} WHERE deleted_at IS NULL")  # noqa: S608
            assert rows.fetchone() == (expected,), table
        doubled = database.execute(
            "SELECT count(*) FROM (SELECT entity, key FROM catalog_revision WHERE kind = 'created'"
            " GROUP BY 1, 2 HAVING count(*) > 1) AS twice"
        )
        assert doubled.fetchone() == (0,)
        _a_change_arrives_without_any_pull(house, database)


def _a_change_arrives_without_any_pull(house: House, database: psycopg.Connection[Any]) -> None:
    """A price changed in the ERP is served, and says which event brought it."""
    database.execute("UPDATE connectors_stream SET enabled = false")
    card = json.loads((house.state / "card.json").read_text())
    query = """{ product(sku: "P-000003") { variants { prices {
        amount market provenance { field system event run } } } } }"""
    key = {"Authorization": f"Bearer {card['api_key']}"}
    changed = {"sku": "P-000003-01", "amount": "123.45"}
    requests.post(
        f"http://127.0.0.1:{house.sandbox}/_control/price", json=changed, timeout=5
    ).raise_for_status()

    def price() -> dict[str, Any] | None:
        address = card["urls"]["graphql"]
        answer = requests.post(address, json={"query": query}, headers=key, timeout=10)
        variants = answer.json()["data"]["product"]["variants"]
        prices = [price for variant in variants for price in variant["prices"]]
        return next((p for p in prices if p["amount"] == "123.45"), None)

    wait_for("the new price", house, price)
    shown = price()
    assert shown is not None
    (amount,) = [told for told in shown["provenance"] if told["field"] == "amount"]
    assert (amount["system"], amount["run"]) == ("sap", None)
    assert amount["event"] is not None
