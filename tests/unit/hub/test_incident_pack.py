"""Faults in the database of the tests: the incident that each opens, and the hop that its pack names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.test import Client

from catalog import rule_changes
from catalog.ownership import OwnershipRule
from connectors import changing
from connectors.models import Connection, Stream, Subscriber, SyncRun
from connectors.runtime import deploys
from connectors.runtime.circuit import Circuit
from hub.auth.keys import issue_key, recognise
from hub.auth.models import ApiKey
from hub.usage import counting
from hub.usage.counting import METRIC
from hub.usage.uses import of_rest
from observability import alerts, incidents, metrics, pack, refusals, starts
from observability.incidents import Incident
from observability.metrics import store
from tests import console_demo

pytestmark = pytest.mark.django_db

Deed = Callable[[], Any]


@pytest.fixture(autouse=True)
def demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two systems that are well, read a moment ago."""
    monkeypatch.setattr(changing, "_floor", 0)
    console_demo.fill()
    # What was connected just now may change as it likes.
    Connection.objects.update(created_at=Now() - timedelta(days=1))
    alerts.AlertRule.objects.update(for_seconds=0)
    # Nobody works here.
    alerts.AlertRule.objects.filter(slug__in=("posts", "workers")).update(enabled=False)


def found() -> Incident:
    """What the detectors open, with its pack: one incident, and no more."""
    changing.count_changes()
    alerts.evaluate(at_once=True)
    pack.look()
    return Incident.objects.filter(part_of=None).get()


def down(reason: str) -> Deed:
    def strike() -> None:
        Circuit(Connection.objects.get(slug="erp").pk, "erp").open(reason, 15.0)

    return strike


def run_met(code: str, text: str, **values: Any) -> Deed:
    def strike() -> None:
        stream = Stream.objects.get(connection__slug="erp", slug="prices")
        said = {
            "state": "failed",
            "error_code": code,
            "error": text,
            "finished_at": Now(),
            **values,
        }
        SyncRun.objects.create(stream=stream, kind="full", started_at=Now(), **said)

    return strike


def drift() -> None:
    incidents.find(
        "contract_drift", "erp", "erp.prices: Rate is missing", stream="prices",
        subject="Rate: missing", cause="Field required", details={"feeds": ["price.amount"]},
    )  # fmt: skip


def prices(amount: str) -> SyncRun:
    return console_demo.say(
        "erp", "prices",
        [{**console_demo.PRICE, "Record": f"{n:04}", "Material": f"M-{n}", "Rate": amount}
         for n in range(40)],
    )  # fmt: skip


def told_anew() -> None:
    prices("10.00")
    prices("99.00")


def mapped_anew() -> None:
    prices("10.00")
    SyncRun.objects.filter(pk=prices("99.00").pk).update(kind="remap")


def ruled_anew() -> None:
    prices("10.00")
    OwnershipRule.objects.filter(entity="price").update(owner="pim", fallbacks=["erp"])
    rule = OwnershipRule.objects.get(entity="price")
    rule.fallbacks = []
    rule_changes.save(rule, "ola")
    while rule_changes.work():
        pass


def webhooks_refused() -> None:
    for _ in range(4):
        refusals.note(refusals.WEBHOOK, "erp", "", "signature.wrong")
    refusals.write()


def events_missing() -> None:
    stream = Stream.objects.get(connection__slug="erp", slug="prices")
    SyncRun.objects.create(stream=stream, kind="backfill", asked_by="gap: events 3 to 4 never came")


def workers_end() -> None:
    for _ in range(4):
        starts.note(starts.CLUSTER, "1", because="it ended")


def purges_fail() -> None:
    Subscriber.objects.create(
        slug="erp", kind="nextjs", url="http://127.0.0.1:1/", failures=7,
        failing_since=Now() - timedelta(minutes=1),
    )  # fmt: skip


def operation_fails() -> None:
    metrics.forget()
    for outcome, times in (("django", 60), ("server error", 40)):
        for _ in range(times):
            metrics.observe(
                METRIC, 5.0, operation="POST /api/v1/orders", key="shop", outcome=outcome
            )
    for minutes in (0, 20):  # of a window of thirty, too
        store.write(dict(metrics.counting._tallies), age=60.0 * minutes)
    metrics.forget()


FAULTS: dict[str, tuple[Deed, str, str]] = {
    "refused": (down("connection refused"), "system_down", "network"),
    "no tls": (down("no secure connection"), "system_down", "network"),
    "5xx": (down("answers 503"), "system_down", "upstream"),
    "silent": (down("no answer in time"), "system_down", "upstream"),
    "closed": (down("connection closed without an answer"), "system_down", "upstream"),
    "credentials": (
        run_met("upstream.auth_expired", "the credentials were not accepted"),
        "credentials", "credentials",
    ),
    "cursor": (
        run_met("upstream.garbled", "the upstream's cursor stands still at '7'"),
        "stuck_cursor", "cursor",
    ),
    "429": (
        run_met("upstream.rate_limited", "too many requests", state="queued"),
        "rate_limited", "upstream",
    ),
    "deletions": (run_met("mass_delete", "9 of 9 records", state="held"), "run_held", "upstream"),
    "drift": (drift, "contract_drift", "contract"),
    "values": (told_anew, "values_changed", "upstream"),
    "mapping": (mapped_anew, "values_changed", "mapping"),
    "webhooks": (webhooks_refused, "webhooks_refused", "credentials"),
    "gap": (events_missing, "events_missing", "inbox"),
    "workers": (workers_end, "workers_restarting", "inbox"),
    "purges": (purges_fail, "subscriber_failing", "cache"),
    # Nothing else is wrong, so the hub does not pretend to know where.
    "operation": (operation_fails, "operations_failing", ""),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_opens_one_incident_whose_pack_names_the_hop(fault: str) -> None:
    strike, kind, hop = FAULTS[fault]
    alerts.evaluate(at_once=True)
    assert not Incident.objects.exists(), "nothing is wrong yet"
    strike()
    row = found()
    assert (row.kind, row.hop) == (kind, hop), row.pack
    assert [link["hop"] for link in row.pack["chain"]] == list(pack.HOPS)
    assert row.system == ("headwater" if fault in {"workers", "operation"} else "erp")


def test_the_chain_says_what_failed_and_when_it_last_went_well() -> None:
    down("answers 503")()
    chain = {link["hop"]: link for link in found().pack["chain"]}
    assert chain["upstream"]["state"] == "failed"
    assert "answers 503" in chain["upstream"]["evidence"]
    assert chain["upstream"]["last_good"]
    assert {chain[hop]["state"] for hop in ("network", "credentials", "contract")} == {"ok"}
    assert chain["subscriber"]["state"] == "unknown"


def test_a_key_that_has_ended_is_named_with_what_it_read() -> None:
    key = issue_key("shop")
    counting.count(key.split("_")[1], of_rest_prices(), "database", 1.0)
    counting.pass_on()
    assert recognise(key) is not None
    ApiKey.objects.update(revoked_at=Now())
    assert all(recognise(key) is None for _ in range(5))
    assert recognise("hw_0123456789ab_" + "x" * 40) is None  # a stranger's is nobody's trouble
    refusals.write()
    row = found()
    assert (row.kind, row.system, row.hop) == ("keys_refused", "headwater", "key")
    assert "key shop is revoked; 5 requests" in str(row.pack["chain"])
    assert row.pack["affected"]["keys"][0]["name"] == "shop"


def of_rest_prices() -> Any:
    from catalog.entities import entity

    return of_rest(entity("price"), many=True, parts=False, provenance=False)


def test_a_rule_that_decides_much_is_the_hop_and_stands_among_what_changed() -> None:
    ruled_anew()
    row = found()
    assert (row.kind, row.system, row.hop) == ("rules_changing", "pim", "rule")
    assert row.pack["rules"][0]["by"] == "ola"


def test_the_blast_radius_is_what_the_member_feeds() -> None:
    Subscriber.objects.create(slug="shop", url="http://shop.test/", entities=["price"])
    Subscriber.objects.create(slug="crm", url="http://crm.test/", entities=["customer"])
    drift()
    affected = found().pack["affected"]
    assert affected["fields"] == {"price": ["amount"]}
    assert affected["subscribers"] == ["shop"]
    assert {"prices", "products", "product:*"} <= set(affected["tags"])


def test_a_deploy_between_two_starts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    deploys.note_start()
    starts.note(starts.WORKERS, "0.2.0", {**deploys.contracts(), "demo-erp": "another"}, {})
    monkeypatch.undo()
    drift()
    told = {(one["what"], one["name"]) for one in found().pack["deploys"]}
    assert {("version", "0.2.0"), ("connector", "demo-erp")} <= told
    assert ("connector", "demo-pim") not in told


def test_what_cannot_be_assembled_is_said_and_harms_nobody() -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("a floor above has a defect")

    pack.wanted.connect(broken)
    try:
        drift()
        pack.look()
    finally:
        pack.wanted.disconnect(broken)
    assert "a floor above has a defect" in Incident.objects.get().pack["failed"]


def test_the_page_of_an_incident_shows_the_pack(client: Client) -> None:
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    down("answers 503")()
    row = found()
    page = client.get(f"/admin/observability/incident/{row.pk}/change/").content.decode()
    assert "What broke first: upstream" in page
    assert "answers 503" in page
