"""Scripted faults, as a client of the warehouse or the ERP meets them."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from connectors.sandbox.server import SandboxServer
from tests.sandboxes import set_fault

WMS = {"Authorization": "Bearer wms-sandbox-token"}
SAP = ("HEADWATER", "sandbox-sap")


def stock(sandbox: SandboxServer, **query: Any) -> requests.Response:
    return requests.get(f"{sandbox.url}/wms/api/v1/stock", query, headers=WMS, timeout=5)


def items(sandbox: SandboxServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stock(sandbox).json()["items"]
    return found


def test_down_closes_the_connection(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "wms", kind="down", count=1)
    with pytest.raises(requests.ConnectionError):
        stock(sandbox)
    assert stock(sandbox).status_code == 200


def test_a_fault_begins_after_some_requests_and_ends_after_some(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "wms", kind="server_error", after=2, count=2, status=502)
    assert [stock(sandbox).status_code for _ in range(6)] == [200, 200, 502, 502, 200, 200]


def test_a_fault_of_one_system_leaves_the_others_alone(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "sap", kind="server_error")
    assert stock(sandbox).status_code == 200


@pytest.mark.parametrize("wait", [2, 2.5, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_rate_limit_says_when_to_come_back(sandbox: SandboxServer, wait: float | str) -> None:
    set_fault(sandbox.url, "wms", kind="rate_limited", retry_after=wait)
    refused = stock(sandbox)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == str(wait)


def test_slow_is_slow_and_then_right(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "wms", kind="slow", seconds=0.3)
    answer = stock(sandbox)
    assert answer.elapsed.total_seconds() >= 0.3
    assert answer.json()["items"]


def test_truncated_promises_more_than_it_sends(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "wms", kind="truncated")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        stock(sandbox)


def test_garbage_is_a_page_with_status_200(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "wms", kind="garbage")
    answer = stock(sandbox)
    assert answer.status_code == 200
    assert answer.text.startswith("<!DOCTYPE html>")


def test_oversized_is_as_large_as_asked_for(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "wms", kind="oversized", megabytes=3)
    answer = stock(sandbox)
    assert len(answer.content) > 3 * 1024 * 1024
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_a_stuck_cursor_leads_to_the_same_page_for_ever(sandbox: SandboxServer) -> None:
    first = stock(sandbox, limit=10).json()
    set_fault(sandbox.url, "wms", kind="stuck_cursor")
    cursor = first["next_cursor"]
    for _ in range(3):
        assert stock(sandbox, limit=10, cursor=cursor).json()["next_cursor"] == cursor


def test_pages_that_overlap_end_all_the_same(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "wms", kind="overlapping_pages")
    seen, cursor = list[str](), None
    while True:
        page = stock(sandbox, limit=1000, **({"cursor": cursor} if cursor else {})).json()
        seen += [f"{item['warehouse']}/{item['sku']}" for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) > len(set(seen)) == sandbox.sandbox.world.variant_count() * 2


def test_a_renamed_and_a_retyped_field(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "wms", kind="renamed_field", field="on_hand", to="onHand")
    assert all("onHand" in item and "on_hand" not in item for item in items(sandbox))
    set_fault(sandbox.url, "wms", kind="retyped_field", field="on_hand")
    assert all(isinstance(item["on_hand"], str) for item in items(sandbox))
    requests.delete(f"{sandbox.url}/_control/faults/wms", timeout=5)
    assert all(isinstance(item["on_hand"], int) for item in items(sandbox))


def test_a_field_inside_a_record_can_be_renamed(sandbox: SandboxServer) -> None:
    field = "to_SlsPrcgConditionRecord.ConditionRateValue"
    set_fault(sandbox.url, "sap", kind="renamed_field", field=field, to="Amount")
    answer = requests.get(
        f"{sandbox.url}/sap/opu/odata/sap/API_SLSPRICINGCONDITIONRECORD_SRV/"
        "A_SlsPrcgCndnRecdValidity?$top=1&$expand=to_SlsPrcgConditionRecord",
        auth=SAP,
        timeout=5,
    )
    inner = answer.json()["d"]["results"][0]["to_SlsPrcgConditionRecord"]
    assert "Amount" in inner
    assert "ConditionRateValue" not in inner


def test_sap_in_maintenance_answers_in_html(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "sap", kind="server_error")
    address = f"{sandbox.url}/sap/opu/odata/sap/API_PRODUCT_SRV/A_Product"
    answer = requests.get(address, auth=SAP, timeout=5)
    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith("text/html")


def test_an_expired_token_stays_expired_until_a_new_one_is_fetched(sandbox: SandboxServer) -> None:
    grant = {"grant_type": "client_credentials", "client_id": "headwater",
             "client_secret": "sandbox-salesforce"}  # fmt: skip

    def token() -> dict[str, str]:
        address = f"{sandbox.url}/services/oauth2/token"
        answer = requests.post(address, grant, timeout=5)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    address = f"{sandbox.url}/services/data/v60.0/query"
    query = {"q": "SELECT Id FROM Account LIMIT 1"}
    old = token()
    assert requests.get(address, query, headers=old, timeout=5).status_code == 200
    set_fault(sandbox.url, "salesforce", kind="unauthorized", count=1)
    assert requests.get(address, query, headers=old, timeout=5).status_code == 401
    assert requests.get(address, query, headers=old, timeout=5).status_code == 401
    assert requests.get(address, query, headers=token(), timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"kind": "gremlins"}, "kind must be one of"),
        ({"kind": "slow", "speed": 3}, "unknown member speed"),
        ({"kind": "down", "count": -1}, "count must be a whole number"),
        ({"kind": "down", "after": "soon"}, "after must be a whole number"),
        ({"kind": "slow", "seconds": 1e9}, "seconds must lie between"),
        ({"kind": "renamed_field"}, "renamed_field needs a field"),
        (["down"], "a fault is a JSON object"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_by_name(
    sandbox: SandboxServer, fault: Any, named: str
) -> None:
    answer = requests.put(f"{sandbox.url}/_control/faults/wms", json=fault, timeout=5)
    assert answer.status_code == 400
    assert named in answer.json()["error"]
    assert requests.get(f"{sandbox.url}/_control/faults", timeout=5).json() == {}


def adjust(sandbox: SandboxServer, on_hand: int) -> requests.Response:
    address = f"{sandbox.url}/wms/api/v1/stock/AMS/P-000003-02"
    return requests.put(address, json={"on_hand": on_hand}, headers=WMS, timeout=5)


def on_hand(sandbox: SandboxServer) -> int:
    address = f"{sandbox.url}/wms/api/v1/stock/AMS/P-000003-02"
    return int(requests.get(address, headers=WMS, timeout=5).json()["on_hand"])


def test_a_lost_answer_is_of_a_write_that_was_done(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "wms", kind="answer_lost", seconds=0, count=1)
    with pytest.raises(requests.ConnectionError):
        adjust(sandbox, 41)
    assert on_hand(sandbox) == 41
    assert adjust(sandbox, 42).status_code == 200


def test_a_late_answer_comes_after_the_caller_gave_up(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "wms", kind="answer_lost", seconds=1.5)
    address = f"{sandbox.url}/wms/api/v1/stock/AMS/P-000003-02"
    with pytest.raises(requests.ReadTimeout):
        requests.put(address, json={"on_hand": 43}, headers=WMS, timeout=0.3)
    assert on_hand(sandbox) == 43


def test_a_share_of_the_writes_is_hit_and_the_same_ones_each_time(sandbox: SandboxServer) -> None:
    def met() -> list[int]:
        set_fault(sandbox.url, "wms", kind="answer_lost", seconds=0, share=0.5, seed=7)
        lost = []
        for n in range(20):
            try:
                adjust(sandbox, n)
            except requests.ConnectionError:
                lost.append(n)
        return lost

    first = met()
    assert 0 < len(first) < 20
    assert met() == first


@pytest.mark.parametrize("share", [0, 1.5, "half", True])
def test_a_share_that_makes_no_sense_is_refused(sandbox: SandboxServer, share: object) -> None:
    answer = requests.put(
        f"{sandbox.url}/_control/faults/wms", json={"kind": "down", "share": share}, timeout=5
    )
    assert answer.status_code == 400
    assert "share" in answer.json()["error"]


def test_every_answer_takes_as_long_as_is_set(sandbox: SandboxServer) -> None:
    latency = f"{sandbox.url}/_control/latency"
    requests.put(f"{latency}/wms", json={"milliseconds": 80}, timeout=5).raise_for_status()
    assert stock(sandbox, limit=1).elapsed.total_seconds() >= 0.08
    assert requests.get(latency, timeout=5).json() == {"wms": 80}
    refused = requests.put(f"{latency}/wms", json={"milliseconds": -1}, timeout=5)
    assert refused.status_code == 400
