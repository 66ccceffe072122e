"""One record that broke its contract is held, and the rest of its page reaches the catalogue."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from connectors.models import QuarantinedRecord
from tests.pulls import pulled
from tests.sandboxes import running
from tests.vendors import everything, opened

pytestmark = pytest.mark.django_db(transaction=True)

#: Stream, the sandbox's collection, what its keys are made of, and a change by mistake (a member
#: that is null is removed).
RENAMED = {
    "sap": ("products", "A_Product", ("Product",), {"ProductGroup": None, "PRODUCT_GROUP": "x"}),
    "akeneo": ("variants", "products", ("identifier",), {"parent": None, "Parent": "x"}),
    "salesforce": ("reviews", "Review__c", ("Id",), {"Rating__c": None, "Stars__c": 5}),
    "stripe": ("payments", "payment_intents", ("id",), {"amount": None, "Amount": 5}),
    "wms": ("stock", "stock", ("warehouse", "sku"), {"on_hand": None, "onHand": 5}),
}
RETYPED = {
    "sap": ("products", "A_Product", ("Product",), {"ProductGroup": 7}),
    "akeneo": ("variants", "products", ("identifier",), {"parent": 7}),
    "salesforce": ("reviews", "Review__c", ("Id",), {"Rating__c": "five"}),
    "stripe": ("payments", "payment_intents", ("id",), {"amount": "much"}),
    "wms": ("stock", "stock", ("warehouse", "sku"), {"on_hand": "many"}),
}


@pytest.mark.parametrize(
    ("system", "stream", "collection", "key", "change"),
    [(system, *case) for cases in (RENAMED, RETYPED) for system, case in cases.items()],
)
def test_it_is_held_and_the_rest_goes_on(
    system: str, stream: str, collection: str, key: tuple[str, ...], change: dict[str, Any]
) -> None:
    with running(60) as server:
        records = everything(opened(system, server.url), stream)
        second = json.loads(records[1])
        target = "/".join(str(second[name]) for name in key)
        address = f"{server.url}/_control/{system}/{collection}/{target}"
        requests.post(address, json=change, timeout=5).raise_for_status()
        run = pulled(system, server.url, stream)
    assert (run.state, run.quarantined) == ("done", 1)
    assert run.read == len(records)
    assert run.merged == len(records) - 1
    held = QuarantinedRecord.objects.get()
    assert held.path.split(".")[-1] in change
    assert held.reason
