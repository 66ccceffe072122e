"""A pull end to end: the sandbox over HTTP, the real queue, the real merge."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import requests
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db.models.functions import Now

from catalog.entities import Customer, Order, OrderLine, Price, Product, Stock, Variant
from catalog.history import Revision
from catalog.source import SourceRecord
from connectors.models import Checkpoint, Connection, QuarantinedRecord, Stream, SyncRun
from connectors.runtime import queue
from connectors.runtime.pull import Pull, execute
from observability.freshness import watermarks
from tests.sandboxes import running, set_fault

pytestmark = pytest.mark.django_db(transaction=True)

PRODUCTS = 60
VARIANTS = 120


@pytest.fixture
def sandbox() -> Iterator[str]:
    with running(PRODUCTS) as server:
        call_command("connect_sandbox", server.url, stdout=StringIO())
        yield server.url


def stream(system: str, slug: str) -> Stream:
    return Stream.objects.select_related("connection").get(connection__slug=system, slug=slug)


def pull(system: str, slug: str, kind: str = "full", **options: Any) -> SyncRun:
    run = queue.ask(stream(system, slug), kind, asked_by="test", **options)
    taken = queue.claim()
    assert taken is not None
    assert taken[0].pk == run.pk
    execute(*taken)
    run.refresh_from_db()
    return run


def control(url: str, path: str, **body: Any) -> None:
    requests.post(f"{url}/_control/{path}", json=body, timeout=5).raise_for_status()


def test_a_price_travels_from_the_erp_to_the_entity_with_its_provenance(sandbox: str) -> None:
    run = pull("sap", "prices")
    assert (run.state, run.read, run.merged) == ("done", VARIANTS * 2, VARIANTS * 2)
    control(sandbox, "price", sku="P-000002-01", sales_org="1010", amount="12.34")
    again = pull("sap", "prices")
    assert (again.unchanged, again.stored, again.merged) == (VARIANTS * 2 - 1, 1, 1)
    price = Price.objects.get(variant_id="P-000002-01", market="DE")
    assert str(price.amount) == "12.3400"
    record = SourceRecord.objects.get(pk=price.provenance["amount"])
    assert record.run_id == again.pk
    assert record.correlation_id == again.correlation_id
    change = Revision.objects.get(key=price.key, kind="changed")
    assert change.changes["amount"][1] == "12.34"
    assert change.run_id == again.pk


def test_the_correlation_id_of_a_run_goes_out_with_each_call(sandbox: str) -> None:
    run = pull("wms", "stock")
    log = requests.get(f"{sandbox}/_control/requests?system=wms", timeout=5).json()["requests"]
    assert {call["correlation_id"] for call in log} == {run.correlation_id}


def test_an_incremental_run_reads_what_changed_and_moves_the_checkpoint(sandbox: str) -> None:
    pull("wms", "stock")
    before = Checkpoint.objects.get(stream=stream("wms", "stock"))
    control(sandbox, "stock", sku="P-000001-01", warehouse="AMS", on_hand=7)
    run = pull("wms", "stock", "incremental")
    after = Checkpoint.objects.get(stream=stream("wms", "stock"))
    assert run.read < 20
    assert run.merged == 1
    assert before.position is not None
    assert after.position is not None
    assert after.position > before.position
    assert str(Stock.objects.get(pk="P-000001-01/AMS").on_hand) == "7.000"
    assert watermarks()["wms", "stock"].stale is False


def test_an_order_is_held_whole_for_a_line_that_does_not_fit(sandbox: str) -> None:
    pull("sap", "orders")
    order = Order.objects.get(pk="0000000001")
    before = OrderLine.objects.filter(order=order, deleted_at=None).count()
    line = {
        "SalesOrder": order.key, "SalesOrderItem": "000090", "Material": "P-000001-01",
        "RequestedQuantity": "9" * 30, "RequestedQuantityUnit": "PC", "NetAmount": "20.00",
        "TransactionCurrency": "EUR",
    }  # fmt: skip
    one = f"sap/A_SalesOrder/{order.key}"
    control(sandbox, one, to_Item={"results": [line]}, TotalNetAmount="20.00")
    run = pull("sap", "orders", "incremental")
    assert (run.state, run.quarantined) == ("done", 1)
    assert QuarantinedRecord.objects.get().record_key == order.key
    assert OrderLine.objects.filter(order=order, deleted_at=None).count() == before
    assert Order.objects.get(pk=order.pk).total == order.total
    control(sandbox, one, to_Item={"results": [{**line, "RequestedQuantity": "2"}]})
    pull("sap", "orders", "incremental")
    assert not QuarantinedRecord.objects.exists()
    assert str(Order.objects.get(pk=order.pk).total) == "20.0000"


def test_one_record_is_fetched_and_one_that_is_gone_is_buried(sandbox: str) -> None:
    pull("akeneo", "products")
    control(sandbox, "text", code="P-000005", attribute="name", locale="en_US", text="Renamed")
    assert pull("akeneo", "products", "record", record_key="P-000005").merged == 1
    name = Product.objects.get(pk="P-000005").name
    assert name["en_US"] == "Renamed"
    requests.delete(f"{sandbox}/_control/akeneo/product_models/P-000005", timeout=5)
    run = pull("akeneo", "products", "record", record_key="P-000005")
    assert run.tombstoned == 1
    assert Product.objects.get(pk="P-000005").deleted_at is not None


def test_a_renamed_field_quarantines_the_records_and_the_old_values_stay(sandbox: str) -> None:
    pull("sap", "products")
    set_fault(sandbox, "sap", kind="renamed_field", field="ProductGroup", to="PRODUCT_GROUP")
    control(sandbox, "touch", system="sap", collection="A_Product", count=3)
    run = pull("sap", "products", "incremental")
    assert run.state == "done"
    held = QuarantinedRecord.objects.filter(stream=stream("sap", "products"))
    assert run.quarantined == held.count() > 2
    assert {(h.path, h.reason) for h in held} == {("ProductGroup", "Field required")}
    assert not Variant.objects.filter(group__isnull=True).exists()
    requests.delete(f"{sandbox}/_control/faults", timeout=5)
    again = pull("sap", "products", "incremental")
    assert (again.state, held.all().count()) == ("done", 0)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "garbage"}, "DOCTYPE"),
        ({"kind": "truncated"}, "cut short"),
        ({"kind": "oversized"}, "max_body_bytes"),
        ({"kind": "stuck_cursor"}, "upstream"),
    ],
)
def test_a_page_that_cannot_be_read_fails_the_run_and_keeps_the_checkpoint(
    sandbox: str, fault: dict[str, Any], says: str
) -> None:
    pull("wms", "stock")
    before = Checkpoint.objects.get(stream=stream("wms", "stock"))
    set_fault(sandbox, "wms", **fault)
    Connection.objects.filter(slug="wms").update(max_body_bytes=4 * 1024 * 1024)
    page_size(stream("wms", "stock"), 50)
    run = pull("wms", "stock")
    page_size(stream("wms", "stock"), 1000)
    assert (run.state, run.error_code) == ("failed", "upstream.garbled")
    assert says in run.error
    assert run.correlation_id in run.error
    after = Checkpoint.objects.get(stream=stream("wms", "stock"))
    assert (after.position, after.watermark) == (before.position, before.watermark)


def page_size(row: Stream, size: int) -> None:
    object.__setattr__(row.spec, "page_size", size)


def test_a_failed_run_makes_room_for_the_one_that_waits(sandbox: str) -> None:
    set_fault(sandbox, "wms", kind="server_error", status=503)
    run = queue.ask(stream("wms", "stock"), "full", asked_by="test")
    taken = queue.claim()
    assert taken is not None
    later = queue.ask(stream("wms", "stock"), "full", asked_by="test")
    execute(*taken)
    run.refresh_from_db()
    assert (run.state, run.error_code) == ("failed", "upstream.retryable")
    queue.retry(run, "test")
    assert list(SyncRun.objects.filter(state="queued")) == [later]


def test_a_backfill_that_waits_takes_over_what_the_failed_one_was_to_read(sandbox: str) -> None:
    set_fault(sandbox, "wms", kind="server_error", status=503)
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    run = queue.ask_since(stream("wms", "stock"), long_ago, asked_by="test")
    taken = queue.claim()
    assert taken is not None
    later = queue.ask_since(stream("wms", "stock"), long_ago + timedelta(days=9), asked_by="test")
    execute(*taken)
    run.refresh_from_db()
    later.refresh_from_db()
    assert (run.state, later.state, later.since) == ("failed", "queued", long_ago)


def test_an_upstream_that_is_down_is_tried_again_later(sandbox: str) -> None:
    set_fault(sandbox, "wms", kind="server_error", status=503)
    run = pull("wms", "stock")
    assert (run.state, run.error_code) == ("queued", "upstream.retryable")
    assert queue.claim() is None
    requests.delete(f"{sandbox}/_control/faults", timeout=5)
    SyncRun.objects.update(not_before=Now())
    taken = queue.claim()
    assert taken is not None
    execute(*taken)
    run.refresh_from_db()
    assert (run.state, run.read) == ("done", VARIANTS * 2)


def test_a_run_whose_worker_died_is_resumed_and_ends_with_the_same_rows(
    sandbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sandbox
    page_size(stream("wms", "stock"), 50)
    run = queue.ask(stream("wms", "stock"), "full", asked_by="test")
    first = queue.claim()
    assert first is not None
    real, calls = Pull._commit_page, []

    def dies(self: Pull, number: int, fetched: Any) -> None:
        if number == 2:
            raise KeyboardInterrupt
        calls.append(number)
        real(self, number, fetched)

    with monkeypatch.context() as patched:
        patched.setattr(Pull, "_commit_page", dies)
        with pytest.raises(KeyboardInterrupt):
            execute(*first)
    run.refresh_from_db()
    assert (run.state, run.pages, run.read) == ("running", 2, 100)
    assert queue.claim() is None
    SyncRun.objects.update(lease_until=Now())
    second = queue.claim()
    assert second is not None
    execute(*second)
    page_size(stream("wms", "stock"), 1000)
    run.refresh_from_db()
    assert (run.state, run.read, run.token) == ("done", VARIANTS * 2, 2)
    assert Stock.objects.count() == VARIANTS * 2
    assert SourceRecord.objects.count() == VARIANTS * 2
    with pytest.raises(queue.LeaseLostError):
        first[1].update(read=0)


def test_what_is_gone_upstream_is_buried_unless_too_much_is(sandbox: str) -> None:
    pull("akeneo", "variants")
    keys = list(Variant.objects.order_by("key").values_list("key", flat=True))
    for key in keys[:5]:
        requests.delete(f"{sandbox}/_control/akeneo/products/{key}", timeout=5)
    run = pull("akeneo", "variants")
    assert (run.state, run.tombstoned) == ("done", 5)
    for key in keys[5:60]:
        requests.delete(f"{sandbox}/_control/akeneo/products/{key}", timeout=5)
    held = pull("akeneo", "variants")
    assert (held.state, held.tombstoned, held.error_code) == ("held", 0, "mass_delete")
    assert "55 of 115" in held.error
    confirmed = pull("akeneo", "variants", allow_deletes=True)
    assert (confirmed.state, confirmed.tombstoned) == ("done", 55)
    assert Variant.objects.filter(deleted_at=None).count() == VARIANTS - 60


def test_an_orders_lines_are_entities_and_leave_with_it(sandbox: str) -> None:
    pull("sap", "orders")
    order = Order.objects.get(pk="0000000001")
    lines = list(OrderLine.objects.filter(order=order).order_by("position"))
    assert [line.position for line in lines] == [10 * n for n in range(1, len(lines) + 1)]
    extra = {
        "SalesOrder": order.key, "SalesOrderItem": "000090", "Material": "P-000001-01",
        "RequestedQuantity": "2", "RequestedQuantityUnit": "PC", "NetAmount": "20.00",
        "TransactionCurrency": "EUR",
    }  # fmt: skip
    one = f"sap/A_SalesOrder/{order.key}"
    control(sandbox, one, to_Item={"results": [extra]})
    pull("sap", "orders", "incremental")
    alive = OrderLine.objects.filter(order=order, deleted_at=None)
    assert [(line.position, str(line.unit_price)) for line in alive] == [(90, "10.0000")]


def test_what_a_system_no_longer_relates_to_us_leaves_with_its_values(sandbox: str) -> None:
    pull("salesforce", "contacts")
    record = SourceRecord.objects.filter(source__stream="contacts").earliest("id")
    customer = Customer.objects.get(pk=record.entity_key)
    assert customer.email
    control(sandbox, f"salesforce/Contact/{record.record_key}", AccountId=None)
    pull("salesforce", "contacts", "incremental")
    # No other system speaks of this customer here, so the customer goes with the contact.
    assert Customer.objects.get(pk=record.entity_key).deleted_at is not None


def test_asking_twice_is_asking_once(sandbox: str) -> None:
    assert sandbox
    one = queue.ask(stream("sap", "stock"), "full", asked_by="schedule")
    two = queue.ask(stream("sap", "stock"), "full", asked_by="admin")
    assert one.pk == two.pk


def test_the_schedule_asks_once_an_interval_and_waits_longer_after_failures(sandbox: str) -> None:
    assert sandbox
    assert len(queue.schedule_due()) == Stream.objects.count()
    assert queue.schedule_due() == []
    SyncRun.objects.update(state="done")
    assert queue.schedule_due() == []


def test_secrets_are_encrypted_at_rest_and_rotate(sandbox: str, settings: Any) -> None:
    assert sandbox
    before = Connection.objects.get(slug="stripe").secrets
    assert "sk_test" not in before
    settings.HEADWATER_ENCRYPTION_KEYS = (
        Fernet.generate_key().decode(),
        *settings.HEADWATER_ENCRYPTION_KEYS,
    )
    call_command("rotate_secrets", stdout=StringIO())
    settings.HEADWATER_ENCRYPTION_KEYS = settings.HEADWATER_ENCRYPTION_KEYS[:1]
    row = Connection.objects.get(slug="stripe")
    assert row.secrets != before
    assert row.open().settings.api_key.get_secret_value() == "sk_test_headwater"
