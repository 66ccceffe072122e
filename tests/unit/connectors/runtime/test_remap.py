"""What a remap makes of stored records: a fresh sync's values, without the upstream."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.db.models import F
from django.db.models.functions import Now

from catalog.entities import Order, OrderLine, Stock
from catalog.history import Revision
from catalog.merge import Cause
from catalog.ownership import OwnershipRule
from catalog.source import SourceRecord
from connectors.models import Connection, QuarantinedRecord, Stream, SyncRun
from connectors.runtime import queue, remap
from connectors.runtime.declare import Child, From, StreamSpec
from connectors.runtime.pull import execute
from connectors.sap.connector import SapConnector
from connectors.sap.streams import LINES, ORDERS
from tests.direct import written_directly
from tests.pulls import pulled
from tests.sandboxes import running
from tests.telling import LEVELS, TellingConnector, key, level, telling, worked

pytestmark = pytest.mark.django_db(transaction=True)

DOUBLED = {**LEVELS.fields, "available": From("available", lambda value: value * 2)}


@pytest.fixture
def row() -> Connection:
    return telling()


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remap, "PAGE", 2)


def hold(*records: dict[str, Any]) -> None:
    TellingConnector.held.update({key(record["sku"]): record for record in records})


def declare(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    monkeypatch.setattr(TellingConnector, "streams", (replace(LEVELS, **changes),))


def available() -> dict[str, Decimal | None]:
    alive = Stock.objects.filter(deleted_at=None).order_by("key")
    return {stock.key.removesuffix("/AMS"): stock.available for stock in alive}


class ReviewedOrder(ORDERS.contract):  # type: ignore[misc,name-defined]
    VERSION = "2"


def orders() -> tuple[list[Any], list[Any], list[Any]]:
    """What an order's entities and source records say, without who says so and since when."""
    entities = [
        list(cls.objects.filter(deleted_at=None).order_by("key").values_list(*names))
        for cls, names in (
            (Order, ("key", "total", "status", "currency")),
            (OrderLine, ("key", "position", "order", "variant", "quantity", "unit_price")),
        )
    ]
    said = SourceRecord.objects.filter(deleted_at=None).order_by("source", "record_key")
    names = ("record_key", "entity_key", "payload_hash", "fields", "version", "contract")
    return entities[0], entities[1], [tuple(map(str, r)) for r in said.values_list(*names)]


def numbered(spec: Child) -> Child:
    """The lines under other keys, and otherwise counted."""
    return replace(
        spec,
        record_key=lambda item: item.SalesOrderItem,
        entity_key=lambda order, item: f"{order.SalesOrder}/{int(item.SalesOrderItem) + 1000}",
        fields={
            **spec.fields,
            "position": From("SalesOrderItem", lambda value: int(value) + 1000),
            "quantity": From("RequestedQuantity", lambda value: value + 1),
        },
    )


def test_it_equals_a_fresh_sync_and_asks_no_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(20) as server:
        first = pulled("sap", server.url, "orders")
        before, log = orders(), f"{server.url}/_control/requests?system=sap"
        calls = requests.get(log, timeout=5).json()["requests"]
        changed: StreamSpec = replace(
            ORDERS,
            contract=ReviewedOrder,
            fields={
                "status": From("OverallSDProcessStatus", str.lower),
                "total": From("TotalNetAmount", lambda value: value + 1),
            },
            children=(numbered(LINES),),
        )
        monkeypatch.setattr(SapConnector, "streams", (changed,))
        stream = Stream.objects.get(connection__slug="sap", slug="orders")
        # Nobody needs an upstream, so it does not matter that nobody may call it.
        Connection.objects.update(enabled=False)
        run = queue.ask(stream, "remap", asked_by="test")
        taken = queue.claim()
        assert taken is not None
        execute(*taken)
        run.refresh_from_db()
        assert requests.get(log, timeout=5).json()["requests"] == calls
        assert (run.state, run.error, run.read) == ("done", "", first.read)
        assert not QuarantinedRecord.objects.values_list("path", "reason")
        assert run.expected == first.read
        after = orders()
        assert after != before
        by = SourceRecord.objects.filter(deleted_at=None).values_list("run_id", flat=True)
        assert set(by) == {first.pk}, "who brought the records is who pulled them"
        told = Revision.objects.filter(run_id=run.pk)
        assert set(told.values_list("correlation_id", flat=True)) == {run.correlation_id}
        with written_directly():
            for table in (SourceRecord, OrderLine, Order):
                table.objects.all().delete()
        Connection.objects.update(enabled=True)
        pulled("sap", server.url, "orders")
    assert after == orders()


def test_without_a_change_it_changes_nothing(row: Connection) -> None:
    hold(*(level(sku, 5, 1) for sku in "ABC"))
    worked(row, "full")
    run = worked(row, "remap")
    assert (run.state, run.read, run.stored, run.merged) == ("done", 3, 0, 0)


def test_a_changed_rule_alone_is_reason_enough(row: Connection) -> None:
    hold(level("A", 5, 1))
    worked(row, "full")
    OwnershipRule.objects.create(entity="stock", field="available", owner="another")
    assert worked(row, "remap").merged == 1
    assert available() == {"A": None}


def test_killed_in_the_middle_it_goes_on_and_the_late_worker_is_rejected(
    row: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(*(level(sku, 5, 1) for sku in "ABCDE"))
    worked(row, "full")
    declare(monkeypatch, fields=DOUBLED)
    asked = queue.ask(row.streams.get(), "remap", asked_by="test")
    taken = queue.claim()
    assert taken is not None
    dead = remap.Remap(*taken, Cause(run_id=asked.pk)).pages()
    next(dead)
    assert available() == {"A": 10, "B": 10, "C": 5, "D": 5, "E": 5}
    assert queue.claim() is None, "its lease is good"
    SyncRun.objects.update(lease_until=Now() - F("lease_until") + Now())
    again = queue.claim()
    assert again is not None
    assert (again[0].pk, again[0].cursor) == (asked.pk, f"stored:{key('B')}")
    with pytest.raises(queue.LeaseLostError):
        next(dead)
    assert available() == {"A": 10, "B": 10, "C": 5, "D": 5, "E": 5}
    execute(*again)
    asked.refresh_from_db()
    assert (asked.state, asked.read, asked.pages, asked.merged) == ("done", 5, 3, 5)
    assert set(available().values()) == {10}


def test_it_gives_way_at_its_deadline_although_the_next_waits_already(row: Connection) -> None:
    hold(*(level(sku, 5, 1) for sku in "ABC"))
    worked(row, "full")
    run = queue.ask(row.streams.get(), "remap", asked_by="test")
    taken = queue.claim()
    assert taken is not None
    later = queue.ask(row.streams.get(), "remap", asked_by="test")
    execute(*taken, deadline=0.0)
    run.refresh_from_db()
    assert (run.state, run.read, run.attempts) == ("running", 2, 0)
    for _ in range(2):
        again = queue.claim()
        assert again is not None
        execute(*again)
    states = SyncRun.objects.filter(pk__in=[run.pk, later.pk]).values_list("state", "read")
    assert set(states) == {("done", 3)}


class Lenient(LEVELS.contract):  # type: ignore[misc,name-defined]
    available: Any


def lenient(value: object) -> Decimal:
    return Decimal(str(value).replace("many", "1000"))


def test_a_quarantined_record_that_passes_now_is_released(
    row: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(level("A", 5, 1), level("B", 5, 1), level("C", 5, 1))
    worked(row, "full")
    hold(level("B", 6, 2, available="many"), level("C", 6, 2, available="none"))
    pull = worked(row, "full")
    assert pull.quarantined == 2
    declare(
        monkeypatch,
        contract=Lenient,
        fields={**LEVELS.fields, "available": From("available", lenient)},
    )
    run = worked(row, "remap")
    assert (run.state, run.read, run.expected, run.quarantined) == ("done", 5, 5, 1)
    assert available() == {"A": 5, "B": 1000, "C": 5}
    held = QuarantinedRecord.objects.get()
    assert (held.record_key, held.times) == (key("C"), 1)
    assert "ConversionSyntax" in held.reason
    record = SourceRecord.objects.get(record_key=key("B"))
    assert (record.run_id, record.correlation_id) == (pull.pk, pull.correlation_id)


def test_a_record_held_anew_meanwhile_is_not_released_for_what_it_was(
    row: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(level("B", 6, 2, available="many"))
    worked(row, "full")
    waiting = [level("B", 7, 3, available="none")]

    def late(value: object) -> Decimal:
        while waiting:
            hold(waiting.pop())
            worked(row, "full")
        return lenient(value)

    declare(
        monkeypatch,
        contract=Lenient,
        fields={**LEVELS.fields, "available": From("available", late)},
    )
    worked(row, "remap")
    assert '"none"' in QuarantinedRecord.objects.get().payload


class Strict(LEVELS.contract):  # type: ignore[misc,name-defined]
    shelf: str


def test_a_stored_record_that_breaks_the_contract_now_is_held_and_its_values_stay(
    row: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(level("A", 5, 1, shelf="7"), level("B", 5, 1))
    worked(row, "full")
    declare(monkeypatch, contract=Strict)
    run = worked(row, "remap")
    assert (run.state, run.read, run.quarantined) == ("done", 2, 1)
    assert QuarantinedRecord.objects.get().path == "shelf"
    assert available() == {"A": 5, "B": 5}
    monkeypatch.undo()
    assert worked(row, "remap").quarantined == 0
    assert not QuarantinedRecord.objects.exists()


def test_a_value_that_does_not_fit_its_column_sets_only_its_record_aside(
    row: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(level("A", 5, 1), level("B", 6, 1))
    worked(row, "full")
    large = From("available", lambda value: value * (10**30 if value == 6 else 2))
    declare(monkeypatch, fields={**LEVELS.fields, "available": large})
    run = worked(row, "remap")
    assert (run.state, run.quarantined) == ("done", 1)
    assert available() == {"A": 10, "B": 6}


def test_what_was_deleted_stays_so(row: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(level("A", 5, 1), level("B", 5, 1), level("C", 5, 1))
    worked(row, "full")
    hold(level("C", 6, 2, available="many"))
    worked(row, "full")
    del TellingConnector.held[key("B")], TellingConnector.held[key("C")]
    assert worked(row, "full").tombstoned == 2
    declare(
        monkeypatch,
        contract=Lenient,
        fields={**LEVELS.fields, "available": From("available", lenient)},
    )
    assert worked(row, "remap").state == "done"
    assert available() == {"A": 5}
    assert not QuarantinedRecord.objects.exists(), "it was released, and not applied"


@pytest.mark.parametrize("deleted", [False, True])
def test_it_does_not_overtake_what_a_pull_stores_meanwhile(
    row: Connection,
    monkeypatch: pytest.MonkeyPatch,
    deleted: bool,  # noqa: FBT001 (pytest's)
) -> None:
    hold(level("A", 5, 1), level("B", 5, 1))
    worked(row, "full")
    waiting = [meanwhile]

    def doubled(value: Decimal) -> Decimal:
        while waiting:
            waiting.pop()(row, deleted=deleted)
        return value * 2

    declare(monkeypatch, fields={**LEVELS.fields, "available": From("available", doubled)})
    run = worked(row, "remap")
    assert (run.state, run.quarantined) == ("done", 0)
    assert available() == ({"B": 10} if deleted else {"A": 14, "B": 10})
    if not deleted:
        assert SourceRecord.objects.get(record_key=key("A")).version == 1_767_225_602_000_000


def meanwhile(row: Connection, *, deleted: bool) -> None:
    """Once, between the reading of a page and its commit: the upstream changes and is pulled."""
    if deleted:
        del TellingConnector.held[key("A")]
    else:
        hold(level("A", 7, 2))
    run = queue.ask(row.streams.get(), "full", asked_by="test")
    taken = queue.claim()
    assert taken is not None
    assert taken[0].pk == run.pk, "a remap does not keep a pull waiting"
    execute(*taken)


def test_a_mapping_that_relates_too_much_to_nothing_is_held_for_a_person(
    row: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    skus = [chr(ord("A") + n) for n in range(20)]
    hold(*(level(sku, 5, 1) for sku in skus))
    worked(row, "full")
    declare(monkeypatch, entity_key=lambda r: f"{r.sku}/{r.warehouse}" if r.sku > "N" else None)
    run = worked(row, "remap")
    assert (run.state, run.error_code) == ("held", "mass_delete")
    assert len(available()) == 20 - run.tombstoned == 10
    assert worked(row, "remap", allow_deletes=True).state == "done"
    assert list(available()) == [sku for sku in skus if sku > "N"]


def test_it_is_asked_for_from_the_shell_too(row: Connection) -> None:
    said = StringIO()
    call_command("ask_run", "remap", "telling", "telling.stock", stdout=said)
    run = SyncRun.objects.get()
    assert (run.kind, run.stream.connection) == ("remap", row)
    assert f"run #{run.pk}" in said.getvalue()
