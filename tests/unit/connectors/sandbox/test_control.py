"""The control API: what a person or a script changes there shows in the systems."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from connectors.sandbox.server import SandboxServer

WMS = {"Authorization": "Bearer wms-sandbox-token"}
SAP = ("HEADWATER", "sandbox-sap")


def control(sandbox: SandboxServer, path: str, **body: Any) -> requests.Response:
    return requests.post(f"{sandbox.url}/_control/{path}", json=body, timeout=5)


def test_the_page_carries_all_it_needs(sandbox: SandboxServer) -> None:
    page = requests.get(sandbox.url, timeout=5)
    assert page.url.endswith("/_control/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<h1>Sandbox</h1>" in page.text
    assert " src=" not in page.text
    assert "@import" not in page.text


def test_the_state_tells_what_each_system_holds(sandbox: SandboxServer) -> None:
    state = requests.get(f"{sandbox.url}/_control/state", timeout=5).json()
    assert list(state["systems"]) == ["sap", "akeneo", "salesforce", "stripe", "wms"]
    assert state["systems"]["wms"]["collections"]["stock"]["count"] == state["variants"] * 2
    assert state["systems"]["wms"]["fault"] is None


def test_a_price_changed_here_is_what_sap_says(sandbox: SandboxServer) -> None:
    answer = control(sandbox, "price", sku="P-000003-02", sales_org="1710", amount="77.7")
    assert answer.status_code == 200
    found = requests.get(
        f"{sandbox.url}/sap/opu/odata/sap/API_SLSPRICINGCONDITIONRECORD_SRV/"
        "A_SlsPrcgCndnRecdValidity?$filter=Material eq 'P-000003-02'"
        "&$expand=to_SlsPrcgConditionRecord",
        auth=SAP,
        timeout=5,
    ).json()["d"]["results"]
    amounts = {
        r["SalesOrganization"]: r["to_SlsPrcgConditionRecord"]["ConditionRateValue"] for r in found
    }
    assert amounts["1710"] == "77.70"
    assert amounts["1010"] != "77.70"


def test_stock_changed_here_keeps_what_is_reserved(sandbox: SandboxServer) -> None:
    control(sandbox, "stock", sku="P-000003-01", warehouse="LYS", on_hand=50)
    address = f"{sandbox.url}/wms/api/v1/stock/LYS/P-000003-01"
    level = requests.get(address, headers=WMS, timeout=5).json()
    assert level["on_hand"] == 50
    assert level["available"] == 50 - level["reserved"]


def test_a_text_changed_here_leaves_the_other_languages(sandbox: SandboxServer) -> None:
    before = requests.get(f"{sandbox.url}/_control/akeneo/product_models/P-000002", timeout=5)
    control(sandbox, "text", code="P-000002", locale="de_DE", text="Zelt für zwei")
    after = requests.get(f"{sandbox.url}/_control/akeneo/product_models/P-000002", timeout=5)
    old = {v["locale"]: v["data"] for v in before.json()["values"]["name"]}
    new = {v["locale"]: v["data"] for v in after.json()["values"]["name"]}
    assert new == old | {"de_DE": "Zelt für zwei"}


def test_touched_records_come_as_changed(sandbox: SandboxServer) -> None:
    address = f"{sandbox.url}/wms/api/v1/stock"
    since = {"changed_since": "2026-01-01T00:00:00Z"}
    assert requests.get(address, since, headers=WMS, timeout=5).json()["items"] == []
    assert control(sandbox, "touch", system="wms", collection="stock", count=7).json() == {
        "touched": 7
    }
    assert len(requests.get(address, since, headers=WMS, timeout=5).json()["items"]) == 7


def test_any_record_can_be_changed_created_and_deleted(sandbox: SandboxServer) -> None:
    changed = control(sandbox, "salesforce/Account/" + account(sandbox), Name="Renamed Ltd")
    assert changed.json()["Name"] == "Renamed Ltd"
    address = f"{sandbox.url}/_control/wms/stock/AMS/P-000001-01"
    assert requests.delete(address, timeout=5).status_code == 204
    assert requests.get(address, timeout=5).status_code == 404
    assert requests.delete(address, timeout=5).status_code == 404


def account(sandbox: SandboxServer) -> str:
    return sandbox.sandbox.world.customer(3).account_id


def test_a_reset_is_the_first_day_again(sandbox: SandboxServer) -> None:
    control(sandbox, "stock", sku="P-000001-01", on_hand=12345)
    control(sandbox, "reset")
    address = f"{sandbox.url}/wms/api/v1/stock/AMS/P-000001-01"
    assert requests.get(address, headers=WMS, timeout=5).json()["on_hand"] != 12345


def test_the_request_log_tells_who_asked_what(sandbox: SandboxServer) -> None:
    headers = WMS | {"X-Correlation-ID": "run-17"}
    requests.get(f"{sandbox.url}/wms/api/v1/stock?limit=3", headers=headers, timeout=5)
    log = requests.get(f"{sandbox.url}/_control/requests?system=wms&limit=1", timeout=5).json()
    (entry,) = log["requests"]
    assert (entry["method"], entry["path"], entry["query"], entry["status"]) == (
        "GET", "/wms/api/v1/stock", "limit=3", 200,
    )  # fmt: skip
    assert entry["correlation_id"] == "run-17"
    assert "wms-sandbox-token" not in str(log)


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("price", {"sku": "P-999999-01", "amount": 1}, "P-999999-01"),
        ("price", {"sku": "P-000001-01", "amount": "cheap"}, "amount"),
        ("price", {"sku": "P-000001-01", "amount": "NaN"}, "amount"),
        ("price", {"amount": 1}, "sku is missing"),
        ("stock", {"sku": "P-000001-01", "warehouse": "MOON", "on_hand": 1}, "MOON"),
        ("text", {"code": "P-9", "text": "x"}, "P-9"),
        ("touch", {"system": "wms", "collection": "nothing"}, "nothing"),
        ("touch", {"system": "wms", "collection": "stock", "count": -1}, "count"),
    ],
)
def test_an_edit_that_cannot_be_made_names_what_is_wrong(
    sandbox: SandboxServer, path: str, body: dict[str, Any], named: str
) -> None:
    answer = control(sandbox, path, **body)
    assert answer.status_code == 400
    assert named in answer.json()["error"]


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"x"'])
def test_a_body_that_is_no_object_is_refused(sandbox: SandboxServer, body: bytes) -> None:
    for path in ("price", "stock", "text", "touch", "wms/stock/AMS/P-000001-01"):
        answer = requests.post(f"{sandbox.url}/_control/{path}", body, timeout=5)
        assert answer.status_code == 400, path


@pytest.mark.parametrize("path", ["_control/nothing", "nothing", "_control/wms/nothing/x",
                                  "_control/erp/stock/x"])  # fmt: skip
def test_what_is_not_there_is_404(sandbox: SandboxServer, path: str) -> None:
    assert requests.get(f"{sandbox.url}/{path}", timeout=5).status_code == 404
