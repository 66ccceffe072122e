"""What was written comes back as what the company knows: by read-back, and by the upstream's event."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from catalog.entities import Order, OrderLine, Stock
from connectors.inbox import fetch
from connectors.models import Connection, InboxEvent
from connectors.outbox import pushes
from connectors.outbox.commands import Draft, put
from connectors.runtime.choice import able_to
from connectors.runtime.connect import connect
from connectors.runtime.connector import connector_class
from connectors.webhooks.arrivals import Reader
from tests.sandboxes import Receiver, receiving, running
from tests.telling import inlet, work
from tests.vendors import CREDENTIALS

pytestmark = pytest.mark.django_db(transaction=True)

ORDER = {
    "customer": "10000001",
    "market": "DE",
    "currency": "EUR",
    "lines": [{"sku": "P-000001-01", "quantity": "2", "unit_price": "10.25"}],
}


def write(capability: str, values: dict[str, Any], key: str) -> Connection:
    """Done and read back, as a command that was accepted is."""
    row = able_to(capability)
    able = connector_class(row.connector).capability(capability)
    push = able.push(values, key)
    put([Draft(push.operation, key, push.body, row.pk, None, able.stream, push.record_key)])
    assert pushes.turn(row.pk) == 1
    work()
    return row


def told(row: Connection, receiver: Receiver) -> None:
    """Take the upstream's next event, and apply it."""
    cls = connector_class(row.connector)
    assert cls.webhook is not None
    message, raw = receiver.next()
    headers = {name.lower(): value for name, value in message.items()}
    with inlet() as made:
        made.put(row.pk, Reader.of(cls, cls.webhook).read(raw, headers), headers, "corr-event")
    fetch.fetch_batch(row.pk)
    work()


def test_an_order_comes_back_and_its_cancellation_too() -> None:
    with running(20) as sandbox:
        connect("sap", "sap", sandbox.url, CREDENTIALS["sap"])
        with receiving(sandbox.url, "sap") as receiver:
            row = write("order.create", ORDER, "cmd_1.order")
            order = Order.objects.get()
            assert (order.customer_id, order.status) == ("10000001", "open")
            assert order.total == Decimal("20.50")
            line = OrderLine.objects.get()
            assert (line.variant_id, line.quantity) == ("P-000001-01", 2)
            told(row, receiver)
            assert InboxEvent.objects.filter(kind__contains="SalesOrder.Created").exists()
            write("order.cancel", {"order": order.key}, "cmd_2.cancel")
            order.refresh_from_db()
            assert order.status == "cancelled"
    assert Order.objects.count() == 1


def test_an_order_that_others_made_comes_by_its_event() -> None:
    with running(20) as sandbox:
        row = connect("sap", "sap", sandbox.url, CREDENTIALS["sap"])
        with receiving(sandbox.url, "sap") as receiver:
            able = connector_class("sap").capability("order.create")
            connector = row.open()
            number = connector.push(connector.stream("orders"), able.push(ORDER, "theirs"))
            connector.session.close()
            told(row, receiver)
    assert Order.objects.get().key == number


def test_a_reservation_lowers_what_is_available_by_its_event() -> None:
    with running(20) as sandbox:
        connect("wms", "wms", sandbox.url, CREDENTIALS["wms"])
        with receiving(sandbox.url, "wms") as receiver:
            values = {"sku": "P-000003-02", "quantity": 1}
            row = write("stock.reserve", values, "cmd_1.reserve")
            assert InboxEvent.objects.get().state == "applied"
            assert not Stock.objects.exists()
            told(row, receiver)
    level = Stock.objects.get()
    assert level.variant_id == "P-000003-02"
    assert level.reserved >= 1


def test_the_copy_in_the_crm_speaks_of_the_same_order() -> None:
    with running(20) as sandbox:
        connect("sap", "sap", sandbox.url, CREDENTIALS["sap"])
        connect("salesforce", "salesforce", sandbox.url, CREDENTIALS["salesforce"])
        write("order.create", ORDER, "cmd_1.order")
        order = Order.objects.get()
        copy = {
            "reference": "cmd_1",
            "order": order.key,
            "customer": "10000001",
            "total": "20.50",
            "currency": "EUR",
            "status": "open",
        }
        write("order.record", copy, "cmd_2.record")
    assert Order.objects.get().key == order.key
