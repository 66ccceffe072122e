"""Every kind of fault on the wire, at every system, seen by a client that knows nothing of them."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from connectors.sandbox.faults import WIRE_KINDS, WRITE_KINDS
from connectors.sandbox.server import SandboxServer
from tests.sandboxes import set_fault

#: A list of each system. What a caller without a token gets there is no matter: faults come first.
LISTS = {
    "sap": "/sap/opu/odata/sap/API_PRODUCT_SRV/A_Product?$top=3",
    "akeneo": "/api/rest/v1/products?limit=3",
    "salesforce": "/services/data/v60.0/query?q=SELECT+Id+FROM+Account+LIMIT+3",
    "stripe": "/v1/customers?limit=3",
    "wms": "/wms/api/v1/stock?limit=3",
}
AUTH = {
    "sap": {"Authorization": "Basic SEVBRFdBVEVSOnNhbmRib3gtc2Fw"},
    "stripe": {"Authorization": "Bearer sk_test_headwater"},
    "wms": {"Authorization": "Bearer wms-sandbox-token"},
}
STATUS = {"rate_limited": 429, "unauthorized": 401, "server_error": 503, "garbage": 200}
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def ask(sandbox: SandboxServer, system: str) -> requests.Response:
    return requests.get(sandbox.url + LISTS[system], headers=AUTH.get(system), timeout=10)


@pytest.mark.parametrize("system", LISTS)
@pytest.mark.parametrize("kind", sorted(WIRE_KINDS.keys() - WRITE_KINDS))
def test_it_strikes_once_and_is_over(sandbox: SandboxServer, system: str, kind: str) -> None:
    healthy = ask(sandbox, system)
    details: dict[str, Any] = {"slow": {"seconds": 0.2}, "oversized": {"megabytes": 2}}
    set_fault(sandbox.url, system, kind=kind, count=1, **details.get(kind, {}))
    if kind in ("down", "truncated"):
        with pytest.raises(BROKEN):
            ask(sandbox, system)
    else:
        struck = ask(sandbox, system)
        assert struck.status_code == STATUS.get(kind, healthy.status_code)
        assert ("Retry-After" in struck.headers) == (kind == "rate_limited")
        assert (len(struck.content) > 2 * 1024 * 1024) == (kind == "oversized")
        if kind == "garbage":
            assert struck.text.startswith("<!DOCTYPE html>")
        if kind == "slow":
            assert struck.elapsed.total_seconds() >= 0.2
    assert ask(sandbox, system).status_code == healthy.status_code


@pytest.mark.parametrize("system", LISTS)
@pytest.mark.parametrize("kind", sorted(WRITE_KINDS))
def test_a_fault_of_writes_hits_no_read(sandbox: SandboxServer, system: str, kind: str) -> None:
    set_fault(sandbox.url, system, kind=kind, seconds=0)
    ask(sandbox, system)
    faults = requests.get(f"{sandbox.url}/_control/faults", timeout=5).json()
    assert faults[system]["hits"] == 0
