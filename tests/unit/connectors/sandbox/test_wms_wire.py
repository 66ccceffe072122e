"""The simulated warehouse, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from connectors.sandbox.server import SandboxServer

HEADERS = {"Authorization": "Bearer wms-sandbox-token"}


def call(sandbox: SandboxServer, path: str, method: str = "GET", **more: Any) -> requests.Response:
    address = f"{sandbox.url}/wms/api/v1/{path}"
    return requests.request(method, address, headers=HEADERS, timeout=5, **more)


def test_every_shelf_comes_once(sandbox: SandboxServer) -> None:
    seen, cursor = list[str](), None
    while True:
        page = call(sandbox, "stock", params={"limit": 333, "cursor": cursor}).json()
        seen += [f"{item['warehouse']}/{item['sku']}" for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == sandbox.sandbox.world.variant_count() * 2


def test_a_level_is_what_the_world_holds(sandbox: SandboxServer) -> None:
    level = call(sandbox, "stock/LYS/P-000003-02").json()
    world = sandbox.sandbox.world
    j = world.variant_index("P-000003-02")
    assert j is not None
    assert level["on_hand"] == world.on_hand(j, "LYS")
    assert level["available"] == level["on_hand"] - level["reserved"]
    assert call(sandbox, "stock/LYS/P-000003-09").status_code == 404
    assert call(sandbox, "stock/XXX/P-000003-02").status_code == 404


def test_a_sku_has_its_levels_in_one_answer(sandbox: SandboxServer) -> None:
    found = call(sandbox, "stock", params={"sku": "P-000003-02"}).json()["items"]
    assert [level["warehouse"] for level in found] == ["AMS", "LYS"]
    assert call(sandbox, "stock", params={"sku": "NONE"}).json()["items"] == []


def test_an_adjustment_is_stamped_and_found_as_changed(sandbox: SandboxServer) -> None:
    adjusted = call(sandbox, "stock/AMS/P-000003-02", "PUT", json={"on_hand": 77}).json()
    changed = call(sandbox, "stock", params={"changed_since": "2026-01-01T00:00:00Z"}).json()
    assert changed["items"] == [adjusted]
    since = {"changed_since": adjusted["updated_at"]}
    assert call(sandbox, "stock", params=since).json()["items"] == [adjusted]


@pytest.mark.parametrize("body", [{"on_hand": -1}, {"on_hand": "7"}, {"shelf": 3}, [], "x", None])
def test_an_adjustment_that_makes_no_sense_is_refused(sandbox: SandboxServer, body: Any) -> None:
    answer = call(sandbox, "stock/AMS/P-000003-02", "PUT", json=body)
    assert answer.status_code in {400, 422}
    assert answer.json()["error"]["message"]


def test_a_body_that_is_not_json_is_400(sandbox: SandboxServer) -> None:
    assert call(sandbox, "stock/AMS/P-000003-02", "PUT", data=b"{").status_code == 400


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"cursor": "%%%"}, {"cursor": "eA=="},
     {"changed_since": "yesterday"}],
)  # fmt: skip
def test_a_bad_parameter_is_400(sandbox: SandboxServer, query: dict[str, Any]) -> None:
    answer = call(sandbox, "stock", params=query)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_each_answer_tells_what_is_left_of_the_limit(sandbox: SandboxServer) -> None:
    first, second = (call(sandbox, "warehouses").headers["RateLimit"] for _ in range(2))
    assert first != second
    assert ";r=" in first


def test_a_token_is_needed(sandbox: SandboxServer) -> None:
    assert requests.get(f"{sandbox.url}/wms/api/v1/warehouses", timeout=5).status_code == 401


def test_the_warehouses_have_names(sandbox: SandboxServer) -> None:
    assert [w["code"] for w in call(sandbox, "warehouses").json()["items"]] == ["AMS", "LYS"]
