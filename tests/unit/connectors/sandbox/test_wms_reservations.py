"""Reservations of the simulated warehouse, over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from connectors.sandbox.server import SandboxServer
from tests.sandboxes import running

HEADERS = {"Authorization": "Bearer wms-sandbox-token"}
SKU = "P-000003-02"


def call(sandbox: SandboxServer, path: str, method: str = "GET", **more: Any) -> requests.Response:
    address = f"{sandbox.url}/wms/api/v1/{path}"
    return requests.request(method, address, headers=HEADERS, timeout=5, **more)


def reserve(sandbox: SandboxServer, quantity: int = 2, **more: Any) -> requests.Response:
    body = {"reference": "cmd_1.reserve", "sku": SKU, "quantity": quantity, **more}
    return call(sandbox, "reservations", "POST", json=body)


def level(sandbox: SandboxServer, warehouse: str = "AMS") -> dict[str, Any]:
    found: dict[str, Any] = call(sandbox, f"stock/{warehouse}/{SKU}").json()
    return found


def stocked(sandbox: SandboxServer, **on_hand: int) -> None:
    for warehouse, pieces in on_hand.items():
        body = {"on_hand": pieces, "reserved": 0}
        call(sandbox, f"stock/{warehouse}/{SKU}", "PUT", json=body).raise_for_status()


def test_a_reservation_takes_what_is_available_and_gives_it_back(sandbox: SandboxServer) -> None:
    stocked(sandbox, AMS=10)
    answer = reserve(sandbox, 4, warehouse="AMS")
    assert answer.status_code == 201
    made = answer.json()
    assert (made["warehouse"], made["quantity"], made["status"]) == ("AMS", 4, "active")
    assert (level(sandbox)["reserved"], level(sandbox)["available"]) == (4, 6)
    path = f"reservations/{made['id']}"
    assert answer.headers["Location"].endswith(path)
    assert call(sandbox, path).json() == made
    for _ in range(2):  # the second time, nothing is left to do
        assert call(sandbox, path, "DELETE").status_code == 204
    assert (level(sandbox)["reserved"], level(sandbox)["available"]) == (0, 10)
    assert call(sandbox, path).json()["status"] == "released"


def test_what_is_not_there_is_not_reserved(sandbox: SandboxServer) -> None:
    stocked(sandbox, AMS=3, LYS=1)
    refused = reserve(sandbox, 4)
    assert refused.status_code == 409
    error = refused.json()["error"]
    assert error["code"] == "insufficient_stock"
    assert (error["requested"], error["available"]) == (4, {"AMS": 3, "LYS": 1})
    assert level(sandbox)["reserved"] == 0
    assert call(sandbox, "reservations?reference=cmd_1.reserve").json()["items"] == []


def test_without_a_warehouse_it_is_where_most_is(sandbox: SandboxServer) -> None:
    stocked(sandbox, AMS=3, LYS=8)
    assert reserve(sandbox, 1).json()["warehouse"] == "LYS"


def test_each_request_makes_one_and_the_reference_finds_them_all(sandbox: SandboxServer) -> None:
    stocked(sandbox, AMS=10)
    first, second = (reserve(sandbox, 1, warehouse="AMS").json()["id"] for _ in range(2))
    assert first != second
    found = call(sandbox, "reservations?reference=cmd_1.reserve").json()["items"]
    assert [one["id"] for one in found] == [first, second]
    told = requests.get(f"{sandbox.url}/_control/references/wms", timeout=5).json()
    assert told == {"references": {"reservations": {"cmd_1.reserve": 2}}}


def test_those_that_changed_since_are_listed(sandbox: SandboxServer) -> None:
    stocked(sandbox, AMS=10)
    first, second = (reserve(sandbox, 1, warehouse="AMS").json() for _ in range(2))
    call(sandbox, f"reservations/{first['id']}", "DELETE")
    page = call(sandbox, "reservations", params={"limit": 1}).json()
    assert [one["id"] for one in page["items"]] == [second["id"]]
    rest = call(sandbox, "reservations", params={"cursor": page["next_cursor"]}).json()
    assert [(one["id"], one["status"]) for one in rest["items"]] == [(first["id"], "released")]


def test_many_at_once_never_take_more_than_there_is(sandbox: SandboxServer) -> None:
    stocked(sandbox, AMS=5)
    with ThreadPoolExecutor(8) as pool:
        codes = list(
            pool.map(
                lambda n: reserve(sandbox, 1, warehouse="AMS", reference=f"r{n}").status_code,
                range(12),
            )
        )
    assert sorted(codes) == [201] * 5 + [409] * 7
    assert level(sandbox)["available"] == 0


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"sku": "NONE"}, 404, "NONE"),
        ({"quantity": 0}, 422, "quantity"),
        ({"quantity": 1.5}, 422, "quantity"),
        ({"quantity": True}, 422, "quantity"),
        ({"reference": ""}, 422, "reference"),
        ({"reference": "x" * 65}, 422, "reference"),
        ({"warehouse": "BER"}, 422, "warehouse"),
        ({"shelf": 3}, 422, "shelf"),
    ],
)
def test_a_request_that_makes_no_sense_says_which_member(
    sandbox: SandboxServer, more: dict[str, Any], status: int, says: str
) -> None:
    body = {"reference": "r", "sku": SKU, "quantity": 1} | more
    refused = call(sandbox, "reservations", "POST", json=body)
    assert refused.status_code == status
    assert says in refused.json()["error"]["message"]


def test_what_was_never_made_is_not_found(sandbox: SandboxServer) -> None:
    assert call(sandbox, "reservations/RSV-1").status_code == 404
    assert call(sandbox, "reservations/RSV-1", "DELETE").status_code == 404


def test_a_restart_keeps_reservation_and_level_together(tmp_path: Any) -> None:
    with running(60, tmp_path) as server:
        stocked(server, AMS=9)
        made = reserve(server, 2, warehouse="AMS").json()
    with running(60, tmp_path) as server:
        assert level(server)["reserved"] == 2
        assert call(server, f"reservations/{made['id']}").json() == made
        assert reserve(server, 1).json()["id"] > made["id"]
