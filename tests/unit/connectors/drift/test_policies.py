"""What a stream's drift policies make of records that depart, pulled and told by events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
import requests
from django.core.exceptions import ValidationError
from django.core.management import call_command

from catalog.entities import OrderLine, Stock, Variant
from catalog.source import SourceRecord
from connectors.drift.stopping import resume, stop
from connectors.inbox import fetch
from connectors.models import (
    Checkpoint,
    Connection,
    DriftIncident,
    DriftPolicy,
    QuarantinedRecord,
    Stream,
    SyncRun,
)
from connectors.runtime import queue
from connectors.runtime.pull import execute
from tests.sandboxes import running, set_fault
from tests.telling import TellingConnector, key, level, outcome, tell, telling, work, worked

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sandbox() -> Iterator[str]:
    with running(40) as made:
        call_command("connect_sandbox", made.url, stdout=StringIO())
        yield made.url


def stream(slug: str) -> Stream:
    return Stream.objects.select_related("connection").get(connection__slug="sap", slug=slug)


def pull(slug: str, kind: str = "full") -> SyncRun:
    run = queue.ask(stream(slug), kind, asked_by="test")
    taken = queue.claim()
    assert taken is not None
    execute(*taken)
    run.refresh_from_db()
    return run


def decide(row: Stream, action: str, path: str = "", breach: str = "") -> None:
    DriftPolicy.objects.create(stream=row, action=action, path=path, breach=breach)


def rename(url: str) -> None:
    set_fault(url, "sap", kind="renamed_field", field="ProductGroup", to="PRODUCT_GROUP")


def groups() -> dict[str, Any]:
    return dict(Variant.objects.values_list("key", "group"))


def test_without_a_policy_they_are_held_counted_once_and_end_by_themselves(sandbox: str) -> None:
    pull("products")
    before = groups()
    rename(sandbox)
    run = pull("products")
    assert run.quarantined == run.read == QuarantinedRecord.objects.count() == len(before)
    assert groups() == before
    (incident,) = DriftIncident.objects.filter(resolved_at=None)
    assert incident.title == "sap.products: ProductGroup is missing"
    said = incident.details
    assert (said["records"], said["read"], said["share"]) == (len(before), len(before), 1.0)
    assert said["feeds"] == ["variant.group"]
    first = SourceRecord.objects.get(record_key=said["first"]["record"], source__stream="products")
    assert said["before"]["value"] == first.fields["group"]
    assert said["after"]["value"] is None
    assert said["last"]["record"] != said["first"]["record"]
    pull("products")
    incident.refresh_from_db()
    assert (incident.resolved_at, incident.details["records"]) == (None, len(before))
    requests.delete(f"{sandbox}/_control/faults", timeout=5)
    pull("products")
    incident.refresh_from_db()
    assert incident.resolved_at is not None
    assert not QuarantinedRecord.objects.exists()
    assert DriftIncident.objects.count() == 1


def test_the_value_is_dropped_and_the_old_one_stays_with_its_provenance(sandbox: str) -> None:
    pull("products")
    decide(stream("products"), "drop", "ProductGroup")
    before, variant = groups(), Variant.objects.order_by("key")[0]
    rename(sandbox)
    touched = {"BaseUnit": "KG"}
    one = f"{sandbox}/_control/sap/A_Product/{variant.key}"
    requests.post(one, json=touched, timeout=5).raise_for_status()
    run = pull("products")
    assert (run.state, run.quarantined) == ("done", 0)
    assert groups() == before
    now = Variant.objects.get(pk=variant.pk)
    assert (now.unit, now.provenance["group"]) == ("KG", variant.provenance["group"])
    stored = SourceRecord.objects.get(pk=variant.provenance["group"])
    assert '"PRODUCT_GROUP"' in stored.payload
    (incident,) = DriftIncident.objects.filter(resolved_at=None)
    assert incident.details["action"] == "drop"
    assert incident.details["share"] == 1.0


def test_a_nested_value_is_dropped_and_the_others_of_its_record_are_applied(sandbox: str) -> None:
    pull("orders")
    decide(stream("orders"), "drop", "to_Item.results.NetAmount", "wrong_type")
    before = dict(OrderLine.objects.values_list("key", "unit_price"))
    line = OrderLine.objects.filter(deleted_at=None).order_by("key")[0]
    one = f"{sandbox}/_control/sap/A_SalesOrder/{line.order_id}"
    held = SourceRecord.objects.get(source__stream="orders", record_key=line.order_id)
    items = json.loads(held.payload)["to_Item"]
    items["results"][0] |= {"NetAmount": "a lot", "RequestedQuantity": "77"}
    requests.post(one, json={"to_Item": items}, timeout=5).raise_for_status()
    run = pull("orders", "incremental")
    assert (run.state, run.quarantined) == ("done", 0)
    now = OrderLine.objects.get(key=f"{line.order_id}/{line.position}")
    assert now.unit_price == before[now.key]
    assert now.quantity == Decimal(77)


def test_a_value_of_another_type_is_accepted_where_the_mapping_can_carry_it(sandbox: str) -> None:
    pull("products")
    decide(stream("products"), "accept", "ProductGroup", "wrong_type")
    one = f"{sandbox}/_control/sap/A_Product"
    requests.post(f"{one}/P-000001-01", json={"ProductGroup": 77}, timeout=5).raise_for_status()
    run = pull("products")
    assert run.state == "done"
    assert Variant.objects.get(pk="P-000001-01").group == "77"
    (incident,) = DriftIncident.objects.filter(details__path="ProductGroup")
    assert (incident.details["records"], incident.details["action"]) == (1, "accept")


def test_the_stream_is_stopped_keeps_its_checkpoint_and_goes_on_when_resumed(sandbox: str) -> None:
    pull("products")
    row = stream("products")
    mark = Checkpoint.objects.get(stream=row)
    decide(row, "stop", breach="missing")
    rename(sandbox)
    run = pull("products")
    assert (run.state, run.error_code) == ("failed", "contract.stopped")
    assert "ProductGroup: Field required" in run.error
    row.refresh_from_db()
    assert row.stopped_at is not None
    assert not QuarantinedRecord.objects.exists()
    after = Checkpoint.objects.get(stream=row)
    assert (after.position, after.watermark) == (mark.position, mark.watermark)
    assert DriftIncident.objects.get(resolved_at=None).details["action"] == "stop"
    queue.ask(row, "incremental", asked_by="test")
    assert queue.claim() is None
    assert not [asked for asked in queue.schedule_due() if asked.stream_id == row.pk]
    requests.delete(f"{sandbox}/_control/faults", timeout=5)
    resume(row)
    taken = queue.claim()
    assert taken is not None
    execute(*taken)
    assert SyncRun.objects.get(pk=taken[0].pk).state == "done"


def test_a_key_is_never_made_without_the_value_that_it_needs(sandbox: str) -> None:
    pull("prices")
    decide(stream("prices"), "drop")
    set_fault(sandbox, "sap", kind="renamed_field", field="Material", to="MATERIAL")
    run = pull("prices")
    assert run.quarantined == run.read > 0
    assert "needed for the record's key" in QuarantinedRecord.objects.all()[0].reason
    assert run.tombstoned == 0


def test_the_nearest_policy_decides_and_the_strictest_of_a_records_breaches() -> None:
    row = telling().streams.get()
    TellingConnector.held[key("A")] = level("A", 5, 1)
    worked(row.connection, "full")
    decide(row, "drop")
    decide(row, "quarantine", "reserved", "missing")
    TellingConnector.held[key("A")] = level("A", 6, 2, reserved=None, available=None)
    assert worked(row.connection, "full").quarantined == 0
    broken = level("A", 7, 3, available=None)
    del broken["reserved"]
    TellingConnector.held[key("A")] = broken
    assert worked(row.connection, "full").quarantined == 1


def test_what_is_unknown_can_only_be_accepted_or_stop_the_stream() -> None:
    row = telling().streams.get()
    policy = DriftPolicy(stream=row, breach="unknown", action="drop")
    with pytest.raises(ValidationError, match="stop the stream"):
        policy.full_clean()
    TellingConnector.held[key("A")] = level("A", 5, 1)
    worked(row.connection, "full")
    decide(row, "stop", breach="unknown")
    TellingConnector.held[key("A")] = level("A", 6, 2, bin="7-B")
    run = worked(row.connection, "full")
    assert (run.state, run.error_code) == ("failed", "contract.stopped")
    assert Stock.objects.get().on_hand == 5
    assert "bin" in DriftIncident.objects.get().title


# --- events -----------------------------------------------------------------------------------------


@pytest.fixture
def row() -> Connection:
    made = telling()
    TellingConnector.held[key("A")] = level("A", 5, 1)
    worked(made, "full")
    return made


def without(member: str, **changes: Any) -> dict[str, Any]:
    record = level("A", 9, 2, **changes)
    del record[member]
    return record


def test_an_event_that_departs_is_a_dead_letter_and_an_incident(row: Connection) -> None:
    tell(row, "e1", "A", without("available"))
    work()
    assert (outcome("e1").state, outcome("e1").error_code) == ("dead", "contract")
    assert DriftIncident.objects.get().details["path"] == "available"


def test_an_event_is_applied_without_the_value_that_is_dropped(row: Connection) -> None:
    decide(row.streams.get(), "drop", "available")
    tell(row, "e1", "A", without("available"))
    work()
    stock = Stock.objects.get()
    assert (outcome("e1").state, stock.on_hand, stock.available) == ("applied", 9, 5)
    assert DriftIncident.objects.get().details["action"] == "drop"


def test_an_event_is_applied_as_it_comes_where_that_is_accepted(row: Connection) -> None:
    decide(row.streams.get(), "accept", "available")
    tell(row, "e1", "A", without("available"))
    work()
    stock = Stock.objects.get()
    assert (outcome("e1").state, stock.on_hand, stock.available) == ("applied", 9, None)


def test_an_event_stops_its_stream_and_those_behind_it_wait(row: Connection) -> None:
    stream = row.streams.get()
    decide(stream, "stop", "available")
    tell(row, "e1", "A", without("available"))
    work()
    tell(row, "e2", "A", level("A", 11, 3))
    work()
    stream.refresh_from_db()
    assert stream.stopped_at is not None
    assert (outcome("e1").state, outcome("e2").state) == ("dead", "received")
    resume(stream)
    work()
    assert (outcome("e2").state, Stock.objects.get().on_hand) == ("applied", 11)


def test_nothing_is_asked_for_a_stopped_stream(row: Connection) -> None:
    stream = row.streams.get()
    stop(stream, "test")
    TellingConnector.held[key("A")] = level("A", 11, 3)
    TellingConnector.asked.clear()
    tell(row, "e1", "A")  # names its record alone
    assert fetch.due_connections() == []
    assert fetch.fetch_batch(row.pk) == 0
    assert (TellingConnector.asked, outcome("e1").state) == ([], "received")
    resume(stream)
    assert fetch.due_connections() == [(row.pk, 1)]
    assert fetch.fetch_batch(row.pk) == 1
    work()
    assert Stock.objects.get().on_hand == 11
