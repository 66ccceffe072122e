"""Salesforce's change events, and what a restart of the sandbox must not forget."""

from __future__ import annotations

import json
from pathlib import Path

import requests

from connectors.sandbox.signing import standard_webhook
from tests.sandboxes import receiving, running


def test_a_change_in_the_org_is_sent_signed() -> None:
    with running() as server, receiving(server.url, "salesforce") as receiver:
        account = server.sandbox.world.customer(0).account_id
        control = f"{server.url}/_control/salesforce/Account/{account}"
        requests.post(control, json={"Phone": "+31 20 5550000"}, timeout=5).raise_for_status()
        headers, body = receiver.next()
    at = int(headers["webhook-timestamp"])
    signed = standard_webhook(headers["webhook-id"], at, body)
    assert headers["webhook-signature"] == signed["webhook-signature"]
    payload = json.loads(body)["payload"]
    assert payload["ChangeEventHeader"]["changeType"] == "UPDATE"
    assert payload["ChangeEventHeader"]["recordIds"] == [account]
    assert payload["Phone"] == "+31 20 5550000"


def test_payments_events_and_idempotency_keys_survive_a_restart(tmp_path: Path) -> None:
    headers = {"Authorization": "Bearer sk_test_headwater", "Idempotency-Key": "k-1"}
    form = {"amount": "100", "currency": "eur"}
    with running(state=tmp_path) as server:
        target = f"{server.url}/v1/payment_intents"
        first = requests.post(target, form, headers=headers, timeout=5)
    with running(state=tmp_path) as server:
        target = f"{server.url}/v1/payment_intents"
        again = requests.post(target, form, headers=headers, timeout=5)
        del headers["Idempotency-Key"]
        newest = requests.get(target, headers=headers, timeout=5).json()["data"][0]
        events = requests.get(f"{server.url}/v1/events", headers=headers, timeout=5).json()
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert newest["id"] == first.json()["id"]
    assert [event["type"] for event in events["data"]] == ["payment_intent.created"]
