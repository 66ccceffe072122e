"""One record that broke its contract is held, and the rest of its page reaches the catalogue."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from connectors.models import QuarantinedRecord, Stream
from connectors.runtime.prepare import Preparer
from tests import catalogue
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


@pytest.mark.parametrize(
    ("system", "stream", "records", "member"),
    [
        ("wms", "stock", catalogue.stock, "updated_at"),  # the record's version
        ("salesforce", "reviews", lambda key: [catalogue.review(key, n) for n in (4, 5)],
         "CreatedDate"),  # a mapped value
    ],
)  # fmt: skip
def test_a_time_that_postgresql_cannot_hold_is_one_bad_record(
    system: str, stream: str, records: Any, member: str
) -> None:
    """ISO 8601 can spell an offset of 20 hours; PostgreSQL refuses the batch that has one."""
    catalogue.connect()
    good, bad = records("P-1-01")
    bad = {**bad, member: "2026-02-01T00:00:00+20:32"}
    if "Id" in bad:
        bad["Id"] = "P-1-02"
    row = Stream.objects.get(connection__slug=system, slug=stream)
    raws = [json.dumps(one).encode() for one in (good, bad)]
    prepared = Preparer(system, row.spec).page(raws, 1)
    assert [len(prepared.contributions), len(prepared.broken)] == [1, 1]
    assert "16 hours" in prepared.broken[0].reason
