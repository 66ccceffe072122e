"""What vendors' events say: stream, key, record, who caused it; and that garbage is a ValueError."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from connectors.akeneo.webhook import AkeneoWebhook
from connectors.runtime.connector import connector_class
from connectors.salesforce.webhook import BEFORE_A_GAP, SalesforceWebhook
from connectors.sandbox.server import SandboxServer
from connectors.sandbox.signing import AKENEO_SECRET, STANDARD_SECRET, STRIPE_SECRET
from connectors.sap.webhook import SapWebhook
from connectors.stripe.webhook import StripeWebhook
from connectors.webhooks.declare import Delivery, Received, Webhook
from connectors.wms.webhook import WmsWebhook
from tests.sandboxes import receiving, running
from tests.vendors import opened

COMMITTED = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running(20) as server:
        yield server


def read(webhook: Webhook, body: Any, headers: Mapping[str, str] | None = None) -> list[Received]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = headers or {}
    return [r for event in webhook.split(raw, given) for r in webhook.read(event, given)]


# --- what the sandbox sends ---------------------------------------------------------------------

SECRETS = {"akeneo": AKENEO_SECRET, "stripe": STRIPE_SECRET}
#: system, collection that changes, stream, and whether the event carries the whole record
CHANGES = [
    ("akeneo", "products", "variants", True),
    ("akeneo", "product_models", "products", True),
    ("salesforce", "Account", "accounts", False),
    ("salesforce", "Contact", "contacts", False),
    ("salesforce", "Review__c", "reviews", False),
    ("salesforce", "Auction_Lot__c", "lots", False),
    ("sap", "A_Product", "products", False),
    ("sap", "A_BusinessPartner", "customers", False),
    ("sap", "A_SalesOrder", "orders", False),
    ("sap", "A_SlsPrcgCndnRecdValidity", "prices", False),
    ("sap", "A_MatlStkInAcctMod", "stock", False),
    ("stripe", "payment_intents", "payments", False),
    ("stripe", "refunds", "refunds", False),
    ("stripe", "payouts", "payouts", False),
    ("stripe", "customers", "accounts", False),
    ("wms", "stock", "stock", True),
]


@pytest.mark.parametrize(("system", "collection", "stream", "whole"), CHANGES)
def test_a_change_in_a_system_names_a_record_that_its_connector_finds(
    sandbox: SandboxServer, system: str, collection: str, stream: str, *, whole: bool
) -> None:
    with receiving(sandbox.url, system) as receiver:
        touched = {"system": system, "collection": collection}
        requests.post(f"{sandbox.url}/_control/touch", json=touched, timeout=5).raise_for_status()
        message, body = receiver.next()
    headers = {name.lower(): value for name, value in message.items()}
    webhook = connector_class(system).webhook
    assert webhook is not None
    secret = SECRETS.get(system, STANDARD_SECRET)
    webhook.scheme.verify(
        Delivery("POST", "/hook", headers, body), [secret], datetime.now(UTC).timestamp()
    )
    (told,) = read(webhook, body, headers)
    assert (told.stream, told.payload is not None) == (stream, whole)
    assert told.event_id
    assert told.occurred_at is not None
    connector = opened(system, sandbox.url)
    spec = connector.stream(stream)
    found = connector.record(spec, told.record_key)
    assert found is not None
    record = spec.contract.model_validate_json(found)
    assert spec.entity_key(record)
    if told.payload is not None:
        assert spec.contract.model_validate_json(told.payload) == record


# --- what vendors' documentation shows ----------------------------------------------------------


def change_event(**header: Any) -> dict[str, Any]:
    told = {
        "entityName": "Account",
        "changeType": "UPDATE",
        "commitTimestamp": int(COMMITTED.timestamp() * 1000),
        "transactionKey": "00051c95",
        "sequenceNumber": 1,
        "commitUser": "005000000000001AAA",
        "recordIds": ["001000000000001"],
        **header,
    }
    return {"schema": "s", "payload": {"ChangeEventHeader": told, "Name": "Acme"}}


def test_a_charge_of_an_older_api_version_tells_of_the_refunds_that_it_embeds() -> None:
    charge = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}
    event = {"id": "evt_1", "type": "charge.refunded", "created": 1767225600}
    embedded = {**charge, "refunds": {"data": [{"id": "re_1"}, {"id": "re_2"}]}}
    first, second = read(StripeWebhook(), {**event, "data": {"object": embedded}})
    assert [(r.stream, r.record_key) for r in (first, second)] == [
        ("refunds", "re_1"),
        ("refunds", "re_2"),
    ]
    assert first.event_id != second.event_id
    (newer,) = read(StripeWebhook(), {**event, "data": {"object": charge}})
    assert newer.stream == ""


CALLER = "com/salesforce/api/rest/60.0;client=hw-1"


def test_a_salesforce_event_of_several_records_is_one_for_each() -> None:
    # The same record in both spellings, and another.
    ids = ["001xx000003DGb0", "001xx000003DGb0AAG", "001xx000003DGb1AAG"]
    first, second = read(SalesforceWebhook(), change_event(recordIds=ids, changeOrigin=CALLER))
    assert [first.record_key, second.record_key] == ids[1:]
    assert first.event_id != second.event_id
    assert first.origin == "hw-1"
    assert first.occurred_at == COMMITTED


def test_a_salesforce_gap_event_names_its_records_and_no_more_is_read_again() -> None:
    (told,) = read(SalesforceWebhook(), change_event(changeType="GAP_UPDATE"))
    assert (told.stream, told.record_key) == ("accounts", "001000000000001AAA")
    assert (told.payload, told.gap_since) == (None, None)


@pytest.mark.parametrize(
    "header",
    [
        {"changeType": "GAP_OVERFLOW", "recordIds": []},
        {"changeType": "GAP_OVERFLOW", "recordIds": ["000000000000000AAA"]},
        {"changeType": "GAP_UPDATE", "recordIds": ["001*"]},
        {"recordIds": []},
    ],
)
def test_where_salesforce_left_records_out_the_stream_is_read_again(header: dict[str, Any]) -> None:
    (told,) = read(SalesforceWebhook(), change_event(**header))
    assert (told.stream, told.record_key) == ("accounts", "")
    assert told.gap_since == COMMITTED - BEFORE_A_GAP


def test_overflow_of_two_objects_in_one_transaction_is_two_events() -> None:
    events = [
        change_event(changeType="GAP_OVERFLOW", recordIds=[], entityName=name)
        for name in ("Account", "Contact")
    ]
    assert len({told.event_id for e in events for told in read(SalesforceWebhook(), e)}) == 2


def akeneo_event(action: str, resource: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "action": action,
        "event_id": f"id of {action}",
        "event_datetime": "2026-01-01T12:00:00+00:00",
        "author": "julia",
        "author_type": "ui",
        "data": {"resource": resource},
        **more,
    }


def test_akeneo_s_record_is_kept_byte_for_byte_and_a_removal_is_asked_about() -> None:
    resource = b'{"identifier": "1111",  "values": {"name": [{"data": "Gr\\u00f6\\u00dfe"}]}}'
    updated = json.dumps(akeneo_event("product.updated", {})).encode()
    updated = updated.replace(b'"resource": {}', b'"resource": ' + resource)
    removed = json.dumps(akeneo_event("product_model.removed", {"code": "m"})).encode()
    body = b'{"events": [' + updated + b", " + removed + b"]}"
    first, second = read(AkeneoWebhook(), body)
    assert (first.stream, first.record_key, first.payload) == ("variants", "1111", resource)
    assert (first.origin, first.occurred_at) == ("julia", COMMITTED)
    assert (second.stream, second.record_key, second.payload) == ("products", "m", None)


def test_akeneo_s_product_that_has_a_uuid_alone_cannot_be_placed() -> None:
    event = akeneo_event("product.created", {"uuid": "u", "identifier": None})
    with pytest.raises(ValueError, match="identifier"):
        read(AkeneoWebhook(), {"events": [event]})


def test_stripe_s_object_is_fetched_and_who_asked_is_kept() -> None:
    event = {
        "id": "evt_1",
        "type": "payment_intent.succeeded",
        "created": int(COMMITTED.timestamp()),
        "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 100}},
        "request": {"id": "req_1", "idempotency_key": "ours-1"},
    }
    expected = Received(
        "evt_1", "payment_intent.succeeded", "payments", "pi_1", None, COMMITTED, origin="ours-1"
    )
    assert read(StripeWebhook(), event) == [expected]
    (other,) = read(StripeWebhook(), {**event, "request": None, "data": {"object": {}}})
    assert (other.stream, other.origin) == ("", "")
    with pytest.raises(ValueError, match="id"):
        read(StripeWebhook(), {**event, "data": {"object": {"object": "customer"}}})


def test_sap_s_stock_needs_material_and_plant() -> None:
    event = {
        "id": "e1",
        "type": "sap.s4.beh.materialstock.v1.MaterialStock.Changed.v1",
        "data": {"Material": "A", "Plant": "1010"},
    }
    (told,) = read(SapWebhook(), event)
    assert (told.stream, told.record_key, told.payload) == ("stock", "A/1010", None)
    for data in ({"Material": "A"}, {"Material": "A", "Plant": ""}, {"Material": 1, "Plant": "x"}):
        with pytest.raises(ValueError, match=r"data\."):
            read(SapWebhook(), {**event, "data": data})


@pytest.mark.parametrize(
    ("webhook", "event"),
    [
        (SapWebhook(), {"id": "e", "type": "sap.s4.beh.plant.v1.Plant.Changed.v1"}),
        (SapWebhook(), {"id": "e", "type": "ping"}),
        (AkeneoWebhook(), {"events": [akeneo_event("asset.updated", {"code": "a"})]}),
        (SalesforceWebhook(), change_event(entityName="Lead")),
        (WmsWebhook(), {"type": "ping", "timestamp": "2026-01-01T00:00:00Z", "data": None}),
    ],
)
def test_what_is_about_none_of_our_records_is_understood_as_that(
    webhook: Webhook, event: Any
) -> None:
    (told,) = read(webhook, event, {"webhook-id": "msg_1"})
    assert told.stream == ""
    assert told.event_id


def test_the_warehouse_s_numbers_count_also_where_the_event_is_none_of_ours() -> None:
    event = {"type": "ping", "timestamp": "2026-01-01T00:00:00Z", "data": 1, "sequence": 7}
    assert read(WmsWebhook(), event, {"webhook-id": "m"})[0].sequence == 7
    with pytest.raises(ValueError, match="webhook-id"):
        read(WmsWebhook(), event)


@pytest.mark.parametrize("place", [{"sku": "", "warehouse": "AMS"}, {"sku": "A", "warehouse": ""}])
def test_a_level_of_no_sku_or_no_warehouse_has_no_key(place: dict[str, str]) -> None:
    event = {"type": "stock.changed", "timestamp": "2026-01-01T00:00:00Z", "data": place}
    with pytest.raises(ValueError, match="no key"):
        read(WmsWebhook(), event, {"webhook-id": "m"})


def test_an_empty_id_of_salesforce_s_is_no_key() -> None:
    with pytest.raises(ValueError, match="empty id"):
        read(SalesforceWebhook(), change_event(recordIds=["001xx000003DGb0AAG", ""]))


# --- garbage ------------------------------------------------------------------------------------

SAMPLES: list[tuple[Webhook, Any]] = [
    (SalesforceWebhook(), change_event()),
    (SalesforceWebhook(), change_event(changeType="GAP_OVERFLOW", recordIds=[])),
    (AkeneoWebhook(), {"events": [akeneo_event("product.updated", {"identifier": "1"})]}),
    (
        StripeWebhook(),
        {
            "id": "evt_1",
            "type": "customer.updated",
            "created": 1,
            "data": {"object": {"id": "cus_1", "object": "customer"}},
            "request": {"idempotency_key": None},
        },
    ),
    (
        SapWebhook(),
        {
            "id": "e",
            "type": "sap.s4.beh.product.v1.Product.Changed.v1",
            "time": "2026-01-01T00:00:00Z",
            "data": {"Product": "A"},
        },
    ),
    (
        WmsWebhook(),
        {
            "type": "stock.changed",
            "timestamp": "2026-01-01T00:00:00Z",
            "sequence": 1,
            "data": {"sku": "A", "warehouse": "AMS"},
        },
    ),
]

ODD: list[Any] = [
    None, True, 0, -1, 2**63, 10**400, -(10**400), 1e308, -1e308, 0.5, "", "x", "\x00", "ä" * 5000,
    "*", [], [None], [[]], {}, {"": {}}, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "2026-13-01", 253402300800, -62135596800000, 253402300799999,
]  # fmt: skip


def spoiled(node: Any, luck: random.Random) -> Any:
    """The same JSON with something odd at some place in it."""
    if not node or not isinstance(node, dict | list) or luck.random() < 0.15:
        return luck.choice(ODD)
    if isinstance(node, list):
        place = luck.randrange(len(node))
        return [*node[:place], spoiled(node[place], luck), *node[place + 1 :]]
    name = luck.choice(sorted(node))
    if luck.random() < 0.1:
        return {n: value for n, value in node.items() if n != name}
    return {**node, name: spoiled(node[name], luck)}


def garbled(raw: bytes, luck: random.Random) -> bytes:
    place = luck.randrange(len(raw))
    return raw[:place] + bytes([luck.randrange(256)]) + raw[place + luck.randrange(2) :]


def test_of_ten_thousand_spoiled_events_each_is_read_or_is_a_value_error() -> None:
    luck = random.Random(11)
    understood = refused = 0
    for number in range(10_000):
        webhook, sample = SAMPLES[number % len(SAMPLES)]
        raw = json.dumps(spoiled(sample, luck)).encode()
        if luck.random() < 0.3:
            raw = garbled(raw, luck)
        try:
            told = read(webhook, raw, {"webhook-id": "msg_1"})
        except ValueError:
            refused += 1
        else:
            understood += 1
            for one in told:
                assert isinstance(one.event_id + one.kind + one.stream + one.record_key, str)
                assert not one.stream or one.record_key or one.gap_since
                if one.gap_since is not None:
                    # What plans the backfill reckons with it.
                    assert one.gap_since + timedelta(days=1) > one.gap_since - timedelta(days=1)
    assert min(understood, refused) > 1000


@pytest.mark.parametrize(("webhook", "sample"), SAMPLES[::2])
def test_json_as_deep_as_a_well_is_a_value_error(webhook: Webhook, sample: Any) -> None:
    deep = b'{"well": ' + b"[" * 300_000 + b"]" * 300_000 + b"," + json.dumps(sample).encode()[1:]
    with pytest.raises(ValueError, match="deeply"):
        read(webhook, deep, {"webhook-id": "msg_1"})
